package vonagetest

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
)

// smsEntry is what the SMS API says of one part. Numbers are strings there.
type smsEntry struct {
	To        string `json:"to,omitempty"`
	ID        string `json:"message-id,omitempty"`
	Status    string `json:"status"`
	ErrorText string `json:"error-text,omitempty"`
	Balance   string `json:"remaining-balance,omitempty"`
	Price     string `json:"message-price,omitempty"`
	Network   string `json:"network,omitempty"`
	ClientRef string `json:"client-ref,omitempty"`
}

// The price and network of every message.
const (
	price   = "0.03330000"
	network = "51010"
)

// smsErrors are the texts of the documented statuses.
var smsErrors = map[int]string{
	1: "Throttled", 2: "Missing Parameters", 3: "Invalid Parameters", 4: "Bad Credentials", 5: "Internal Error", 6: "Invalid Message", 7: "Number barred.",
	8: "Partner Account Barred", 9: "Quota Exceeded - rejected", 10: "Too Many Existing Binds", 11: "Account not Enabled for HTTP", 12: "Message Too Long",
	14: "Invalid Signature", 15: "Illegal Sender Address - rejected", 22: "Invalid Network Code", 23: "Invalid Callback Url",
	29: "Non White-listed Destination - rejected", 32: "Signature And API Secret Disallowed", 33: "Number De-activated",
}

func accepted(m Message) smsEntry {
	return smsEntry{To: m.To, ID: m.ID, Status: "0", Balance: "3.14159265", Price: price, Network: network, ClientRef: m.ClientRef}
}

func refused(status int, errorText string) smsEntry {
	if errorText == "" {
		errorText = smsErrors[status]
	}
	return smsEntry{Status: strconv.Itoa(status), ErrorText: errorText}
}

// smsAnswer is 200 whatever the entries say.
func smsAnswer(entries []smsEntry) Answer {
	return jsonAnswer(http.StatusOK, map[string]any{"message-count": strconv.Itoa(len(entries)), "messages": entries})
}

// smsParams are the parameters of a text message that need no more than a look at their
// value.
var smsParams = map[string]func(string) bool{
	"api_key": nil, "api_secret": nil, "sig": nil, "timestamp": nil,
	"from": nil, "to": recipientForm.MatchString, "text": nil, "callback": nil,
	"type": func(s string) bool { return s == "text" || s == "unicode" },
	// Milliseconds: 20 seconds to seven days.
	"ttl":               func(s string) bool { return whole(s, 20_000, 604_800_000) },
	"status-report-req": func(s string) bool { return slices.Contains([]string{"true", "false", "1", "0"}, s) },
	"client-ref":        func(s string) bool { return utf8.RuneCountInString(s) <= 40 },
	"account-ref":       nil,
	"message-class":     func(s string) bool { return whole(s, 0, 3) },
	"entity-id":         nil,
	"content-id":        nil,
}

// maxText is what the SMS API takes at most, in characters.
const maxText = 3200

// checkSMS returns the status of a request whose credentials are right, 0 if it is good.
func checkSMS(c *call) (status int, errorText string) {
	if c.problem != "" {
		return 3, "Invalid value for parameter: " + c.problem
	}
	p := c.params
	for _, name := range []string{"to", "from", "text"} {
		if p[name] == "" {
			return 2, "Missing " + name + " param"
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p)) {
		good, known := smsParams[name]
		if !known || good != nil && !good(p[name]) {
			return 3, "Invalid value for parameter: " + name
		}
	}
	callback, named := p["callback"]
	switch {
	case utf8.RuneCountInString(p["text"]) > maxText:
		return 12, ""
	case !senderForm.MatchString(p["from"]):
		return 15, ""
	case named && !isURL(callback):
		return 23, ""
	}
	return 0, ""
}

// sendSMS answers POST /sms/json.
func (s *Server) sendSMS(c *call) Answer {
	fail := func(status int, errorText string) Answer {
		return smsAnswer([]smsEntry{refused(status, errorText)})
	}
	switch status, missing := s.authenticateParams(c); {
	case missing != "":
		return fail(status, "Missing "+missing+" param")
	case status != authenticated:
		return fail(status, "")
	}
	if s.throttled() {
		return fail(1, "")
	}
	if status, errorText := checkSMS(c); status != 0 {
		return fail(status, errorText)
	}
	httpStatus, status := magic(c.params["to"])
	switch {
	case httpStatus == http.StatusUnauthorized:
		return unauthorized.answer()
	case httpStatus == http.StatusInternalServerError:
		return *HTML(httpStatus).Answer
	case httpStatus != 0:
		return problemOf(httpStatus, status).answer()
	case status != 0:
		return fail(status, "")
	}
	m := s.acceptSMS(c.params)
	c.accepted = &m
	entries := make([]smsEntry, m.Parts)
	for i, id := range m.IDs {
		part := m
		part.ID = id
		entries[i] = accepted(part)
	}
	return smsAnswer(entries)
}

func (s *Server) acceptSMS(p map[string]string) Message {
	ms, _ := strconv.Atoi(p["ttl"]) // checked; 0 where there is none
	m := Message{
		API: SMS, Channel: "sms", To: p["to"], From: p["from"], ClientRef: p["client-ref"], Unicode: p["type"] == "unicode",
		TTL: time.Duration(ms) * time.Millisecond, Callback: p["callback"], At: s.o.Now(),
	}
	m.Text, m.Parts = encode(p["text"], m.Unicode)
	s.mu.Lock()
	defer s.mu.Unlock()
	for range m.Parts {
		s.serial++
		m.IDs = append(m.IDs, fmt.Sprintf("0A%015X", s.serial))
	}
	m.ID = m.IDs[0]
	s.deliver(m)
	return m
}
