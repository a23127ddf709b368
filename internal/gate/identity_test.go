package gate_test

import (
	"net/http"
	"sync"
	"testing"

	"github.com/stepgate/stepgate/identity"
)

// forgetting notes what the gate tells an identity source that remembers.
type forgetting struct {
	*source
	mu        sync.Mutex
	forgotten []string
}

func (f *forgetting) Forget(c identity.Credential) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.forgotten = append(f.forgotten, c.Value)
}

func (f *forgetting) ForgetAll() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.forgotten = append(f.forgotten, "all")
}

func (f *forgetting) Unsettle(c identity.Credential) func() {
	f.Forget(c)
	return func() { f.Forget(c) }
}

// I9: whoever logs in to a second account over the session in which a challenge
// was passed for the first must not be taken for the first.
func TestWhatMayChangeTheSessionEndsWhatIsRememberedOfIt(t *testing.T) {
	var remembers *forgetting
	w := newWorldBy(t, func(_ *world, s *source) identity.Source {
		remembers = &forgetting{source: s}
		return remembers
	})
	b := w.browser("budi")
	twice := func() *http.Request {
		r := b.request("POST", "/login", formType, "user=sari")
		r.AddCookie(&http.Cookie{Name: "session", Value: "x"})
		return r
	}
	for _, tt := range []struct {
		name string
		r    *http.Request
		want string
	}{
		{"a page changes nothing", b.request("GET", "/", "", ""), ""},
		{"an unprotected POST may be a login", b.request("POST", "/login", formType, "user=sari"), "budi"},
		{"a protected POST is looked at anew", b.request("POST", withdraw, formType, "amount=1"), "budi"},
		{"of two sessions nobody knows which", twice(), "all"},
	} {
		remembers.forgotten = nil
		b.do(tt.r)
		if tt.want == "" && len(remembers.forgotten) != 0 || tt.want != "" && (len(remembers.forgotten) == 0 || remembers.forgotten[0] != tt.want) {
			t.Errorf("%s: forgot %q, want %q", tt.name, remembers.forgotten, tt.want)
		}
	}
}
