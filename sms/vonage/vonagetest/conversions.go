package vonagetest

import (
	"net/http"
	"slices"
	"time"
)

// Conversion is what the account said of a message: whether its code came back.
type Conversion struct {
	ID        string
	Delivered bool
	At        time.Time
}

// Conversions returns the feedback so far, the oldest first.
func (s *Server) Conversions() []Conversion {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.conversions)
}

// convert answers POST /conversions/sms, whose parameters are in the query or a form.
func (s *Server) convert(c *call) Answer {
	if status, _ := s.authenticateParams(c); status != authenticated {
		return unauthorized.answer()
	}
	if !s.o.Conversions {
		return problem{Status: http.StatusPaymentRequired, Type: "https://developer.nexmo.com/api-errors#forbidden", Title: "Conversion has not been enabled for your account"}.answer()
	}
	p := c.params
	at, err := time.ParseInLocation(time.DateTime, p["timestamp"], time.UTC)
	delivered := p["delivered"] == "true" || p["delivered"] == "1"
	if c.problem != "" || p["message-id"] == "" || err != nil || !delivered && p["delivered"] != "false" && p["delivered"] != "0" {
		const invalid = 420 // what Vonage documents for it
		return problem{Status: invalid, Type: "https://developer.nexmo.com/api-errors#3", Title: "Invalid parameters. The value of one or more parameters is invalid."}.answer()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conversions = append(s.conversions, Conversion{p["message-id"], delivered, at})
	s.change()
	return Answer{Status: http.StatusOK}
}
