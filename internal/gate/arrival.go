package gate

import (
	"bytes"
	"errors"
	"io"
	"net/http"

	"github.com/stepgate/stepgate/identity"
	"github.com/stepgate/stepgate/internal/audit"
)

// # The attack
//
// Whoever holds a stolen password and an account of their own begins a request under
// their own grant, keeps its body back, logs in as the victim over the same session, and
// then sends the rest. The site looks at the session when it has the whole request, and
// acts on the victim's account. So nobody's request is looked at before all of it is
// here; and of one whose end cannot be waited for, the end goes on only once it is known
// that the session is still the same player's.

// errSwapped ends a body whose sender is not the caller any more.
var errSwapped = errors.New("the session changed hands while the request's body was on its way")

// arrived waits for the body of a request of a length that can be held. It reports
// false for another, which has to be watched to its end; see [Gate.watch].
func (g *Gate) arrived(r *http.Request) (whole bool, err error) {
	switch {
	case r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0:
		return true, nil
	case r.ContentLength < 0 || r.ContentLength > g.MaxBody:
		return false, nil
	}
	// It takes memory as it comes, not as it is announced.
	body, err := io.ReadAll(io.LimitReader(r.Body, r.ContentLength))
	if err == nil && int64(len(body)) < r.ContentLength {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return false, errors.Join(errBody, err)
	}
	r.Body = struct {
		io.Reader
		io.Closer
	}{bytes.NewReader(body), r.Body}
	return true, nil
}

// watch has the body of a request end in an error if the session is another player's, or
// nobody's, by the time all of it is here. A nil who is a visitor.
func (g *Gate) watch(r *http.Request, who *caller) {
	// A copy, which nobody who handles the request changes.
	asked := r.Clone(r.Context())
	asked.Body = http.NoBody
	r.Body = &watched{ReadCloser: r.Body, left: r.ContentLength, check: func() error { return g.unswapped(asked, who) }}
}

// unswapped asks anew whose session it is, and returns an error if it is not who's, or
// if it is somebody's where who is nil.
func (g *Gate) unswapped(r *http.Request, who *caller) error {
	if credential, err := g.Identity.Credential(r); err == nil {
		g.sessions.ask(credential)
	}
	now, err := g.identify(r, own{})
	switch {
	case who == nil && errors.Is(err, identity.ErrAnonymous):
		return nil
	case who == nil:
		who = new(caller)
	case err == nil && now.id == who.id && now.bound.Binding == who.bound.Binding:
		return nil
	}
	// Beside the request, which may be over by the time its body is.
	g.observe(nil, audit.Event{Name: audit.RequestSwapped, Subject: string(who.id)})
	return errors.Join(errSwapped, err)
}

// watched is a body whose end is yielded only after check has said yes: the last of a
// known number of bytes, or the end of a stream, whose parts go on as they come.
type watched struct {
	io.ReadCloser
	// left is how much is to come; negative if that is not known.
	left    int64
	check   func() error
	checked bool
	failed  error
}

func (b *watched) Read(p []byte) (int, error) {
	if b.failed != nil {
		return 0, b.failed
	}
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); !b.checked && (b.left == 0 || errors.Is(err, io.EOF)) {
		b.checked = true
		if b.failed = b.check(); b.failed != nil {
			return 0, b.failed
		}
	}
	return n, err
}
