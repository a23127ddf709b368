// Package identity is the contract by which Stepgate learns whose request it is
// looking at. Stepgate has no login of its own: it borrows the site's session,
// whatever that is, and a wrong answer here is a bypass. A source therefore
// either knows, or says that nobody is logged in, or fails; it never guesses.
package identity

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"sync/atomic"
	"time"
)

// Errors on which callers branch. Any other error from a source means that it
// could not find out: the caller must refuse the request as unavailable.
var (
	// ErrAnonymous says that the request bears no session, or one that the site
	// does not know.
	ErrAnonymous = errors.New("no session")
	// ErrAmbiguous says that the request bears session credentials of which the site
	// might honour another one than we do.
	ErrAmbiguous = errors.New("more than one session credential")
)

// Kind says how a session credential travels.
type Kind byte

// The kinds of credential.
const (
	// Cookie is a session cookie, which a browser attaches by itself.
	Cookie Kind = 'c'
	// Bearer is a token in the Authorization header (RFC 6750), which a browser
	// never attaches by itself.
	Bearer Kind = 'b'
	// Header is any other header that carries the session, such as the
	// Authorization header of HTTP Basic authentication.
	Header Kind = 'h'
)

// Credential is what the site itself recognises the player by. Value is a
// secret.
//
// A request may bear several of different kinds or names, such as a cookie and a
// token. Then a Credential is the first of them and leads to the others, which
// [Credential.All] gives; two are compared with [Credential.Shares], not with ==.
type Credential struct {
	Kind Kind
	// Name is the cookie's or header's name.
	Name  string
	Value string

	// beside is what else the request bears.
	beside *Credential
}

// All returns a credential and those that the request bears beside it, each by
// itself.
func (c Credential) All() iter.Seq[Credential] {
	return func(yield func(Credential) bool) {
		for next := &c; next != nil; next = next.beside {
			if !yield(next.alone()) {
				return
			}
		}
	}
}

// Several reports whether the request bears more than one.
func (c Credential) Several() bool { return c.beside != nil }

// alone returns a credential without those beside it.
func (c Credential) alone() Credential {
	c.beside = nil
	return c
}

// Shares reports whether one of the credentials in c is one of those in o.
func (c Credential) Shares(o Credential) bool {
	for one := range c.All() {
		for other := range o.All() {
			if one == other {
				return true
			}
		}
	}
	return false
}

// String keeps the credential out of logs.
func (c Credential) String() string { return string(c.Kind) + ":" + c.Name + "=REDACTED" }

// GoString keeps the credential out of %#v.
func (c Credential) GoString() string { return c.String() }

// Identity is what the site says about the holder of a credential.
type Identity struct {
	// Subject is the site's own stable id of the account; never empty.
	Subject string
	// Login, Email and Phone are as the site gives them; each may be empty.
	Login string
	Email string
	Phone string

	// Credential is the one that speaks for the player, of several in the request;
	// zero where the request bore but one.
	Credential Credential
	// Binding is what a step-up is bound to where the site gives out new credentials all
	// the time, so that nothing can be bound to the value of one: see [BindSubject] and
	// [BindClaim]. It counts together with the kind of the credential and its name. Empty
	// for the credential's value.
	Binding string

	// Authentication is what the issuer of a token says of how the player logged in; nil
	// where nobody says it whose word counts.
	Authentication *Authentication
}

// Authentication is how and when a player was authenticated, in the words of OpenID
// Connect Core section 2 and RFC 9470 section 6. It is only what a verified token says.
type Authentication struct {
	// ACR is the class of the authentication; empty if it is not known.
	ACR string
	// AMR are the methods (RFC 8176).
	AMR []string
	// At is when it was, in whole seconds. It is never zero, and may lie a little ahead of
	// our clock: see [JWTConfig.Skew].
	At time.Time
}

// A separator stands in no subject and in no claim, so that none can be written that
// passes for another thing.
const separator = "\x00"

// BindSubject returns the Binding to a subject. The cost: a step-up outlives the session,
// so that logging out ends nothing that Stepgate is not told of, and a new login of the
// same player in the same browser finds it again.
func BindSubject(subject string) string { return "subject" + separator + subject }

// BindClaim returns the Binding to what a token says under a name, such as an id of the
// session that all its tokens share.
func BindClaim(name, value string) string { return "claim" + separator + name + separator + value }

// String keeps personal data out of logs.
func (Identity) String() string { return "identity(REDACTED)" }

// GoString keeps personal data out of %#v.
func (Identity) GoString() string { return "identity(REDACTED)" }

// Source turns a request into an identity. Both methods may be called from
// several goroutines.
type Source interface {
	// Credential finds the session credential in a request, without any I/O, or
	// several that can stand side by side. It returns ErrAnonymous if there is none
	// and ErrAmbiguous if it cannot tell which one the site will read.
	Credential(r *http.Request) (Credential, error)

	// Identify says whose credential it is. It returns ErrAnonymous if the site
	// does not know it, and ErrAmbiguous if several are not of one player.
	Identify(ctx context.Context, r *http.Request, c Credential) (Identity, error)
}

// Recaller is implemented by sources that remember answers and can keep beside one
// what its user derives from it.
type Recaller interface {
	Source

	// Recall is Identify, with the memo of the answer. The memo belongs to this one
	// credential and this one identity: an answer that is asked for anew has another,
	// empty one. It is never nil.
	Recall(ctx context.Context, r *http.Request, c Credential) (Identity, *Memo, error)
}

// Memo holds one value that was derived from a credential and its identity, so that
// it need not be derived for each request. It is safe for concurrent use; its zero
// value is empty.
type Memo struct {
	value atomic.Value
	asked time.Time
}

// Asked returns when the question was put whose answer the memo belongs to; the zero time
// if that is not known.
func (m *Memo) Asked() time.Time { return m.asked }

// Load returns what was stored last, nil at first.
func (m *Memo) Load() any { return m.value.Load() }

// Store keeps a value. All values stored in one memo must be of one type.
func (m *Memo) Store(v any) { m.value.Store(v) }

// Forgetter is implemented by sources that remember answers. After Forget has
// returned, Identify does not return an answer that was asked for before.
type Forgetter interface {
	Forget(c Credential)
	// ForgetAll is Forget for every credential: for a request that may have changed
	// who is logged in, of which nobody can say in which session.
	ForgetAll()
	// Unsettle is Forget for as long as a request is under way that may change whose
	// credential it is: until settled is called nothing is remembered about it, and
	// what was asked for by then is forgotten. settled may be called once.
	Unsettle(c Credential) (settled func())
}
