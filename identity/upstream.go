package identity

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

const (
	// DefaultTimeout is how long an Upstream waits for the site.
	DefaultTimeout = 3 * time.Second

	maxAnswer         = 256 << 10 // bytes of an answer that are read
	maxAnswerHeader   = 64 << 10
	maxConnections    = 256 // to the site, so that a flood waits here and not there
	keptConnections   = 64
	keptConnectionFor = time.Minute
)

// Format is how the site's answer is written.
type Format string

// The formats.
const (
	// JSON is an object; places are keys joined by dots, and positions counted from 0
	// in arrays: "id", "user.id", "accounts.0.id".
	JSON Format = "json"
	// HTML is a page in UTF-8; places are a CSS selector, "@" and an attribute:
	// "#account@data-id", "meta[name=user-id]@content". The selector names elements,
	// ids, classes and attributes. It has no pseudo-classes, no siblings and no
	// alternatives: what is chosen by position or text, whoever writes to the page can
	// move. It has to match one element of the page and no more.
	//
	// DANGER: nothing that a player can write to may stand there, as a nickname does.
	// Whoever holds a stolen session would write the own id into the victim's page, and
	// pass for somebody whose factor they have.
	HTML Format = "html"
)

// UpstreamConfig says where the site tells whose session it is, and how to read
// its answer.
type UpstreamConfig struct {
	// URL answers a GET with what there is to know about the player: the site's "who
	// am I", such as http://127.0.0.1:8080/api/me. http or https, without user or
	// fragment.
	URL string
	// Host is the Host header to send, for a site that answers to its public name
	// only. Default: the host of URL.
	Host string
	// Sessions are the places where the site looks for its session, at least one. They
	// have to be complete: a session that is not named here is invisible to Stepgate,
	// and a request that carries one beside a named one passes for the named one's
	// holder. Of several that a request bears all have to be of one player, and the
	// first in this order is what a step-up is bound to.
	Sessions []Session
	// BindSubject binds step-ups to the subject: see [BindSubject].
	BindSubject bool
	// Format is how the answer is written. Default: [JSON].
	Format Format
	// Subject, Login, Email and Phone say where in the answer each stands, as Format
	// describes. Subject is required.
	Subject string
	Login   string
	Email   string
	Phone   string
	// Anonymous is how the site answers visitors. Everything else that does not name a
	// subject is an error.
	Anonymous Anonymous
	// Timeout is how long one question may take in all. Default: [DefaultTimeout].
	Timeout time.Duration
}

// Upstream learns identities by asking the site itself, with the credential of
// the request and nothing else of it. It follows no redirect, uses no proxy from
// the environment, and keeps no cookie.
//
// The site sees these questions come from Stepgate. At this one URL it must not
// tie the session to the player's address or browser, and must not change the
// session: an answer that sets another session cookie would log the player out, and
// a message that is shown once, on the next page, would be shown to nobody.
type Upstream struct {
	Finder
	url         *url.URL
	host        string
	bindSubject bool
	places      places
	anonymous   Anonymous
	timeout     time.Duration
	transport   http.RoundTripper
}

// places say where in an answer to find an identity.
type places interface {
	// accept is the media type that the site is asked for.
	accept() string
	// read returns the identity in an answer. It returns errNoSubject if there is none,
	// and another error if the answer could be read in more than one way.
	read(header http.Header, body []byte) (Identity, error)
}

// NewUpstream returns an error that says what is wrong with c, if anything is.
func NewUpstream(c UpstreamConfig) (*Upstream, error) {
	u, err := url.Parse(c.URL)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return nil, errors.New("url of the identity upstream: want an absolute http or https URL")
	case u.User != nil:
		return nil, errors.New("url of the identity upstream: want no user; the session is the only credential that is sent")
	case u.Fragment != "":
		return nil, errors.New("url of the identity upstream: want no fragment")
	case c.Timeout < 0:
		return nil, fmt.Errorf("timeout of the identity upstream is %s: want more than 0", c.Timeout)
	}
	if h, err := url.Parse("http://" + c.Host); err != nil || h.Host != c.Host {
		return nil, fmt.Errorf("host of the identity upstream is %q: want a host name, with or without a port", c.Host)
	}
	finder, err := NewFinder(c.Sessions...)
	if err != nil {
		return nil, fmt.Errorf("identity upstream: %w", err)
	}
	places, err := newPlaces(c)
	if err != nil {
		return nil, err
	}
	anonymous, err := c.Anonymous.checked()
	if err != nil {
		return nil, fmt.Errorf("identity upstream: %w", err)
	}
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	return &Upstream{
		Finder:      finder,
		url:         u,
		host:        c.Host,
		bindSubject: c.BindSubject,
		places:      places,
		anonymous:   anonymous,
		timeout:     c.Timeout,
		// A transport, unlike a client, follows no redirect, which would carry the
		// session to wherever it points. Its Proxy is nil, not the environment's, for
		// the same reason.
		transport: &http.Transport{
			ForceAttemptHTTP2:      true,
			DisableCompression:     true,
			MaxConnsPerHost:        maxConnections,
			MaxIdleConnsPerHost:    keptConnections,
			IdleConnTimeout:        keptConnectionFor,
			MaxResponseHeaderBytes: maxAnswerHeader,
		},
	}, nil
}

func newPlaces(c UpstreamConfig) (places, error) {
	if c.Subject == "" {
		return nil, errors.New("identity upstream: want the place of the subject in the site's answer, such as id")
	}
	switch c.Format {
	case JSON, "":
		return newFields(c)
	case HTML:
		return newPage(c)
	default:
		return nil, fmt.Errorf("identity upstream: format %q: want json or html", c.Format)
	}
}

// Identify asks the site about each credential that the request bears. It returns
// [ErrAnonymous] if the site answers as it answers visitors, which [Anonymous]
// describes, and [ErrAmbiguous] if the credentials are not of one player.
//
// Everything else that is not 200 with a subject is an error: a site that is down,
// or whose page has changed, must not look like a visitor who is not logged in. The
// error names neither the credential nor any part of the answer. r is not used.
func (u *Upstream) Identify(ctx context.Context, _ *http.Request, c Credential) (Identity, error) {
	id, _, err := agree(c, true, func(one Credential) (Identity, *Memo, error) {
		id, err := u.ask(ctx, one)
		return id, new(Memo), err
	})
	return id, err
}

// ask is Identify for one credential.
func (u *Upstream) ask(ctx context.Context, c Credential) (Identity, error) {
	header, err := u.header(c)
	if err != nil {
		return Identity{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, u.timeout)
	defer cancel()
	req := (&http.Request{Method: http.MethodGet, URL: u.url, Host: u.host, Header: header}).WithContext(ctx)
	resp, err := u.transport.RoundTrip(req)
	if err != nil {
		return Identity{}, fmt.Errorf("asking the site: %w", withoutSecrets(err))
	}
	defer resp.Body.Close()
	// Read what an error page holds too, so that the connection can be used again.
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case resp.StatusCode != http.StatusOK:
		return Identity{}, u.anonymous.judge(u.url, resp)
	case err != nil:
		return Identity{}, fmt.Errorf("asking the site: reading its answer: %w", withoutSecrets(err))
	case len(body) > maxAnswer:
		return Identity{}, fmt.Errorf("asking the site: its answer is longer than %d bytes", maxAnswer)
	}
	id, err := u.places.read(resp.Header, body)
	switch {
	case err == errNoSubject && u.anonymous.Missing:
		return Identity{}, ErrAnonymous
	case err != nil:
		return Identity{}, fmt.Errorf("asking the site: %w", err)
	}
	if u.bindSubject {
		id.Binding = BindSubject(id.Subject)
	}
	return id, nil
}

// header returns the whole header of the question: the credential as it came.
func (u *Upstream) header(c Credential) (http.Header, error) {
	h := http.Header{"Accept": {u.places.accept()}, "User-Agent": {"Stepgate"}}
	switch {
	case c.Value == "":
		return nil, ErrAnonymous
	case !u.looksFor(c):
		return nil, errors.New("asking the site: the credential is not of its kind")
	case c.Kind == Cookie:
		h["Cookie"] = []string{c.Name + "=" + c.Value}
	case c.Kind == Bearer:
		h["Authorization"] = []string{"Bearer " + c.Value}
	default:
		h[c.Name] = []string{c.Value}
	}
	return h, nil
}

// withoutSecrets keeps of an error what an operator can use. The transport's own
// errors quote bytes of an answer that is not HTTP.
func withoutSecrets(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op
	}
	if cert, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return cert
	}
	for _, known := range []error{context.DeadlineExceeded, context.Canceled, io.ErrUnexpectedEOF, io.EOF} {
		if errors.Is(err, known) {
			return known
		}
	}
	return errors.New("it did not answer in HTTP")
}

var _ Source = (*Upstream)(nil)
