package caddymodule

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/stepgate/stepgate/challengepages"
	"github.com/stepgate/stepgate/identity"
	"github.com/stepgate/stepgate/internal/gate"
	"github.com/stepgate/stepgate/policy"
)

// somebody is an identity source that knows everybody.
type somebody struct{}

func (somebody) Credential(*http.Request) (identity.Credential, error) {
	return identity.Credential{Kind: identity.Cookie, Name: "session", Value: "1"}, nil
}

func (somebody) Identify(context.Context, *http.Request, identity.Credential) (identity.Identity, error) {
	return identity.Identity{Subject: "u-1"}, nil
}

type noRandomness struct{}

func (noRandomness) Read([]byte) (int, error) { return 0, errors.New("secret cause") }

// newStepUp returns a handler over a store and a source of randomness.
func newStepUp(t *testing.T, backend func(context.Context) (*gate.Backend, error), rand io.Reader) *StepUp {
	t.Helper()
	set, err := policy.Compile([]policy.Rule{{Name: "withdrawal", Paths: []string{"/wallet/withdraw"}}})
	if err != nil {
		t.Fatal(err)
	}
	pages, err := challengepages.New(challengepages.Brand{Name: "Example Casino"})
	if err != nil {
		t.Fatal(err)
	}
	g, err := gate.New(gate.Config{
		Policy: set, Identity: somebody{}, Backend: backend, Pages: pages, Rand: rand,
		ClientIP: clientIP, Original: originalURL, Observe: (&App{audit: zap.NewNop()}).observe,
	})
	if err != nil {
		t.Fatal(err)
	}
	return &StepUp{gate: g, logger: zap.NewNop()}
}

func unavailable(context.Context) (*gate.Backend, error) { return nil, errCleanedUp }

func prepare(r *http.Request) *http.Request {
	return caddyhttp.PrepareRequest(r, caddy.NewReplacer(), httptest.NewRecorder(), new(caddyhttp.Server))
}

// Caddy tells a handler's error apart by its type; wrapped it would be a blank 500.
func TestErrorsOfTheSiteAreReturnedUnchanged(t *testing.T) {
	h := newStepUp(t, unavailable, nil)
	want := caddyhttp.Error(http.StatusBadGateway, errors.New("no upstream"))
	got := h.ServeHTTP(httptest.NewRecorder(), prepare(httptest.NewRequest("GET", "/", nil)), caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error {
		return want
	}))
	if he, ok := got.(caddyhttp.HandlerError); !ok || he.ID != want.ID {
		t.Errorf("ServeHTTP = %#v, want the error of the site", got)
	}
}

// I1, I8: an error that left the handler would start the error routes, which may
// lead to the site, and its text would be shown there.
func TestInvariantI1ErrorsOfTheGateAreAnsweredByTheGate(t *testing.T) {
	s := newStore(t)
	ring, err := newKeyring(newFileStorage(t)).open(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	backend, err := gate.NewBackend(s, ring, noRandomness{}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer backend.Close()
	h := newStepUp(t, func(context.Context) (*gate.Backend, error) { return backend, nil }, noRandomness{})
	w := httptest.NewRecorder()
	// The page needs a secret for the browser, and there is no randomness for it.
	r := prepare(httptest.NewRequest("GET", "/.stepgate/security", nil))
	if err := h.ServeHTTP(w, r, caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error {
		t.Error("the request went on to the site")
		return nil
	})); err != nil {
		t.Errorf("ServeHTTP = %v, want nil", err)
	}
	if w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), "secret cause") {
		t.Errorf("the answer is %d %q, want a 500 without the cause", w.Code, w.Body)
	}
}

// I10: a handler that was cleaned up refuses what it cannot check.
func TestInvariantI10AHandlerWithoutAStoreRefusesProtectedRequestsOnly(t *testing.T) {
	h := newStepUp(t, unavailable, nil)
	forwarded := 0
	next := caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error {
		forwarded++
		return nil
	})
	w := httptest.NewRecorder()
	if err := h.ServeHTTP(w, prepare(httptest.NewRequest("POST", "/wallet/withdraw", nil)), next); err != nil {
		t.Fatal(err)
	}
	if w.Code != http.StatusServiceUnavailable || forwarded != 0 {
		t.Errorf("a protected request was answered %d and forwarded %d times, want 503 and none", w.Code, forwarded)
	}
	if err := h.ServeHTTP(httptest.NewRecorder(), prepare(httptest.NewRequest("GET", "/", nil)), next); err != nil || forwarded != 1 {
		t.Errorf("an open request was forwarded %d times, %v, want once", forwarded, err)
	}
}

func TestReleasingWithoutAServerIsAnErrorOfTheGate(t *testing.T) {
	on := onward{next: caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error {
		t.Error("a released request skipped the server")
		return nil
	})}
	r := httptest.NewRequest("POST", "/wallet/withdraw", nil)
	for _, r := range []*http.Request{r, r.WithContext(context.WithValue(r.Context(), caddyhttp.ServerCtxKey, (*caddyhttp.Server)(nil)))} {
		if err := on.Release(httptest.NewRecorder(), r); err == nil || on.gone {
			t.Errorf("Release = %v, gone = %v, want an error of the gate", err, on.gone)
		}
	}
}

func TestTheOriginalURLIsTheOneThatTheClientAskedFor(t *testing.T) {
	r := prepare(httptest.NewRequest("GET", "/a%2fb/c?d=e", nil))
	if u := originalURL(r); u != nil {
		t.Errorf("originalURL = %v where nothing was rewritten, want nil", u)
	}
	for name, change := range map[string]func(u *url.URL){
		"path": func(u *url.URL) { u.Path, u.RawPath = "/x", "" }, "escaping": func(u *url.URL) { u.RawPath = "" }, "query": func(u *url.URL) { u.RawQuery = "" },
	} {
		r := prepare(httptest.NewRequest("GET", "/a%2fb/c?d=e", nil))
		change(r.URL)
		if u := originalURL(r); u == nil || u.RequestURI() != "/a%2fb/c?d=e" {
			t.Errorf("originalURL after a change of the %s = %v, want /a%%2fb/c?d=e", name, u)
		}
	}
	if u := originalURL(httptest.NewRequest("GET", "/", nil)); u != nil {
		t.Errorf("originalURL without Caddy = %v, want nil", u)
	}
	if n := testing.AllocsPerRun(100, func() { originalURL(r) }); n != 0 {
		t.Errorf("originalURL allocates %v times, want none", n)
	}
}

// Everything that a site serves goes through here.
func TestAnOpenRequestCostsOneSmallAllocation(t *testing.T) {
	h := newStepUp(t, unavailable, nil)
	r := prepare(httptest.NewRequest("GET", "/assets/casino.css", nil))
	w := httptest.NewRecorder()
	next := caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })
	if n := testing.AllocsPerRun(100, func() { _ = h.ServeHTTP(w, r, next) }); n > 1 {
		t.Errorf("an open request allocates %v times, want 1", n)
	}
}

func TestTheFactorLabelHasFewValues(t *testing.T) {
	for factor, want := range map[string]string{"": "", "totp": "totp", "sms": "sms", "recovery_key": "recovery_key", "x\n1": "other", "TOTP": "other"} {
		if got := factorLabel(factor); got != want {
			t.Errorf("factorLabel(%q) = %q, want %q", factor, got, want)
		}
	}
}
