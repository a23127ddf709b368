// Package webhook is a sender for every provider that takes a message as one HTTP
// request: its configuration says what the request is, and what the answers mean.
//
// Nothing of a request is put together as text. Fields are encoded by encoding/json
// and net/url, and a template, where fields are not enough, can print a value through
// an encoder only; it is tried at load with messages that break careless bodies. The
// host is fixed. So no word of a message, such as a payee's name, becomes a field, a
// recipient or an address.
//
// What may have been sent is never said not to have been: a message costs money, and a
// second one goes to another provider. Answers are read up to 64 KiB and stand in no
// error and no log, since they may repeat what was sent.
package webhook

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"sync/atomic"
	"time"

	"github.com/stepgate/stepgate/internal/standardwebhooks"
	"github.com/stepgate/stepgate/internal/unanswered"
	"github.com/stepgate/stepgate/sms"
)

// DefaultTimeout is how long handing over one message may take.
const DefaultTimeout = 5 * time.Second

// Config says what is sent, and what answers mean. URL is required, and Fields or
// Template; the zero value of every other field is its default.
type Config struct {
	// URL is where messages go; see [CheckURL]. Segments of its path and values of its
	// query may have placeholders.
	URL string
	// Method is the method of the request. Default: POST, and GET where Body is
	// BodyQuery.
	Method string
	// Auth says who sends. The zero value says nothing.
	Auth Auth
	// Body says how the fields are written. Default: BodyJSON.
	Body Body
	// Fields are what is sent.
	Fields []Field
	// Template is written out instead of Fields: a text/template with the placeholders as
	// values, dots in their names written as _. A value is printed by json or urlquery,
	// and by nothing else.
	Template string
	// Success says what an answer of the provider is that accepts a message: all of it
	// holds. Where it does not look at the status, that is 200 to 299.
	Success []Condition
	// ID is where the provider's name for the message stands in its answer's JSON, as
	// names and places of lists joined by dots. Empty: nowhere.
	ID string
	// NumberError, Policy, AccountError and NotSent say what answers mean that the number
	// cannot be reached, that the provider refuses for reasons of fraud, that the account
	// does not work, and that the message was not sent and another try may do better. One
	// condition is enough. The one that stands first here counts: it costs the least.
	NumberError, Policy, AccountError, NotSent []Condition
	// Sign signs every request, with the message's Ref as its id. The zero value signs
	// nothing.
	Sign standardwebhooks.Secret
	// Timeout bounds one hand-over. Default: DefaultTimeout.
	Timeout time.Duration
	// Resolve reads the placeholders of secrets, at New. Nil: there are none.
	Resolve Resolve
	// Transport makes the requests. It must not send a request a second time that was
	// written, as one of net/http does with a GET on a connection that it kept. Default:
	// one that does not.
	Transport http.RoundTripper
	// Now is the clock of signatures. Default: time.Now.
	Now func() time.Time
}

// Sender hands messages over as its configuration says. It is safe for concurrent use.
type Sender struct {
	method    string
	header    http.Header
	address   *address
	body      Body
	fields    fields
	template  *bodyTemplate
	codeOnly  bool
	judge     judge
	sign      standardwebhooks.Secret
	timeout   time.Duration
	client    *http.Client
	transport *http.Transport
	now       func() time.Time
}

// New checks a configuration and returns its sender. Errors say what to write, and
// repeat no secret.
func New(c Config) (*Sender, error) {
	s := &Sender{method: c.Method, body: c.Body, sign: c.Sign, timeout: c.Timeout, now: c.Now}
	if s.timeout == 0 {
		s.timeout = DefaultTimeout
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.body == "" {
		s.body = BodyJSON
	}
	if s.timeout < 0 {
		return nil, errors.New("timeout is negative: write how long a hand-over may take, such as 5s")
	}
	if err := cmp.Or(CheckBody(s.body), s.chooseMethod()); err != nil {
		return nil, err
	}
	if s.body == BodyQuery && !s.sign.IsZero() {
		return nil, errors.New("sign signs the body, and body query has none, so that the signature would be good for every message: write body json or body form")
	}
	var err error
	if s.address, err = parseAddress(c.URL, c.Resolve); err != nil {
		return nil, err
	}
	if s.header, err = c.Auth.header(c.Resolve); err != nil {
		return nil, err
	}
	if err := s.parseBody(c); err != nil {
		return nil, err
	}
	if s.judge, err = newJudge(c); err != nil {
		return nil, err
	}
	s.client = s.newClient(c.Transport)
	return s, nil
}

// methods are those that can hand a message over.
var methods = []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch}

// CheckMethod reports a method that hands no message over.
func CheckMethod(method string) error {
	if !slices.Contains(methods, method) {
		return unknownName("method that hands a message over", method, "%s", methods)
	}
	return nil
}

func (s *Sender) chooseMethod() error {
	if s.method == "" {
		s.method = http.MethodPost
		if s.body == BodyQuery {
			s.method = http.MethodGet
		}
	}
	if s.method == http.MethodGet && s.body != BodyQuery {
		return errors.New("method GET has no body: write body query, or method POST")
	}
	return CheckMethod(s.method)
}

// parseBody reads fields or template, and checks that they say what a message is.
func (s *Sender) parseBody(c Config) error {
	used := map[string]bool{}
	s.address.uses(used)
	var err error
	switch {
	case c.Template != "" && len(c.Fields) > 0:
		return errors.New("fields and a template stand side by side: the template is the whole body, so leave the fields out")
	case c.Template != "":
		if s.template, err = parseTemplate(c.Template, s.body, c.Resolve); err != nil {
			return err
		}
		for name := range s.template.used {
			used[name] = true
		}
	default:
		if s.fields, err = parseFields(c.Fields, s.body, c.Resolve); err != nil {
			return err
		}
		s.fields.uses(used)
		for _, f := range s.fields {
			if s.body == BodyQuery && slices.ContainsFunc(s.address.query, func(q field) bool { return q.name == f.name }) {
				return fmt.Errorf("field %s stands in the query of the url as well: write it once", f.name)
			}
		}
	}
	s.codeOnly = !used["text"]
	return addressed(used)
}

// newClient returns the client, which follows no redirect: what is sent is meant for
// this address.
func (s *Sender) newClient(transport http.RoundTripper) *http.Client {
	if transport == nil {
		s.transport = http.DefaultTransport.(*http.Transport).Clone()
		s.transport.MaxResponseHeaderBytes = maxAnswer
		// When a connection that it kept is cut, net/http sends a GET once more, because
		// a GET should change nothing. Here it would be a second message.
		s.transport.DisableKeepAlives = s.method == http.MethodGet
		transport = s.transport
	}
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Close lets go of the connections that are kept.
func (s *Sender) Close() {
	if s.transport != nil {
		s.transport.CloseIdleConnections()
	}
}

// Send hands over one message.
func (s *Sender) Send(ctx context.Context, m sms.Message) (sms.Receipt, error) {
	if err := ctx.Err(); err != nil {
		return sms.Receipt{}, &sms.Error{Class: sms.NotSent, Err: err}
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	// Once there is a connection some of the request may be on its way.
	var connected atomic.Bool
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	})
	request, err := s.request(traced, m)
	if err != nil {
		return sms.Receipt{}, &sms.Error{Class: sms.BadRequest, Err: err}
	}
	response, err := s.client.Do(request)
	if err != nil {
		class := sms.Unknown
		if !connected.Load() {
			class = sms.NotSent
		}
		return sms.Receipt{}, &sms.Error{Class: class, Err: unanswered.Reason(ctx, err)}
	}
	defer response.Body.Close()
	return s.judge.receipt(readAnswer(response.StatusCode, response.Body, s.judge.readsJSON))
}

// encode returns the body, or what is added to the query.
func (s *Sender) encode(v values) (body []byte, query url.Values, err error) {
	switch {
	case s.template != nil && s.body == BodyQuery:
		if body, err = s.template.render(v); err == nil {
			query, err = url.ParseQuery(string(body))
		}
		return nil, query, err
	case s.template != nil:
		body, err = s.template.render(v)
	case s.body == BodyQuery:
		query = s.fields.form(v)
	case s.body == BodyForm:
		body = []byte(s.fields.form(v).Encode())
	default:
		body, err = s.fields.object(v)
	}
	return body, query, err
}

// request returns the request for a message.
func (s *Sender) request(ctx context.Context, m sms.Message) (*http.Request, error) {
	if s.codeOnly && m.Code == "" {
		return nil, errors.New("the message has no code, and nothing else of it is sent: write a field with {text}")
	}
	v := valuesOf(m)
	body, query, err := s.encode(v)
	if err != nil {
		return nil, err
	}
	u, err := s.address.url(v, query)
	if err != nil {
		return nil, err
	}
	var reader io.Reader
	if s.body != BodyQuery {
		reader = bytes.NewReader(body)
	}
	request, err := http.NewRequestWithContext(ctx, s.method, u.String(), reader)
	if err != nil {
		return nil, errors.New("the url cannot be asked") // the cause would repeat it
	}
	request.Header = s.header.Clone()
	switch s.body {
	case BodyJSON:
		request.Header.Set("Content-Type", "application/json")
	case BodyForm:
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if !s.sign.IsZero() {
		s.sign.Sign(request.Header, m.Ref, s.now(), body)
	}
	return request, nil
}

// String keeps the configuration, and the secrets in it, out of logs.
func (s *Sender) String() string { return "webhook to " + s.address.base.Host }

// GoString keeps the configuration out of %#v.
func (s *Sender) GoString() string { return s.String() }

var (
	_ sms.Sender   = (*Sender)(nil)
	_ fmt.Stringer = (*Sender)(nil)
)
