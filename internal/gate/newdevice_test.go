package gate_test

import (
	"context"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stepgate/stepgate/challengepages"
	"github.com/stepgate/stepgate/identity"
	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/internal/gate"
	"github.com/stepgate/stepgate/policy"
)

// counted counts the questions to the site.
type counted struct {
	identity.Source
	asked atomic.Int32
}

func (c *counted) Identify(ctx context.Context, r *http.Request, cred identity.Credential) (identity.Identity, error) {
	c.asked.Add(1)
	return c.Source.Identify(ctx, r, cred)
}

// devices is a world with a rule for new devices, whose site keeps a session over a
// login: "shared" is whose site.player says.
type devices struct {
	*world
	site    *sharing
	counted *counted
}

func newDevices(t *testing.T, alter ...func(*policy.Rule)) *devices {
	t.Helper()
	d := &devices{site: new(sharing)}
	var err error
	if d.site.Finder, err = identity.NewFinder(identity.Session{Kind: identity.Cookie, Name: "session"}, identity.Session{Kind: identity.Bearer}); err != nil {
		t.Fatal(err)
	}
	d.site.player.Store("nobody")
	d.world = newWorldBy(t, func(w *world, s *source) identity.Source {
		rule := policy.Rule{Kind: policy.NewDevice, Name: "new_device", Paths: []string{"/*"}, ExceptPaths: []string{"/assets/*", "/logout"}}
		for _, change := range alter {
			change(&rule)
		}
		w.extra = []policy.Rule{rule, {Kind: policy.Login, Name: "sso", Paths: []string{"/sso/callback"}}}
		d.site.source = s
		d.counted = &counted{Source: d.site}
		return identity.Cache(d.counted, identity.CacheOptions{Now: w.clock.now})
	})
	d.clock.add(time.Minute)
	return d
}

// known is a browser of sari's that passed the challenge for new devices.
func (d *devices) known(session string, secret []byte, trust string) *browser {
	d.t.Helper()
	b := d.browser(session)
	id := challengeID(d.t, text(d.t, b.get("/lobby")))
	wantStatus(d.t, b.post("/lobby", challengepages.FieldChallenge, id, challengepages.FieldAction, challengepages.ActionAnswer,
		challengepages.FieldFactor, "totp", challengepages.FieldCode, d.totp(secret), challengepages.FieldTrust, trust), http.StatusSeeOther)
	d.clock.add(30 * time.Second)
	wantStatus(d.t, b.get("/lobby"), http.StatusOK)
	return b
}

// with is another browser with the cookies of b.
func (b *browser) with(session string) *browser {
	other := b.w.browser(session)
	other.jar = maps.Clone(b.jar)
	return other
}

func TestANewDeviceIsChallengedBeforeAnythingElse(t *testing.T) {
	d := newDevices(t)
	secret, _ := d.enrolTOTP("sari")
	d.enrolTOTP("budi")
	for _, target := range []string{"/lobby", "/", "/nowhere", "/assets/../lobby", "/ASSETS/app.js", "/assets%2fapp.js", "/login"} {
		wantStatus(t, d.browser("sari").get(target), http.StatusUnauthorized)
	}
	wantStatus(t, d.browser("sari").post("/play", "bet", "1"), http.StatusUnauthorized)
	p := decode(t, d.script("sari").get("/api/me"))
	if p.Rule != "new_device" || p.Challenge.SingleUse {
		t.Errorf("an app gets %+v", p)
	}
	wantHits(t, d.world, 0)
	for i, b := range []*browser{d.browser(""), d.browser("nobody")} {
		wantStatus(t, b.get("/lobby"), http.StatusOK)
		wantStatus(t, b.post("/login", "user", "sari"), http.StatusOK)
		wantHits(t, d.world, 2*i+2)
	}
	wantStatus(t, d.browser("sari").get("/assets/app.js"), http.StatusOK)
	wantStatus(t, d.browser("sari").get("/logout"), http.StatusOK)

	trusted := d.known("sari", secret, "1")
	for _, b := range []*browser{trusted, trusted.with("sari.2")} { // the next session
		wantStatus(t, b.get("/lobby"), http.StatusOK)
		wantStatus(t, b.post("/play", "bet", "1"), http.StatusOK)
	}
	// A trusted device is no factor; and it is sari's.
	wantStatus(t, trusted.withdraw("100000"), http.StatusUnauthorized)
	wantStatus(t, trusted.get("/statement"), http.StatusUnauthorized)
	wantStatus(t, trusted.with("budi").get("/lobby"), http.StatusUnauthorized)
	// Cleared cookies, a private window, another browser.
	wantStatus(t, d.browser("sari").get("/lobby"), http.StatusUnauthorized)
	if d.saw(audit.RequestGranted) {
		t.Error("ordinary play is reported")
	}
}

// A form of ours never reaches the site, whoever sends it: it has a code in it.
func TestAnAnswerToAChallengeReachesNoSite(t *testing.T) {
	d := newDevices(t)
	secret, _ := d.enrolTOTP("sari")
	b := d.browser("sari")
	id := challengeID(t, text(t, b.get("/lobby")))
	for _, session := range []string{"", "nobody"} { // it has ended meanwhile
		if got := b.with(session).answer("/lobby", id, "totp", d.totp(secret)).StatusCode; got != http.StatusUnauthorized {
			t.Errorf("in the session %q it is answered %d, want 401", session, got)
		}
	}
	r := b.request("POST", "/lobby", formType, form(challengepages.FieldChallenge, id))
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	wantStatus(t, b.do(r), http.StatusForbidden)
	wantHits(t, d.world, 0)
}

// Who does not trust the browser is asked once a session.
func TestWithoutTrustANewDeviceIsAskedOnceASession(t *testing.T) {
	d := newDevices(t)
	secret, _ := d.enrolTOTP("sari")
	b := d.known("sari", secret, "")
	d.clock.add(23 * time.Hour)
	wantStatus(t, b.get("/lobby"), http.StatusOK)
	wantStatus(t, b.with("sari.2").get("/lobby"), http.StatusUnauthorized)
	d.clock.add(time.Hour)
	wantStatus(t, b.get("/lobby"), http.StatusUnauthorized)
}

// A browser asks for a page, what is on it and, in another tab, for another page: that is
// one challenge and one SMS, and whoever passes it stays where they are.
func TestANewDeviceGetsOneCodeForAllPages(t *testing.T) {
	d := newDevices(t)
	d.enrolSMS("budi")
	d.clock.add(time.Minute)
	sent := d.phone.count()
	b := d.browser("budi")
	id := challengeID(t, text(t, b.get("/lobby?tab=1")))
	for _, kind := range []string{"image", "style", "script", "font", "manifest"} {
		part := b.request("GET", "/favicon.ico", "", "")
		part.Header.Set("Sec-Fetch-Dest", kind)
		part.Header.Set("Sec-Fetch-Mode", "no-cors")
		wantStatus(t, b.do(part), http.StatusForbidden)
	}
	script := d.script("budi")
	script.jar = b.jar
	if got := decode(t, script.get("/api/me")).Challenge.ID; got != id {
		t.Errorf("a script of the page gets challenge %s, want the page's %s", got, id)
	}
	if got := challengeID(t, text(t, b.get("/wallet"))); got != id {
		t.Errorf("another tab gets challenge %s, want the first's %s", got, id)
	}
	if n := d.phone.count() - sent; n != 1 {
		t.Fatalf("%d SMS were sent, want one", n)
	}
	res := b.answer("/wallet", id, "sms", d.phone.last(t).Code)
	wantStatus(t, res, http.StatusSeeOther)
	if got := res.Header.Get("Location"); got != "/wallet" {
		t.Errorf("the player is led to %q", got)
	}
	wantStatus(t, b.get("/lobby?tab=1"), http.StatusOK)
	wantStatus(t, script.get("/api/me"), http.StatusOK)
}

// The recovery key lets a player in, too, after the new one was shown.
func TestANewDeviceIsConfirmedByTheRecoveryKey(t *testing.T) {
	d := newDevices(t)
	_, key := d.enrolTOTP("sari")
	b := d.browser("sari")
	id := challengeID(t, text(t, b.get("/lobby")))
	wantStatus(t, b.answer("/lobby", id, "recovery_key", key), http.StatusOK)
	res := b.post("/lobby", challengepages.FieldChallenge, id, challengepages.FieldAction, challengepages.ActionContinue)
	wantStatus(t, res, http.StatusSeeOther)
	wantStatus(t, b.get("/lobby"), http.StatusOK)
}

// One code answers for the new device and for what is held.
func TestANewDeviceAndAWithdrawalAreOneChallenge(t *testing.T) {
	d := newDevices(t)
	secret, _ := d.enrolTOTP("sari")
	b := d.browser("sari")
	id := challengeID(t, text(t, b.withdraw("100000")))
	wantStatus(t, b.answer(withdraw, id, "totp", d.totp(secret)), http.StatusOK)
	wantHits(t, d.world, 1)
	wantStatus(t, b.get("/lobby"), http.StatusOK)
}

func TestPlayersWithoutAFactorMeetWhatTheRuleForNewDevicesSays(t *testing.T) {
	for _, c := range []struct {
		what policy.Unenrolled
		want int
	}{
		{policy.UnenrolledAllow, http.StatusOK}, {policy.UnenrolledEnrol, http.StatusForbidden},
		{policy.UnenrolledRegisteredPhone, http.StatusUnauthorized},
	} {
		d := newDevices(t, func(r *policy.Rule) { r.Unenrolled = c.what })
		wantStatus(t, d.browser("agus").get("/lobby"), c.want)
	}
}

// With a pass the site is not asked, however long ago it was.
func TestWithAPassTheSiteIsNotAsked(t *testing.T) {
	d := newDevices(t)
	secret, _ := d.enrolTOTP("sari")
	b := d.known("sari", secret, "1")
	asked := d.counted.asked.Load()
	for range 8 {
		wantStatus(t, b.get("/lobby"), http.StatusOK)
		d.clock.add(30 * time.Second)
	}
	if n := d.counted.asked.Load() - asked; n != 0 {
		t.Errorf("the site was asked %d times in four minutes", n)
	}
	d.clock.add(time.Minute)
	wantStatus(t, b.get("/lobby"), http.StatusOK)
	if n := d.counted.asked.Load() - asked; n != 1 {
		t.Errorf("the site was asked %d times after five minutes, want once", n)
	}
	// A site that is down takes nobody's pass away, and gives none.
	d.source.err = errDown
	wantStatus(t, b.get("/lobby"), http.StatusOK)
	wantStatus(t, d.browser("sari.2").get("/lobby"), http.StatusServiceUnavailable)
	wantStatus(t, d.browser("").get("/lobby"), http.StatusOK)
}

// I9: a pass is worth nothing in another session, beside another credential, on another
// host, and after its time.
func TestInvariantI9AStolenPassOpensNothing(t *testing.T) {
	d := newDevices(t, func(r *policy.Rule) { r.MaxAge = time.Hour })
	mine, _ := d.enrolTOTP("budi")
	d.enrolTOTP("sari")
	thief := d.known("budi", mine, "1")
	wantStatus(t, thief.with("sari").get("/lobby"), http.StatusUnauthorized)
	r := thief.request("GET", "/lobby", "", "")
	r.Header.Set("Authorization", "Bearer sari")
	wantStatus(t, thief.do(r), http.StatusBadRequest)
	r = thief.request("GET", "/lobby", "", "")
	r.Host = "other.example"
	for name := range thief.jar {
		if strings.Contains(name, "device") || strings.Contains(name, "grant") {
			delete(thief.jar, name)
		}
	}
	wantStatus(t, thief.get("/lobby"), http.StatusOK) // by the pass alone
	r = thief.request("GET", "/lobby", "", "")
	r.Host = "other.example"
	wantStatus(t, thief.do(r), http.StatusUnauthorized)
	d.clock.add(gate.DefaultSessionPass)
	wantStatus(t, thief.get("/lobby"), http.StatusUnauthorized)
}

// A site whose pages write all the time would else be asked, and the store with it, by
// every request that comes in the second of a write; and each answer would set a cookie
// that is good for nothing.
func TestAPassIsGivenRightAfterAWriteAndOnlyOneThatCounts(t *testing.T) {
	passes := func(res *http.Response) (n int) {
		for _, c := range res.Cookies() {
			if strings.Contains(c.Name, "pass") {
				n++
			}
		}
		return n
	}
	d := newDevices(t)
	secret, _ := d.enrolTOTP("sari")
	b := d.known("sari", secret, "1")
	for _, later := range []time.Duration{0, time.Millisecond} {
		d.clock.add(300 * time.Millisecond)
		wantStatus(t, b.post("/play", "bet", "1"), http.StatusOK)
		d.clock.add(later)
		given := 0
		for range 3 {
			given += passes(b.get("/lobby"))
		}
		if want := int(later / time.Millisecond); given != want {
			t.Errorf("%v after a write: three answers set %d passes, want %d", later, given, want)
		}
	}
	for name := range b.jar {
		if strings.Contains(name, "device") || strings.Contains(name, "grant") {
			delete(b.jar, name)
		}
	}
	asked := d.counted.asked.Load()
	wantStatus(t, b.get("/lobby"), http.StatusOK)
	if n := d.counted.asked.Load() - asked; n != 0 {
		t.Errorf("the site was asked %d times beside a pass", n)
	}
}

// Budi, who knows sari's password, is known on his device, and logs in as sari over the
// same session: he meets the challenge with the very next request, whatever he kept.
func TestAttackSessionSwapUnderAPass(t *testing.T) {
	for name, login := range map[string]func(b *browser) *http.Response{
		"by the login page":                    func(b *browser) *http.Response { return b.post("/login", "user", "sari") },
		"by a route that nobody named":         func(b *browser) *http.Response { return b.json("POST", "/api/session", `{"user":"sari"}`) },
		"by a spelling of the login page":      func(b *browser) *http.Response { return b.post("/x/..//LOGIN", "user", "sari") },
		"by a link that is named as a login":   func(b *browser) *http.Response { return b.get("/sso/callback?code=1") },
		"by a link whose answer sets a cookie": func(b *browser) *http.Response { b.w.site.renewed = "shared"; return b.get("/sso?ticket=1") },
	} {
		t.Run(name, func(t *testing.T) {
			d := newDevices(t)
			mine, _ := d.enrolTOTP("budi")
			d.enrolTOTP("sari")
			d.site.player.Store("budi")
			thief := d.known("shared", mine, "1")
			kept := thief.with("shared")
			wantStatus(t, thief.get("/lobby"), http.StatusOK)
			wantStatus(t, login(thief), http.StatusOK)
			d.site.player.Store("sari")
			d.world.site.renewed = ""
			delete(thief.jar, "session") // the one that it has anyway
			for _, b := range []*browser{thief, kept} {
				wantStatus(t, b.get("/lobby"), http.StatusUnauthorized)
				wantStatus(t, b.post("/play", "bet", "1"), http.StatusUnauthorized)
			}
		})
	}
}

// The same login at one gateway, and the pass at another that has not seen it.
func TestAttackSessionSwapBetweenTwoGateways(t *testing.T) {
	d := newDevices(t)
	mine, _ := d.enrolTOTP("budi")
	d.enrolTOTP("sari")
	d.site.player.Store("budi")
	here := d.gate
	d.attach(d.back.Store, d.back.Ring)
	d.clock.add(time.Second)
	thief := d.known("shared", mine, "1") // at the second
	there := d.gate
	d.gate = here
	wantStatus(t, thief.post("/login", "user", "sari"), http.StatusOK)
	d.site.player.Store("sari")
	d.gate = there
	wantStatus(t, thief.get("/lobby"), http.StatusUnauthorized)
}

// Budi begins a bet before he is anybody, and sends the end of it when he is sari.
func TestAttackAVisitorsBodyThatEndsAfterALogin(t *testing.T) {
	for name, length := range map[string]int64{"of a known length": 5, "of an unknown length": -1} {
		t.Run(name, func(t *testing.T) {
			d := newDevices(t)
			d.enrolTOTP("sari")
			thief := d.browser("shared")
			r := thief.request("POST", "/play", formType, "")
			r.ContentLength = length
			r.Body = io.NopCloser(&late{strings.NewReader("bet=1"), func() {
				wantStatus(t, thief.post("/login", "user", "sari"), http.StatusOK)
				d.site.player.Store("sari")
			}})
			thief.do(r)
			wantHits(t, d.world, 1) // the login
		})
	}
}

// A logout through us ends what the session had, for whoever copied its cookies too.
func TestALogoutEndsGrantsAndPasses(t *testing.T) {
	d := newDevices(t)
	d.site.bind = true // so that the session's end changes nothing that a grant is bound to
	secret, _ := d.enrolTOTP("sari")
	b := d.known("sari", secret, "")
	b.stepUp(secret)
	elsewhere := d.known("sari.9", secret, "1")
	thief := b.with("sari")
	wantStatus(t, thief.get("/lobby"), http.StatusOK)
	wantStatus(t, thief.get("/statement"), http.StatusOK)
	wantStatus(t, b.get("/logout"), http.StatusOK)
	for name := range b.jar {
		if strings.Contains(name, "grant") || strings.Contains(name, "pass") {
			t.Errorf("the browser keeps %s", name)
		}
	}
	wantStatus(t, thief.get("/lobby"), http.StatusUnauthorized)
	wantStatus(t, thief.get("/statement"), http.StatusUnauthorized)
	wantStatus(t, elsewhere.get("/lobby"), http.StatusOK) // trusted, and asked anew
	d.clock.add(time.Second)
	b.stepUp(secret)
}

// Who has just bound a factor by its first code is not asked for it once more by the next
// page; everybody else's grants have ended.
func TestWhoBindsAFactorIsKnown(t *testing.T) {
	d := newDevices(t, func(r *policy.Rule) { r.Unenrolled = policy.UnenrolledRegisteredPhone })
	pass := func(b *browser) {
		id := challengeID(t, text(t, b.get("/lobby")))
		wantStatus(t, b.answer("/lobby", id, "sms", d.phone.last(t).Code), http.StatusSeeOther)
	}
	b, elsewhere := d.browser("agus"), d.browser("agus.2")
	pass(b)
	pass(elsewhere)
	id := challengeID(t, text(t, b.post(security+"/sms")))
	wantStatus(t, b.answer(security+"/sms", id, "sms", d.phone.last(t).Code), http.StatusOK)
	wantStatus(t, b.get("/lobby"), http.StatusOK)
	wantStatus(t, b.get("/statement"), http.StatusUnauthorized)
	wantStatus(t, elsewhere.get("/lobby"), http.StatusUnauthorized)
}

// Whoever has only the password reads on the security page, which is no page of the site's,
// from which addresses the player comes and when.
func TestTheSecurityPageTellsANewDeviceNothingOfTheOthers(t *testing.T) {
	d := newDevices(t)
	secret, _ := d.enrolTOTP("sari")
	known := d.known("sari", secret, "1")
	const devices, address = security + "/forget", "IP <bdi>192.0.2.1"
	if page := text(t, known.get(security)); !strings.Contains(page, devices) || strings.Count(page, address) < 2 {
		t.Fatalf("a known browser is not told of browsers and addresses:\n%s", page)
	}
	b := d.browser("sari.2")
	if page := text(t, b.get(security)); strings.Contains(page, devices) || strings.Contains(page, address) || !strings.Contains(page, security+"/totp") {
		t.Errorf("a new browser gets the page:\n%s", page)
	}
	id := challengeID(t, text(t, b.get("/lobby")))
	wantStatus(t, b.answer("/lobby", id, "totp", d.totp(secret)), http.StatusSeeOther)
	if page := text(t, b.get(security)); !strings.Contains(page, devices) {
		t.Errorf("after the challenge it is not told of browsers:\n%s", page)
	}
}

// Revoked on the first browser, the second is new with its next request.
func TestARevokedDeviceIsNewAtOnce(t *testing.T) {
	d := newDevices(t)
	secret, _ := d.enrolTOTP("sari")
	first, second := d.known("sari", secret, "1"), d.known("sari.2", secret, "1")
	wantStatus(t, second.get("/lobby"), http.StatusOK)
	devices := d.account("sari").Devices
	wantStatus(t, first.settle("/forget", "totp", d.totp(secret), challengepages.FieldDevice, devices[1].ID), http.StatusSeeOther)
	wantStatus(t, second.get("/lobby"), http.StatusUnauthorized)
	wantStatus(t, first.get("/lobby"), http.StatusOK)
}

// What another site makes the browser send opens no challenge; what it sends to a known
// device is the site's own business, as ever.
func TestCrossSiteRequestsOpenNoChallengeForNewDevices(t *testing.T) {
	d := newDevices(t)
	secret, _ := d.enrolTOTP("sari")
	send := func(b *browser) *http.Response {
		r := b.request("POST", "/payment/return", formType, "ok=1")
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		return b.do(r)
	}
	wantStatus(t, send(d.browser("sari")), http.StatusForbidden)
	wantStatus(t, send(d.browser("")), http.StatusOK)
	wantStatus(t, send(d.known("sari", secret, "1")), http.StatusOK)
	if d.saw(audit.RequestChallenged) && !d.saw(audit.RequestCrossSite) {
		t.Error("it was challenged")
	}
}

func TestARuleForNewDevicesInReportModeReportsOnlyThem(t *testing.T) {
	d := newDevices(t, func(r *policy.Rule) { r.Report = true })
	secret, _ := d.enrolTOTP("sari")
	wantStatus(t, d.browser("").get("/lobby"), http.StatusOK)
	wantStatus(t, d.browser("nobody").get("/lobby"), http.StatusOK)
	b := d.browser("sari")
	b.trust(secret)
	wantStatus(t, b.get("/lobby"), http.StatusOK)
	for _, name := range []audit.Name{audit.RequestGranted, audit.RequestAnonymous} {
		if d.saw(audit.Reported(name)) {
			t.Errorf("%s is reported", name)
		}
	}
	wantStatus(t, d.browser("sari").get("/lobby"), http.StatusOK)
	if !d.saw(audit.Reported(audit.RequestChallenged)) {
		t.Error("a new device is not reported")
	}
}
