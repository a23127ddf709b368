package explain

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"

	"github.com/stepgate/stepgate/internal/body"
	"github.com/stepgate/stepgate/policy"
)

// Request is a request as it would stand on the wire.
type Request struct {
	Method string
	Host   string
	// Target is path and query, byte for byte.
	Target string
	Header http.Header
	// Body is nil if it is not known.
	Body []byte
}

// maxBody is how much of a body the gateway reads unless it is told otherwise, in
// bytes.
const maxBody = 1 << 20

// NewRequest returns the request that a client would send for a URL. The target
// stays as it is written: nothing is resolved or escaped. Headers are written
// "Name: value"; body is nil if it is not known.
func NewRequest(method, rawURL string, headers []string, body []byte) (*Request, error) {
	_, rest, found := strings.Cut(rawURL, "://")
	if !found {
		return nil, fmt.Errorf("%q is no URL: write one such as https://casino.example/wallet/withdraw", rawURL)
	}
	end := strings.IndexAny(rest, `/?#\`)
	if end < 0 {
		end = len(rest)
	}
	r := &Request{Method: method, Host: rest[:end], Target: rest[end:], Header: http.Header{}, Body: body}
	if r.Host == "" {
		return nil, fmt.Errorf("%q names no host: write one such as https://casino.example/wallet/withdraw", rawURL)
	}
	if !strings.HasPrefix(r.Target, "/") {
		r.Target = "/" + r.Target
	}
	for _, line := range headers {
		name, value, found := strings.Cut(line, ":")
		if !found || strings.TrimSpace(name) == "" {
			return nil, fmt.Errorf("%q is no header: write one such as 'X-Original-URL: /wallet'", line)
		}
		r.Header.Add(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	if len(body) > 0 && r.Header.Get("Content-Type") == "" {
		r.Header.Set("Content-Type", typeOf(body))
	}
	return r, nil
}

// typeOf is the content type that curl, or a script, would give a body.
func typeOf(body []byte) string {
	if first := bytes.TrimLeft(body, " \t\r\n"); len(first) > 0 && (first[0] == '{' || first[0] == '[') {
		return "application/json"
	}
	return "application/x-www-form-urlencoded"
}

// errTarget says that no server takes the request, so that it meets no rule.
var errTarget = errors.New("the server answers 400: no HTTP server takes this target")

// isOwn reports whether the gateway of the site answers by itself.
func (r *Request) isOwn(s *Site) bool {
	u, err := url.ParseRequestURI(r.Target)
	return err == nil && s.owns(u.Path)
}

// policy returns the request as the policy takes it. The body is read as the
// gateway of the site does.
func (r *Request) policy(s *Site) (*policy.Request, error) {
	u, err := url.ParseRequestURI(r.Target)
	if err != nil {
		return nil, errTarget
	}
	header := make(map[string][]string, len(r.Header))
	for name, values := range r.Header {
		name = textproto.CanonicalMIMEHeaderKey(name)
		header[name] = append(header[name], values...)
	}
	p := &policy.Request{
		Method: r.Method, Host: r.Host, Targets: [2]string{u.EscapedPath()}, RawQuery: u.RawQuery, Header: header,
	}
	limit := cmp.Or(s.MaxBody, maxBody)
	switch {
	case r.Body == nil:
	case int64(len(r.Body)) > limit:
		p.Body = &policy.Body{Unclear: policy.UnclearTooLarge}
	default:
		p.Body = body.Read(body.Input{Header: header, RawQuery: u.RawQuery, Body: r.Body, Cap: limit, GraphQL: true})
	}
	return p, nil
}
