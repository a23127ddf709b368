package gate_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stepgate/stepgate/identity"
	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/internal/gate"
)

// sharing is a site that keeps the session "shared" over a login, as PHP does that
// is not told otherwise.
type sharing struct {
	identity.Finder
	*source
	player atomic.Value // whose "shared" is
	bind   bool
}

func (s *sharing) Credential(r *http.Request) (identity.Credential, error) {
	return s.Finder.Credential(r)
}

func (s *sharing) Identify(ctx context.Context, r *http.Request, c identity.Credential) (identity.Identity, error) {
	if c.Value == "shared" {
		c.Value = s.player.Load().(string)
	}
	id, err := s.source.Identify(ctx, r, c)
	if s.bind && err == nil {
		id.Binding = identity.BindSubject(id.Subject)
	}
	return id, err
}

// newSharing is a world whose site takes a cookie and a token, and whose answers are
// remembered. Its session "shared" is budi's.
func newSharing(t *testing.T) (*world, *sharing) {
	t.Helper()
	site := new(sharing)
	var err error
	if site.Finder, err = identity.NewFinder(identity.Session{Kind: identity.Cookie, Name: "session"}, identity.Session{Kind: identity.Bearer}); err != nil {
		t.Fatal(err)
	}
	site.player.Store("budi")
	w := newWorldBy(t, func(w *world, s *source) identity.Source {
		site.source = s
		return identity.Cache(site, identity.CacheOptions{Now: w.clock.now})
	})
	return w, site
}

// stepUp passes the challenge of the statement with an authenticator.
func (b *browser) stepUp(secret []byte) {
	b.w.t.Helper()
	id := challengeID(b.w.t, text(b.w.t, b.get("/statement")))
	wantStatus(b.w.t, b.answer("/statement", id, "totp", b.w.totp(secret)), http.StatusSeeOther)
	wantStatus(b.w.t, b.get("/statement"), http.StatusOK)
	b.w.clock.add(30 * time.Second)
}

// A thief who knows sari's password passes a challenge as budi, who he is himself,
// and logs in as sari over the same session.
func TestAttackSessionSwapUnderOneCookie(t *testing.T) {
	t.Run("after the challenge", func(t *testing.T) {
		w, site := newSharing(t)
		mine, _ := w.enrolTOTP("budi")
		w.enrolTOTP("sari")
		thief := w.browser("shared")
		thief.stepUp(mine)
		site.player.Store("sari")
		wantStatus(t, thief.post("/login", "user", "sari"), http.StatusOK)
		wantStatus(t, thief.get("/statement"), http.StatusUnauthorized)
		wantStatus(t, thief.post("/account/email", "email", "thief@example.com"), http.StatusUnauthorized)
	})
	t.Run("between the challenge and its code", func(t *testing.T) {
		w, site := newSharing(t)
		mine, _ := w.enrolTOTP("budi")
		w.enrolTOTP("sari")
		thief := w.browser("shared")
		id := challengeID(t, text(t, thief.post("/account/email", "email", "thief@example.com")))
		site.player.Store("sari")
		wantStatus(t, thief.post("/login", "user", "sari"), http.StatusOK)
		before := len(w.site.all())
		thief.answer("/account/email", id, "totp", w.totp(mine))
		wantHits(t, w, before)
	})
}

// late is a body whose client does something before it sends it.
type late struct {
	io.Reader
	before func()
}

func (l *late) Read(p []byte) (int, error) {
	if l.before != nil {
		before := l.before
		l.before = nil
		before()
	}
	return l.Reader.Read(p)
}

// The same thief keeps the body of his request back until he has logged in as sari:
// whose request it is is decided when all of it is there, however it is sent.
func TestAttackSessionSwapWhileTheBodyIsOnItsWay(t *testing.T) {
	const change = "email=thief@example.com"
	for name, c := range map[string]struct {
		body   string
		length int64
		want   int // 0: the site got a request that broke off
	}{
		"of a known length":       {change, int64(len(change)), http.StatusUnauthorized},
		"of an unknown length":    {change, -1, 0},
		"too large to be held":    {change + strings.Repeat(" ", gate.DefaultMaxBody), int64(len(change)) + gate.DefaultMaxBody, 0},
		"large, of no length":     {change + strings.Repeat(" ", gate.DefaultMaxBody), -1, 0},
		"announced and not there": {change, int64(len(change)) + 1, http.StatusBadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			w, site := newSharing(t)
			mine, _ := w.enrolTOTP("budi")
			w.enrolTOTP("sari")
			thief := w.browser("shared")
			thief.stepUp(mine)
			send := func(body io.Reader) *http.Response {
				r := thief.request("POST", "/account/email", formType, "")
				r.Body, r.ContentLength = io.NopCloser(body), c.length
				return thief.do(r)
			}
			if c.want != http.StatusBadRequest {
				before := len(w.site.all())
				wantStatus(t, send(strings.NewReader(c.body)), http.StatusOK)
				wantHits(t, w, before+1)
			}
			before := len(w.site.all())
			res := send(&late{strings.NewReader(c.body), func() {
				site.player.Store("sari")
				wantStatus(t, thief.post("/login", "user", "sari"), http.StatusOK)
			}})
			wantHits(t, w, before+1) // the login
			if c.want != 0 {
				wantStatus(t, res, c.want)
			} else if !w.saw(audit.RequestSwapped) {
				t.Error("nobody was told of it")
			}
		})
	}
}

// during is the site behind the gate, where something happens while it answers.
type during struct {
	next
	happens func()
}

func (d during) Forward(w http.ResponseWriter, r *http.Request) error {
	defer d.happens()
	return d.next.Forward(w, r)
}

// The same thief asks for the statement while his login is on its way, so that budi
// is remembered, and again before he has read all of its answer.
func TestAttackCacheRaceAtLogin(t *testing.T) {
	w, site := newSharing(t)
	mine, _ := w.enrolTOTP("budi")
	w.enrolTOTP("sari")
	thief := w.browser("shared")
	thief.stepUp(mine)
	login := thief.request("POST", "/login", formType, "user=sari")
	err := w.gate.Serve(httptest.NewRecorder(), login, during{next{w}, func() {
		wantStatus(t, thief.get("/statement"), http.StatusOK) // the session is budi's yet
		site.player.Store("sari")
		wantStatus(t, thief.get("/statement"), http.StatusUnauthorized)
	}})
	if err != nil {
		t.Fatal(err)
	}
	wantStatus(t, thief.get("/statement"), http.StatusUnauthorized)
}

// Each of several gateways remembers by itself: of a login that goes through another one,
// or around all of them, it learns when its answer is over. Until then the thief sees
// the victim's protected pages, and can do nothing; with the cache off not even that.
func TestAttackSessionSwapAtAnotherGateway(t *testing.T) {
	for _, off := range []bool{false, true} {
		w, site := newSharing(t)
		mine, _ := w.enrolTOTP("budi")
		w.enrolTOTP("sari")
		other := &world{t: t, site: w.site, phone: w.phone, clock: w.clock, source: w.source}
		other.identity = identity.Cache(site, identity.CacheOptions{Now: w.clock.now, Off: off})
		other.attach(w.back.Store, w.back.Ring)
		here := w.browser("shared")
		here.stepUp(mine)
		there := here.clone()
		there.w = other
		wantStatus(t, there.get("/statement"), http.StatusOK)

		site.player.Store("sari")
		wantStatus(t, here.post("/login", "user", "sari"), http.StatusOK)
		wantStatus(t, here.get("/statement"), http.StatusUnauthorized)
		want := http.StatusOK
		if off {
			want = http.StatusUnauthorized
		}
		if got := there.get("/statement").StatusCode; got != want {
			t.Errorf("cache off %v: at another gateway the thief's grant for his own account answers %d to a page, want %d", off, got, want)
		}
		// What can do harm is asked about anew, and that is remembered.
		wantStatus(t, there.post("/account/email", "email", "thief@example.com"), http.StatusUnauthorized)
		wantStatus(t, there.get("/statement"), http.StatusUnauthorized)
	}
	t.Run("until the answer is over", func(t *testing.T) {
		w, site := newSharing(t)
		mine, _ := w.enrolTOTP("budi")
		w.enrolTOTP("sari")
		b := w.browser("shared")
		b.stepUp(mine)
		wantStatus(t, b.get("/statement"), http.StatusOK)
		site.player.Store("sari") // by a login that no gateway has seen
		w.clock.add(identity.DefaultTTL - time.Second)
		wantStatus(t, b.get("/statement"), http.StatusOK)
		w.clock.add(time.Second)
		wantStatus(t, b.get("/statement"), http.StatusUnauthorized)
	})
}

// A thief sends his own session, which has passed a challenge, beside a stolen one.
func TestAttackTwoIdentitiesInOneRequest(t *testing.T) {
	w, _ := newSharing(t)
	mine, _ := w.enrolTOTP("budi")
	w.enrolTOTP("sari")
	thief := w.browser("budi")
	thief.stepUp(mine)
	before := len(w.site.all())
	for _, token := range []string{"sari", "nobody"} {
		r := thief.request("GET", "/statement", "", "")
		r.Header.Set("Authorization", "Bearer "+token)
		wantStatus(t, thief.do(r), http.StatusBadRequest)
	}
	stolen := w.browser("sari")
	stolen.jar = thief.jar
	r := stolen.request("GET", "/statement", "", "")
	r.Header.Set("Authorization", "Bearer budi")
	wantStatus(t, stolen.do(r), http.StatusBadRequest)
	wantHits(t, w, before)
	// A second session of the player's own changes nothing.
	r = thief.request("GET", "/statement", "", "")
	r.Header.Set("Authorization", "Bearer budi.2")
	wantStatus(t, thief.do(r), http.StatusOK)
}

// A visitor's cookie beside a token does not speak for anybody: the step-up is bound
// to the token.
func TestAVisitorsCookieBindsNothing(t *testing.T) {
	w, _ := newSharing(t)
	mine, _ := w.enrolTOTP("budi")
	app := w.script("visitor")
	app.header.Set("Authorization", "Bearer budi")
	ch := decode(t, app.get("/statement")).Challenge
	wantStatus(t, app.json("POST", ch.URL, `{"factor":"totp","code":"`+w.totp(mine)+`"}`), http.StatusOK)
	wantStatus(t, app.get("/statement"), http.StatusOK)
	app.session = "visitor2"
	w.clock.add(time.Minute) // nothing is remembered any more
	wantStatus(t, app.get("/statement"), http.StatusOK)
	app.header.Set("Authorization", "Bearer budi.2")
	wantStatus(t, app.get("/statement"), http.StatusUnauthorized)
}

func TestAStepUpIsBoundToTheSubjectWhereTheSiteRotatesSessions(t *testing.T) {
	for _, bind := range []bool{false, true} {
		w, site := newSharing(t)
		site.bind = bind
		mine, _ := w.enrolTOTP("budi")
		w.enrolTOTP("sari")
		b := w.browser("budi.1")
		b.stepUp(mine)
		b.session = "budi.2"
		want := http.StatusUnauthorized
		if bind {
			want = http.StatusOK
		}
		if got := b.get("/statement").StatusCode; got != want {
			t.Errorf("bound to the subject: %v: the next session gets %d, want %d", bind, got, want)
		}
		// In neither case another player, nor one who logs in elsewhere.
		b.session = "sari"
		wantStatus(t, b.get("/statement"), http.StatusUnauthorized)
		wantStatus(t, w.browser("budi.1").get("/statement"), http.StatusUnauthorized)
		// Nor a token of the player's: it is another kind of session.
		r := b.request("GET", "/statement", "", "")
		r.Header.Del("Cookie")
		for name, value := range b.jar {
			r.AddCookie(&http.Cookie{Name: name, Value: value})
		}
		r.Header.Set("Authorization", "Bearer budi.1")
		wantStatus(t, b.do(r), http.StatusUnauthorized)
	}
}

// The session is in a header that neither the gate nor the standard library knows,
// and the handlers behind take it off the request.
func TestAnAnswerThatSetsACookieEndsWhatIsRememberedOfAnySession(t *testing.T) {
	finder, err := identity.NewFinder(identity.Session{Kind: identity.Header, Name: "X-App-Session"})
	if err != nil {
		t.Fatal(err)
	}
	remembers := new(forgetting)
	w := newWorldBy(t, func(_ *world, s *source) identity.Source {
		remembers.source = s
		return struct {
			identity.Finder
			*forgetting
		}{finder, remembers}
	})
	w.site.renewed = "next"
	r := w.script("").request("GET", "/refresh", "", "")
	r.Header.Set("X-App-Session", "budi")
	err = w.gate.Serve(httptest.NewRecorder(), r, during{next{w}, func() { r.Header.Del("X-App-Session") }})
	if err != nil || !slices.Contains(remembers.forgotten, "budi") {
		t.Errorf("Serve = %v, forgot %q, want budi", err, remembers.forgotten)
	}
}

var _ gate.Next = during{}

// A page whose script sends a token can lead the player to the challenge in a new tab, if
// the site keeps a session cookie beside the token: the tab has the cookie alone.
func TestALinkToTheChallengeOfATokenWorksByTheCookieBesideIt(t *testing.T) {
	w, _ := newSharing(t)
	secret, _ := w.enrolTOTP("budi")
	script := w.script("budi")
	script.header.Set("Authorization", "Bearer budi.2")
	ch := decode(t, script.get("/statement")).Challenge
	tab := w.browser("budi")
	tab.jar = script.jar
	page := tab.get(ch.URL)
	if id := challengeID(t, text(t, page)); id != ch.ID {
		t.Fatalf("the link shows challenge %q, want %q", id, ch.ID)
	}
	if res := tab.answer(ch.URL, ch.ID, "totp", w.totp(secret)); res.StatusCode >= http.StatusBadRequest {
		t.Fatalf("the answer is %d:\n%s", res.StatusCode, text(t, res))
	}
	wantStatus(t, script.get("/statement"), http.StatusOK)
	// One request alone has to name its challenge.
	wantStatus(t, script.json("POST", "/api/v1/withdrawals", `{"amount":1,"account":"BCA 1"}`), http.StatusUnauthorized)
}
