package identity

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// issuer publishes keys.
type issuer struct {
	server *httptest.Server
	asked  atomic.Int64
	// answer is what it publishes; nil for status 503.
	answer atomic.Pointer[[]byte]
	handle atomic.Pointer[http.HandlerFunc] // instead, if set

	mu sync.Mutex // guards now
	at time.Time
}

func newIssuer(t *testing.T, keys []byte) *issuer {
	t.Helper()
	i := &issuer{at: noon}
	i.answer.Store(&keys)
	i.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.asked.Add(1)
		if handle := i.handle.Load(); handle != nil {
			(*handle)(w, r)
			return
		}
		answer := i.answer.Load()
		if answer == nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write(*answer)
	}))
	t.Cleanup(i.server.Close)
	return i
}

func (i *issuer) now() time.Time {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.at
}

func (i *issuer) pass(d time.Duration) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.at = i.at.Add(d)
}

func (i *issuer) publish(keys ...map[string]any) {
	set := setOf(keys...)
	i.answer.Store(&set)
}

// jwt takes tokens of the issuer's for as long as the tests last.
func (i *issuer) jwt(t *testing.T) *JWT {
	t.Helper()
	return newTestJWT(t, func(c *JWTConfig) { c.Keys, c.JWKS, c.Now = nil, i.server.URL+"/jwks", i.now })
}

// lasting is a token of one of the keys that lasts for the day.
func lasting(key any, kid string) string {
	return signed(key, header("ES256", kid), says(map[string]any{"exp": noon.Add(24 * time.Hour).Unix()}))
}

func (i *issuer) wantAsked(t *testing.T, want int64) {
	t.Helper()
	if got := i.asked.Load(); got != want {
		t.Errorf("the issuer was asked %d times, want %d", got, want)
	}
}

func TestAKeyThatTheIssuerBeginsToUseIsKnownAtOnce(t *testing.T) {
	k := testKeys()
	i := newIssuer(t, setOf(jwk(k.ec.Public(), "e", nil)))
	j := i.jwt(t)
	i.wantAsked(t, 0)
	j.want(t, lasting(k.ec, "e"), known)
	j.want(t, lasting(k.ec, "e"), known)
	i.wantAsked(t, 1)
	i.pass(keysAskAgain)
	i.publish(jwk(k.ec.Public(), "e", nil), jwk(k.ecOther.Public(), "o", nil))
	j.want(t, lasting(k.ecOther, "o"), known)
	j.want(t, lasting(k.ec, "e"), known)
	i.wantAsked(t, 2)
}

func TestAKeyThatTheIssuerWithdrawsIsForgottenInTime(t *testing.T) {
	k := testKeys()
	i := newIssuer(t, setOf(jwk(k.ec.Public(), "e", nil)))
	j := i.jwt(t)
	j.want(t, lasting(k.ec, "e"), known)
	i.publish(jwk(k.ecOther.Public(), "o", nil))
	i.pass(keysFreshFor - time.Second)
	j.want(t, lasting(k.ec, "e"), known)
	i.pass(time.Second)
	j.want(t, lasting(k.ec, "e"), visitor)
}

// Whoever makes up ids of keys makes us ask the issuer, and once in a while only.
func TestAttackFloodOfMadeUpKeyIDs(t *testing.T) {
	k := testKeys()
	i := newIssuer(t, setOf(jwk(k.ec.Public(), "e", nil)))
	j := i.jwt(t)
	for n := range 100 {
		j.want(t, lasting(k.ecOther, fmt.Sprint("made-up-", n)), visitor)
	}
	i.wantAsked(t, 1)
	i.pass(keysAskAgain)
	var all sync.WaitGroup
	for n := range 20 {
		all.Go(func() { j.want(t, lasting(k.ecOther, fmt.Sprint("made-up-", n)), visitor) })
	}
	all.Wait()
	i.wantAsked(t, 2)
}

// What is known goes on for an hour while the issuer is down. A key that is not known
// then may be a good one: it is no visitor's.
func TestWhatIsKnownOutlivesAnOutageOfTheIssuer(t *testing.T) {
	k := testKeys()
	i := newIssuer(t, setOf(jwk(k.ec.Public(), "e", nil)))
	j := i.jwt(t)
	j.want(t, lasting(k.ec, "e"), known)
	i.answer.Store(nil)
	i.pass(keysKeptFor - time.Second)
	j.want(t, lasting(k.ec, "e"), known)
	j.want(t, lasting(k.ecOther, "o"), failing)
	i.wantAsked(t, 2)
	i.pass(time.Second)
	j.want(t, lasting(k.ec, "e"), failing)
	i.wantAsked(t, 2) // asked a second ago
	i.pass(keysAskAgain)
	i.publish(jwk(k.ecOther.Public(), "o", nil))
	j.want(t, lasting(k.ecOther, "o"), known)
	j.want(t, lasting(k.ec, "e"), visitor)
}

func TestWithoutKeysNobodyIsAVisitor(t *testing.T) {
	for name, handle := range map[string]http.HandlerFunc{
		"down":      func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) },
		"no answer": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"no JSON":   func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<!doctype html>") },
		"no set":    func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"jwks_uri":"https://login.example"}`) },
		"a huge set": func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `{"keys":[],"x":"`+strings.Repeat("x", maxJWKS)+`"}`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			i := newIssuer(t, nil)
			i.handle.Store(&handle)
			j := i.jwt(t)
			j.want(t, lasting(testKeys().ec, "e"), failing)
			j.want(t, lasting(testKeys().ec, ""), failing)
			i.wantAsked(t, 1)
			j.want(t, "no token", visitor) // needs no key
		})
	}
}

// Whoever gets the issuer to redirect would sign for everybody.
func TestAttackKeysFromWhereARedirectLeads(t *testing.T) {
	k := testKeys()
	attacker := newIssuer(t, setOf(jwk(k.ecOther.Public(), "e", nil)))
	i := newIssuer(t, nil)
	redirect := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, attacker.server.URL, http.StatusFound)
	})
	i.handle.Store(&redirect)
	i.jwt(t).want(t, lasting(k.ecOther, "e"), failing)
	attacker.wantAsked(t, 0)
}

// An issuer that does not answer holds nobody for longer than the timeout, nor who has
// left.
func TestAnIssuerThatHangsHoldsNobody(t *testing.T) {
	i := newIssuer(t, nil)
	hang := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	i.handle.Store(&hang)
	j := newTestJWT(t, func(c *JWTConfig) { c.Keys, c.JWKS, c.Now, c.Timeout = nil, i.server.URL, i.now, 50*time.Millisecond })
	ctx, leave := context.WithCancel(t.Context())
	leave()
	if _, err := j.Identify(ctx, nil, bearer(lasting(testKeys().ec, "e"))); !errors.Is(err, context.Canceled) {
		t.Errorf("Identify = %v, want %v", err, context.Canceled)
	}
	j.want(t, lasting(testKeys().ec, "e"), failing)
	i.wantAsked(t, 1)
}

func TestReadingKeysThatPanicsIsAnError(t *testing.T) {
	i := newIssuer(t, nil)
	j := i.jwt(t)
	j.keys.(*jwks).transport = roundTrip(func(*http.Request) (*http.Response, error) { panic("odd") })
	j.want(t, lasting(testKeys().ec, "e"), failing)
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
