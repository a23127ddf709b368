package vonage

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/stepgate/stepgate/sms"
)

const (
	// maxAnswer is how much of an answer is read. What is longer is none of Vonage's.
	maxAnswer = 64 << 10
	// lastTimeout ends a request whose context never does.
	lastTimeout = 30 * time.Second
)

// client makes requests to one host.
type client struct {
	base *url.URL
	http *http.Client
	// authorize adds the credentials; nil where they stand in the body.
	authorize func(http.Header) error
}

func newClient(c Config, name string, authorize func(http.Header) error) (*client, error) {
	base, err := parseURL(name, c.URL)
	if err != nil {
		return nil, err
	}
	transport := c.Transport
	if transport == nil {
		transport = newTransport()
	}
	return &client{base, &http.Client{
		Transport: transport,
		Timeout:   lastTimeout,
		// Credentials and codes are meant for the host that was configured.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, authorize}, nil
}

// newTransport returns a transport of the sender's own. Idle connections end before
// Vonage's side would end them: a POST that meets a closed one may have been sent, and
// nobody can say.
func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		ForceAttemptHTTP2:      true,
		MaxIdleConns:           8,
		MaxIdleConnsPerHost:    8,
		MaxConnsPerHost:        64,
		IdleConnTimeout:        30 * time.Second,
		TLSHandshakeTimeout:    5 * time.Second,
		ResponseHeaderTimeout:  15 * time.Second,
		MaxResponseHeaderBytes: maxAnswer,
	}
}

// answer is what Vonage said, of which nobody knows yet whether it makes sense.
type answer struct {
	status int
	body   []byte
}

// call makes one request, whose payload is a form (url.Values), nothing (nil) or
// something that becomes JSON. Every error is an [*sms.Error].
func (c *client) call(ctx context.Context, method, path string, payload any) (answer, error) {
	// The transport says when it has a connection. Before that nothing can have been
	// written; after it, everything may.
	var connected atomic.Bool
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected.Store(true) }}
	request, err := c.request(httptrace.WithClientTrace(ctx, trace), method, path, payload)
	if err != nil {
		return answer{}, err
	}
	response, err := c.http.Do(request)
	if err != nil {
		class := sms.NotSent
		if connected.Load() {
			class = sms.Unknown
		}
		return answer{}, &sms.Error{Class: class, Err: reason(ctx, err)}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	switch {
	case err != nil:
		return answer{}, &sms.Error{Class: sms.Unknown, Err: fmt.Errorf("reading the answer: %w", reason(ctx, err))}
	case len(body) > maxAnswer:
		return answer{}, failure(sms.Unknown, "the answer is longer than any of Vonage's")
	}
	return answer{response.StatusCode, body}, nil
}

func (c *client) request(ctx context.Context, method, path string, payload any) (*http.Request, error) {
	body, contentType, err := encode(payload)
	if err != nil {
		return nil, failure(sms.BadRequest, "the request cannot be encoded")
	}
	request, err := http.NewRequestWithContext(ctx, method, c.base.JoinPath(path).String(), bytes.NewReader(body))
	if err != nil {
		return nil, failure(sms.BadRequest, "the request has no URL") // the cause would repeat it
	}
	request.Header = http.Header{"Accept": {"application/json"}, "User-Agent": {"stepgate"}}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	if c.authorize != nil {
		if err := c.authorize(request.Header); err != nil {
			return nil, &sms.Error{Class: sms.NotSent, Err: err}
		}
	}
	return request, nil
}

func encode(payload any) (body []byte, contentType string, err error) {
	switch p := payload.(type) {
	case nil:
		return nil, "", nil
	case url.Values:
		return []byte(p.Encode()), "application/x-www-form-urlencoded", nil
	}
	body, err = json.Marshal(payload)
	return body, "application/json", err
}

// reason returns what may be said of why there is no answer. Errors of net/http name
// the URL, and may quote what the other side wrote.
func reason(ctx context.Context, err error) error {
	if ended := ctx.Err(); ended != nil {
		return ended
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return context.DeadlineExceeded // the client's own, after lastTimeout
	}
	if e, ok := errors.AsType[*net.OpError](err); ok {
		return e
	}
	if e, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return e
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("vonage closes the connection before the end of an answer")
	}
	return errors.New("vonage gives no answer in HTTP")
}
