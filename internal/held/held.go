// Package held captures a request that has to wait for its player, and restores
// it as it was.
//
// What is captured is what the player is shown and approves: method, target and
// body, byte for byte, with the headers that give the body its meaning. Session
// credentials are not captured: a restored request travels under the cookies of
// the request that released it, so that a held request is worth nothing to
// whoever reads it (invariant I4).
package held

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// Errors on which callers branch.
var (
	// ErrTooLarge says that the body exceeds the cap.
	ErrTooLarge = errors.New("request body exceeds the cap")
	// ErrUnholdable says that the request is of a kind that cannot be sent again:
	// an upgrade, a tunnel, or one with trailers.
	ErrUnholdable = errors.New("request cannot be sent again")
)

// Digest identifies a request: two requests with the same digest ask the site
// for the same thing.
type Digest [sha256.Size]byte

// Request is a captured request.
type Request struct {
	Method string
	Host   string
	// URI is the request target as the client sent it, path and query.
	URI    string
	Header map[string][]string
	Body   []byte
}

// meaning are the headers that say what the body means and what is to be done
// with it; they are part of the digest. kept are those that belong to the captured
// request rather than to the connection or session that releases it.
var (
	meaning = []string{
		"Content-Type", "Content-Encoding", "Content-Language",
		// Behind a site that obeys them, the same POST with one of these is another
		// request (R11).
		"X-Http-Method-Override", "X-Http-Method", "X-Method-Override",
	}
	kept = []string{
		"Content-Type", "Content-Encoding", "Content-Language",
		"Accept", "Accept-Language", "Cache-Control", "Pragma",
		"Origin", "Referer", "Upgrade-Insecure-Requests",
		"Sec-Fetch-Site", "Sec-Fetch-Mode", "Sec-Fetch-Dest", "Sec-Fetch-User",
		"If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since",
		"X-Requested-With", "X-Csrf-Token", "X-Xsrf-Token",
		"X-Http-Method-Override", "X-Http-Method", "X-Method-Override",
	}
	// dropped are headers of the carrier that would contradict the restored body
	// or connection (RFC 9110 section 7.6.1).
	dropped = []string{
		"Connection", "Keep-Alive", "Proxy-Connection", "Te", "Trailer",
		"Transfer-Encoding", "Upgrade", "Expect", "Content-Length",
	}
)

// Capture reads r's body, up to limit bytes, and returns the request. uri is the
// target as the client sent it. r can still be used: its body is replaced by one
// that yields the same bytes, also after an error.
func Capture(r *http.Request, uri string, limit int64) (*Request, error) {
	if Unholdable(r) {
		return nil, ErrUnholdable
	}
	if r.ContentLength > limit {
		return nil, ErrTooLarge
	}
	body, err := readBody(r, limit)
	if err != nil {
		return nil, err
	}
	if len(r.Trailer) > 0 {
		return nil, ErrUnholdable
	}
	h := &Request{Method: r.Method, Host: r.Host, URI: uri, Body: body, Header: map[string][]string{}}
	for _, name := range kept {
		if v := r.Header[name]; len(v) > 0 {
			h.Header[name] = append([]string(nil), v...)
		}
	}
	return h, nil
}

func readBody(r *http.Request, limit int64) ([]byte, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return nil, nil
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, limit+1))
	// Whoever handles r next must see all bytes, those read and those not.
	r.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(body), r.Body), r.Body}
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading request body: %w", err)
	case int64(len(body)) > limit:
		return nil, ErrTooLarge
	}
	return body, nil
}

// Unholdable reports whether a request is of a kind that can be neither held nor
// answered with a page: a tunnel or a protocol upgrade.
func Unholdable(r *http.Request) bool {
	return r.Method == http.MethodConnect || len(r.Header["Upgrade"]) > 0
}

// Digest returns the identity of what h asks for. Every part is preceded by its
// length, so that no two requests share one encoding.
func (h *Request) Digest() Digest {
	d := sha256.New()
	var length [8]byte
	add := func(b []byte) {
		binary.BigEndian.PutUint64(length[:], uint64(len(b)))
		d.Write(length[:])
		d.Write(b)
	}
	add([]byte(h.Method))
	add([]byte(h.Host))
	add([]byte(h.URI))
	for _, name := range meaning {
		values := h.Header[name]
		add([]byte(strconv.Itoa(len(values))))
		for _, v := range values {
			add([]byte(v))
		}
	}
	add(h.Body)
	var sum Digest
	d.Sum(sum[:0])
	return sum
}

// Restore returns the captured request as one that arrives over carrier's
// connection, under carrier's context, cookies and credentials.
func (h *Request) Restore(carrier *http.Request) (*http.Request, error) {
	target, err := url.ParseRequestURI(h.URI)
	if err != nil || h.URI == "" || h.URI[0] != '/' {
		return nil, errors.New("restoring request: held target is not a path")
	}
	if h.Host != carrier.Host {
		return nil, errors.New("restoring request: released on another host")
	}
	r := carrier.Clone(carrier.Context())
	r.Method, r.URL, r.RequestURI = h.Method, target, h.URI
	// What the carrier declares to be its connection's must go before the
	// declaration does, or nobody behind us would know it.
	for _, names := range r.Header["Connection"] {
		for name := range strings.SplitSeq(names, ",") {
			r.Header.Del(strings.TrimSpace(name))
		}
	}
	for _, names := range [][]string{dropped, kept} {
		for _, name := range names {
			delete(r.Header, name)
		}
	}
	for name, values := range h.Header {
		r.Header[name] = append([]string(nil), values...)
	}
	r.Body, r.ContentLength = http.NoBody, 0
	if len(h.Body) > 0 {
		r.Body = io.NopCloser(bytes.NewReader(h.Body))
		r.ContentLength = int64(len(h.Body))
	}
	if len(h.Body) > 0 || h.Method == http.MethodPost || h.Method == http.MethodPut || h.Method == http.MethodPatch {
		// Some transports read the header and not the field (FastCGI).
		r.Header.Set("Content-Length", strconv.Itoa(len(h.Body)))
	}
	r.TransferEncoding, r.Trailer = nil, nil
	r.Form, r.PostForm, r.MultipartForm = nil, nil, nil
	// Without GetBody no transport sends the request twice on its own (I4).
	r.GetBody = nil
	return r, nil
}
