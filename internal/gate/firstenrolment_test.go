package gate_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stepgate/stepgate/challengepages"
	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/internal/gate"
)

// newLoginWorld is a world in which a first factor needs a fresh login.
func newLoginWorld(t *testing.T) *world {
	w := newWorld(t)
	c := w.gate.Config
	c.FirstEnrolment = gate.FirstEnrolment{Mode: gate.FirstEnrolmentLogin, For: 10 * time.Minute}
	var err error
	if w.gate, err = gate.New(c); err != nil {
		t.Fatal(err)
	}
	return w
}

// login logs in at the site with the right password and gets the given session.
func (b *browser) login(session string) {
	b.w.t.Helper()
	b.w.site.login = session
	wantStatus(b.w.t, b.post("/login", "username", "dewi", "password", "rahasia"), http.StatusOK)
	b.session = session
	delete(b.jar, "session")
}

func TestInvariantI6AFirstFactorByLoginNeedsASessionThatHasJustLoggedIn(t *testing.T) {
	w := newLoginWorld(t)
	b := w.browser("")
	b.login("dewi.1")
	b.get("/account/security")
	res := b.post(security + "/totp")
	wantStatus(t, res, http.StatusOK)
	wantStatus(t, b.confirmTOTP(text(t, res)), http.StatusOK)
	if a := w.account("dewi"); a.Enrolment("totp") == nil || !a.HeldUntil.IsZero() {
		t.Errorf("account = %v, held until %v: want an authenticator and no hold", a.Enrolments, a.HeldUntil)
	}

	old := w.browser("")
	w.source.phones["eka"] = ""
	old.login("eka.1")
	old.get("/account/security")
	w.clock.add(10*time.Minute + time.Second)
	res = old.post(security + "/totp")
	wantStatus(t, res, http.StatusForbidden)
	if page := text(t, res); !strings.Contains(page, `href="/login"`) {
		t.Errorf("the page does not lead to the login:\n%s", page)
	}
}

// The thief has a session and no password. Whatever they make the site do with the
// session is no login.
func TestInvariantI6AStolenSessionIsNotMadeYoung(t *testing.T) {
	for name, steal := range map[string]func(w *world, thief *browser){
		"a wrong password": func(w *world, thief *browser) {
			w.site.login = "dewi.2"
			thief.post("/login", "username", "dewi", "password", "salah")
		},
		"a site that renews the session": func(w *world, thief *browser) {
			w.site.renewed = "dewi.2"
			thief.post("/login", "username", "dewi", "password", "salah")
			thief.session = "dewi.2"
		},
		"a site that sends the same session again": func(w *world, thief *browser) {
			w.site.renewed = "dewi"
			thief.post("/login", "username", "dewi", "password", "salah")
		},
		"another route that renews it": func(w *world, thief *browser) {
			w.site.renewed = "dewi.2"
			thief.post("/renew")
			thief.session = "dewi.2"
		},
		"reading the login page": func(w *world, thief *browser) {
			w.site.renewed = "dewi.2"
			thief.get("/login")
			thief.session = "dewi.2"
		},
		"a session of nobody's that somebody logs in with later": func(w *world, thief *browser) {
			w.site.login = "eka.1"
			thief.session = ""
			thief.post("/login", "username", "eka", "password", "rahasia")
			thief.session = "eka.1"
			w.source.phones["eka"] = "" // only now the site takes it for hers
		},
		"a login of their own": func(w *world, thief *browser) {
			other := w.browser("")
			w.source.phones["mallory"] = ""
			other.login("mallory.1")
			thief.jar = other.jar
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newLoginWorld(t)
			thief := w.browser("dewi")
			steal(w, thief)
			delete(thief.jar, "session")
			thief.get("/account/security")
			for _, action := range []string{"/totp", "/sms"} {
				wantStatus(t, thief.post(security+action, challengepages.FieldPhone, "0812 0000 1111"), http.StatusForbidden)
			}
			if w.account("dewi").Setup != nil || w.account("eka").Setup != nil || w.phone.count() > 0 {
				t.Error("a set-up has begun")
			}
		})
	}
}

func TestInvariantI6AFreshLoginIsNoWayAroundTheRegisteredPhone(t *testing.T) {
	w := newLoginWorld(t)
	b := w.browser("")
	b.login("agus.1")
	b.get("/account/security")
	wantStatus(t, b.post(security+"/totp"), http.StatusUnauthorized)
	if got := w.phone.last(t).To.E164(); got != "+628111222333" {
		t.Errorf("the code went to %s, want the phone that the site knows", got)
	}
}

func TestAFirstFactorBySupportIsNotBoundHere(t *testing.T) {
	w := newWorld(t)
	w.gate.FirstEnrolment = gate.FirstEnrolment{Mode: gate.FirstEnrolmentSupport}
	b := w.browser("dewi")
	b.get("/account/security")
	res := b.post(security + "/totp")
	wantStatus(t, res, http.StatusForbidden)
	if page := text(t, res); !strings.Contains(page, security+"/help") || !w.saw(audit.RequestNoFactor) {
		t.Errorf("the page does not lead to help:\n%s", page)
	}
	// Where the site knows the phone, support is not needed.
	agus := w.browser("agus")
	agus.get("/account/security")
	wantStatus(t, agus.post(security+"/totp"), http.StatusUnauthorized)
}

func TestAFirstFactorByLoginNeedsALoginPage(t *testing.T) {
	w := newWorld(t)
	c := w.gate.Config
	c.LoginPage, c.FirstEnrolment = "", gate.FirstEnrolment{Mode: gate.FirstEnrolmentLogin}
	if _, err := gate.New(c); err == nil || !strings.Contains(err.Error(), "login_page") {
		t.Errorf("New = %v, want an error that asks for login_page", err)
	}
}
