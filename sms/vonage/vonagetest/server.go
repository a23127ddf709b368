// Package vonagetest is a fake of Vonage for tests: the SMS API, Messages v1, Verify v2
// and conversion feedback, with the callbacks that Vonage sends later.
//
// It is written from Vonage's documentation and shares nothing with the client that it
// is there to judge, so that a mistake of ours is not made twice; Vonage's own client
// for Node passes against it. A request is checked as the documentation demands, and in
// one point more strictly: a parameter that the documentation does not know is refused,
// because it is a misspelt one. What becomes of a request can be scripted
// ([Server.Next], [Server.Behave]) or asked for by number ([Server.ServeHTTP]).
//
// Nothing sleeps: time is the injected clock's, and a delay lasts until a channel is
// closed or the injected wait is over. With [Server.Client] everything runs in memory,
// and so inside a bubble of testing/synctest.
package vonagetest

import (
	"context"
	"crypto/rsa"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Options are an account at Vonage, and the fake's surroundings. Key and Secret are
// required; the zero value of every other field is its default.
type Options struct {
	// Key and Secret are the account's API key and secret.
	Key, Secret string
	// Application and PublicKey are the application's id and the key that verifies its
	// tokens. Without them no token is accepted.
	Application string
	PublicKey   *rsa.PublicKey
	// SignatureSecret verifies and signs: the "sig" of SMS requests and receipts, and
	// the tokens of Messages and Verify callbacks.
	SignatureSecret string
	// Signature is the algorithm of "sig". Default MD5Hash, as it is Vonage's.
	Signature Algorithm
	// Conversions enables conversion feedback; without it the answer is 402.
	Conversions bool
	// Rate is how many requests a second the account may make, counted by whole seconds
	// of the clock. Vonage's own default is 30. Default: any number.
	Rate int
	// ReceiptURL, StatusURL and VerifyURL are where callbacks of the SMS API, Messages
	// and Verify go, unless the message names an address of its own.
	ReceiptURL, StatusURL, VerifyURL string
	// ReceiptShape is how receipts of the SMS API come. Default JSON.
	ReceiptShape Shape
	// SignReceipts signs the receipts of the SMS API, which Vonage does only where its
	// support has been asked to.
	SignReceipts bool
	// Transport carries the callbacks. Default http.DefaultTransport.
	Transport http.RoundTripper
	// Now is the clock. Default time.Now.
	Now func() time.Time
	// Wait waits for a time to pass, or until the context is done. Default: a timer.
	Wait func(ctx context.Context, d time.Duration) error
}

// Server is one account at the fake. It is safe for concurrent use.
type Server struct {
	o      Options
	ctx    context.Context // of what outlives a request: callbacks
	cancel context.CancelFunc
	links  links

	mu            sync.Mutex // guards what follows
	behave        func(Request) Behaviour
	next          []Behaviour
	changed       chan struct{} // closed, and replaced, when anything below changes
	serial        int           // of messages of the SMS API
	requests      []Request
	outbox        []Message
	conversions   []Conversion
	deliveries    []Delivery
	verifications map[string]*verification // by request id
	running       map[string]*verification // by number
	tokens        map[string]time.Time     // used ids of tokens, until they expire
	second        int64                    // that inSecond counts the requests of
	inSecond      int
	busy          int // callbacks under way
	closed        bool
}

// New returns a server that nothing is connected to yet: [Server.Start] gives it an
// address, [Server.Client] a client, and it is an http.Handler itself.
func New(o Options) *Server {
	if o.Signature == "" {
		o.Signature = MD5Hash
	}
	if o.ReceiptShape == "" {
		o.ReceiptShape = JSON
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Wait == nil {
		o.Wait = wait
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &Server{
		o: o, ctx: ctx, cancel: cancel, changed: make(chan struct{}),
		verifications: map[string]*verification{}, running: map[string]*verification{}, tokens: map[string]time.Time{},
	}
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close ends all connections, and the callbacks that are still to be repeated.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	s.links.close()
	_ = s.Settle(context.Background()) // its context never ends
}

// API names one of Vonage's operations.
type API string

// The operations. The first three are also what a message was sent by.
const (
	SMS          API = "sms"
	Messages     API = "messages"
	Verify       API = "verify"
	VerifyCheck  API = "verify check"
	VerifyNext   API = "verify next_workflow"
	VerifyCancel API = "verify cancel"
	Conversions  API = "conversions"
	// Other is whatever Vonage has not, or not here.
	Other API = "other"
)

// Request is one request to the server, whether or not it was good.
type Request struct {
	// N counts the requests, from 1.
	N            int
	API          API
	Method, Path string
	Header       http.Header
	Body         []byte
	// To, Text and ClientRef are what it says of a message, as far as it can be read.
	// Of Verify, To is the number of the first step.
	To, Text, ClientRef string
	At                  time.Time
}

// call is a request with what is needed to answer it.
type call struct {
	Request
	id       string         // of a verification, from the path
	object   map[string]any // the body of an API that takes JSON only; nil if it is none
	params   map[string]string
	problem  string   // the parameter of params that cannot be read
	accepted *Message // what the request sent
}

// maxBody is far more than any documented request has.
const maxBody = 1 << 20

// ServeHTTP answers a request as Vonage does, unless [Server.Next] or [Server.Behave] has
// it otherwise.
//
// Numbers of the form 6280000HHHSS ask for failure: the HTTP status HHH, or the status
// SS of the SMS API where HHH is 000. Of the HTTP status 422, SS says what Messages
// finds wrong: 00 the parameters, 01 the sender, 02 the recipient.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		panic(http.ErrAbortHandler) // nobody is left to be answered
	}
	c := s.open(r, body)
	b := s.behaviour(c.Request)
	answer := b.Answer
	if b.Answer == nil || b.Anyway {
		own := s.answer(c)
		if answer == nil {
			answer = &own
		}
	}
	if c.accepted != nil {
		for _, report := range b.Before {
			_, _ = s.Report(r.Context(), *c.accepted, report) // recorded as a delivery
		}
		// A message that was sent is reported on, whether or not its answer arrives.
		if len(b.After) > 0 && s.begin() {
			defer s.reportLater(*c.accepted, b.After)
		}
	}
	if b.Latency > 0 && s.o.Wait(r.Context(), b.Latency) != nil {
		panic(http.ErrAbortHandler)
	}
	if b.Hold != nil {
		select {
		case <-b.Hold:
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		}
	}
	answer.write(w, b.Cut)
}

// open reads what a request is, and records it.
func (s *Server) open(r *http.Request, body []byte) *call {
	c := &call{Request: Request{Method: r.Method, Path: r.URL.Path, Header: r.Header.Clone(), Body: body}}
	c.API, c.id = route(r.Method, r.URL.Path)
	switch c.API {
	case SMS, Conversions:
		c.params, c.problem = readParams(r, body)
		c.To, c.Text, c.ClientRef = c.params["to"], c.params["text"], c.params["client-ref"]
	case Messages, Verify, VerifyCheck:
		c.object = readObject(r, body)
		c.To, c.Text, c.ClientRef = text(c.object["to"]), text(c.object["text"]), text(c.object["client_ref"])
		if steps, _ := c.object["workflow"].([]any); len(steps) > 0 {
			first, _ := steps[0].(map[string]any)
			c.To = text(first["to"])
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c.N, c.At = len(s.requests)+1, s.o.Now()
	s.requests = append(s.requests, c.Request)
	s.change()
	return c
}

func route(method, path string) (api API, id string) {
	post := method == http.MethodPost
	switch {
	case path == "/sms/json" && post:
		return SMS, ""
	case path == "/v1/messages" && post:
		return Messages, ""
	case path == "/v2/verify" && post:
		return Verify, ""
	case path == "/conversions/sms" && post:
		return Conversions, ""
	}
	rest, ok := strings.CutPrefix(path, "/v2/verify/")
	id, action, next := strings.Cut(rest, "/")
	switch {
	case !ok || id == "" || next && action != "next_workflow":
		return Other, ""
	case next && post:
		return VerifyNext, id
	case post:
		return VerifyCheck, id
	case !next && method == http.MethodDelete:
		return VerifyCancel, id
	}
	return Other, ""
}

// answer carries a request out.
func (s *Server) answer(c *call) Answer {
	switch c.API {
	case SMS:
		return s.sendSMS(c)
	case Messages:
		return s.sendMessage(c)
	case Verify:
		return s.startVerification(c)
	case VerifyCheck, VerifyNext, VerifyCancel:
		return s.verification(c)
	case Conversions:
		return s.convert(c)
	}
	return problem{Status: http.StatusNotFound, Type: "https://developer.vonage.com/api-errors#not-found", Title: "Not Found", Detail: "There is no such resource."}.answer()
}

// Requests returns all requests so far, the oldest first.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// throttled counts a request against the account's rate.
func (s *Server) throttled() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := s.o.Now().Unix(); now != s.second {
		s.second, s.inSecond = now, 0
	}
	s.inSecond++
	return s.o.Rate > 0 && s.inSecond > s.o.Rate
}

// change wakes whoever waits for something. mu is held.
func (s *Server) change() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// until waits until a condition holds, which is asked with mu held.
func (s *Server) until(ctx context.Context, holds func() bool) error {
	for {
		s.mu.Lock()
		done, changed := holds(), s.changed
		s.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
