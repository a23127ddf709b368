package vonagetest

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// Behaviour says what becomes of one request. The zero value: what Vonage would do.
type Behaviour struct {
	// Answer is given in place of Vonage's, and the request has no effect.
	Answer *Answer
	// Anyway gives the request its effect although Answer is set: a proxy that spoils
	// the answer to a message which was sent.
	Anyway bool
	// Cut breaks the connection. The request has had its effect by then.
	Cut Cut
	// Latency keeps the answer back for a time of the server's Wait, and Hold until it is
	// closed. The request has had its effect by then.
	Latency time.Duration
	Hold    <-chan struct{}
	// Before are callbacks about the message that the request sent, one after the
	// other, before it is answered.
	Before []Report
	// After are those that follow the answer. Each is repeated as Vonage does it
	// where the answer is 429 or 5xx.
	After []Report
}

// Cut says where a connection breaks.
type Cut int

// The places.
const (
	// Whole: it does not.
	Whole Cut = iota
	// NoAnswer: after the request was read, before a byte of the answer.
	NoAnswer
	// HalfAnswer: in the middle of the answer's body.
	HalfAnswer
)

// Behave sets what becomes of the requests from now on; nil for what Vonage would do.
// script may be called from several goroutines.
func (s *Server) Behave(script func(Request) Behaviour) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.behave = script
}

// Next sets what becomes of the next requests, one each, before the script is asked
// again. What an earlier call has left comes first.
func (s *Server) Next(list ...Behaviour) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next = append(s.next, list...)
}

// Storm answers the next n requests with 429.
func (s *Server) Storm(n int) { s.Next(slices.Repeat([]Behaviour{Throttled()}, n)...) }

func (s *Server) behaviour(r Request) Behaviour {
	s.mu.Lock()
	script := s.behave
	if len(s.next) > 0 {
		first := s.next[0]
		s.next = s.next[1:]
		s.mu.Unlock()
		return first
	}
	s.mu.Unlock()
	if script == nil {
		return Behaviour{}
	}
	return script(r)
}

// Always is a script that treats every request alike.
func Always(b Behaviour) func(Request) Behaviour {
	return func(Request) Behaviour { return b }
}

// Dropped breaks the connection after a request has had its effect.
func Dropped() Behaviour { return Behaviour{Cut: NoAnswer} }

// Lost breaks the connection before a request has any effect.
func Lost() Behaviour { return Behaviour{Answer: &Answer{}, Cut: NoAnswer} }

// Truncated breaks the connection in the middle of the answer.
func Truncated() Behaviour { return Behaviour{Cut: HalfAnswer} }

// Throttled answers 429.
func Throttled() Behaviour { return answered(rateLimit.answer()) }

// InternalError answers 500 as Messages does.
func InternalError() Behaviour { return answered(internalError.answer()) }

// HTML answers with a page of some proxy.
func HTML(status int) Behaviour {
	return answered(Answer{Status: status, Header: http.Header{"Content-Type": {"text/html"}}, Body: []byte("<html>proxy page</html>")})
}

// SMSStatus answers as the SMS API does, with one entry for each part's status.
func SMSStatus(status ...int) Behaviour {
	var entries []smsEntry
	for i, st := range status {
		if st == 0 {
			entries = append(entries, accepted(Message{ID: "0A0000000123ABCD" + strconv.Itoa(i+1)}))
			continue
		}
		entries = append(entries, refused(st, ""))
	}
	return answered(smsAnswer(entries))
}

func answered(a Answer) Behaviour { return Behaviour{Answer: &a} }

// Answer is an HTTP answer.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

func jsonAnswer(status int, v any) Answer {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err) // what is answered is made of strings
	}
	return Answer{status, http.Header{"Content-Type": {"application/json"}}, body}
}

func (a *Answer) write(w http.ResponseWriter, cut Cut) {
	if cut == NoAnswer {
		panic(http.ErrAbortHandler)
	}
	for name, values := range a.Header {
		w.Header()[name] = values
	}
	body := a.Body
	if a.Status != http.StatusNoContent {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	}
	if cut == HalfAnswer {
		body = body[:len(body)/2]
	}
	w.WriteHeader(a.Status)
	_, _ = w.Write(body) // a client that has gone is its own affair
	_ = http.NewResponseController(w).Flush()
	if cut == HalfAnswer {
		panic(http.ErrAbortHandler)
	}
}

// magic reads a number of the form 6280000HHHSS.
func magic(to string) (httpStatus, status int) {
	const prefix = "6280000"
	if len(to) != len(prefix)+5 || to[:len(prefix)] != prefix {
		return 0, 0
	}
	n, err := strconv.Atoi(to[len(prefix):])
	if err != nil {
		return 0, 0
	}
	return n / 100, n % 100
}
