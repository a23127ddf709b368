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
	"strings"
	"time"
)

const (
	// DefaultTimeout is how long an Upstream waits for the site.
	DefaultTimeout = 3 * time.Second

	maxAnswer         = 64 << 10 // bytes of an answer that are read
	maxConnections    = 256      // to the site, so that a flood waits here and not there
	keptConnections   = 64
	keptConnectionFor = time.Minute
)

// UpstreamConfig says where the site tells whose session it is, and how to read
// its answer.
type UpstreamConfig struct {
	// URL answers a GET with a JSON object about the player: the site's "who am I",
	// such as http://127.0.0.1:8080/api/me. http or https, without user or fragment.
	URL string
	// Host is the Host header to send, for a site that answers to its public name
	// only. Default: the host of URL.
	Host string
	// Cookie is the exact name of the site's session cookie, of letters, digits and
	// "_-."; empty if the site has none. A site that takes several kinds of session
	// has to be described in full: a session that is not named here is invisible to
	// Stepgate, and a request that carries one beside the named one passes for the
	// named one's holder.
	Cookie string
	// Bearer says that the site takes a token from the Authorization header (RFC
	// 6750). Cookie, Bearer or both must be given.
	Bearer bool
	// Subject, Login, Email and Phone say where in the answer each stands, as keys
	// joined by dots, and positions counted from 0 in arrays: "id", "user.id",
	// "accounts.0.id". Subject is required.
	Subject string
	Login   string
	Email   string
	Phone   string
	// Timeout is how long one question may take in all. Default: [DefaultTimeout].
	Timeout time.Duration
}

// Upstream learns identities by asking the site itself, with the credential of
// the request and nothing else of it. It follows no redirect, uses no proxy from
// the environment, and keeps no cookie.
//
// The site sees these questions come from Stepgate. At this one URL it must not
// tie the session to the player's address or browser, and must not change the
// session: an answer that sets another session cookie would log the player out.
type Upstream struct {
	credentials
	url       *url.URL
	host      string
	fields    fields
	timeout   time.Duration
	transport http.RoundTripper
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
	case c.Cookie == "" && !c.Bearer:
		return nil, errors.New("identity upstream: want the name of the session cookie, or bearer, or both")
	case c.Timeout < 0:
		return nil, fmt.Errorf("timeout of the identity upstream is %s: want more than 0", c.Timeout)
	}
	if h, err := url.Parse("http://" + c.Host); err != nil || h.Host != c.Host {
		return nil, fmt.Errorf("host of the identity upstream is %q: want a host name, with or without a port", c.Host)
	}
	if err := checkCookieName(c.Cookie); err != nil {
		return nil, err
	}
	fields, err := newFields(c)
	if err != nil {
		return nil, err
	}
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	return &Upstream{
		credentials: credentials{cookie: c.Cookie, bearer: c.Bearer},
		url:         u,
		host:        c.Host,
		fields:      fields,
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
			MaxResponseHeaderBytes: maxAnswer,
		},
	}, nil
}

// checkCookieName allows the names that every parser reads in one way apart from
// the spellings that credentials knows.
func checkCookieName(name string) error {
	if name == "" {
		return nil
	}
	for i := range len(name) {
		if !nameByte(name[i]) {
			return fmt.Errorf("session cookie %q: want a name of letters, digits, _ - and dots only", name)
		}
	}
	if strings.Trim(name, "_-.") == "" {
		return fmt.Errorf("session cookie %q: want a letter or digit in its name", name)
	}
	return nil
}

// Credential finds the session credential in a request. It returns [ErrAmbiguous]
// if the request could be read as carrying two, as described at credentials.
func (u *Upstream) Credential(r *http.Request) (Credential, error) { return u.find(r.Header) }

// Identify asks the site. It returns [ErrAnonymous] if the site answers
//
//   - 401 or 403, or a redirect to what may be its login page (302, 303, 307), or
//   - 200 with a JSON value in which the subject is missing, null, empty or 0:
//     many sites answer so for a visitor, and a subject that all visitors share
//     must not be enrolled.
//
// Everything else that is not 200 with a subject is an error, among it 404 and the
// permanent redirects: they mean that the URL is wrong, which must not look like
// a visitor who is not logged in. The error names neither the credential nor any
// part of the answer. r is not used.
func (u *Upstream) Identify(ctx context.Context, _ *http.Request, c Credential) (Identity, error) {
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
	case resp.StatusCode == http.StatusUnauthorized, resp.StatusCode == http.StatusForbidden,
		resp.StatusCode == http.StatusFound, resp.StatusCode == http.StatusSeeOther,
		resp.StatusCode == http.StatusTemporaryRedirect:
		return Identity{}, ErrAnonymous
	case resp.StatusCode != http.StatusOK:
		return Identity{}, fmt.Errorf("asking the site: it answered with status %d", resp.StatusCode)
	case err != nil:
		return Identity{}, fmt.Errorf("asking the site: reading its answer: %w", withoutSecrets(err))
	case len(body) > maxAnswer:
		return Identity{}, fmt.Errorf("asking the site: its answer is longer than %d bytes", maxAnswer)
	}
	id, err := u.fields.read(body)
	if err != nil && !errors.Is(err, ErrAnonymous) {
		return Identity{}, fmt.Errorf("asking the site: %w", err)
	}
	return id, err
}

// header returns the whole header of the question: the credential as it came.
func (u *Upstream) header(c Credential) (http.Header, error) {
	h := http.Header{"Accept": {"application/json"}, "User-Agent": {"Stepgate"}}
	switch {
	case c.Value == "":
		return nil, ErrAnonymous
	case c.Kind == Cookie && u.cookie != "" && c.Name == u.cookie:
		h["Cookie"] = []string{c.Name + "=" + c.Value}
	case c.Kind == Bearer && u.bearer:
		h["Authorization"] = []string{"Bearer " + c.Value}
	default:
		return nil, errors.New("asking the site: the credential is not of its kind")
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
