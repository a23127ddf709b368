package gate_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stepgate/stepgate/challengepages"
	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/internal/gate"
	"github.com/stepgate/stepgate/internal/notify"
	"github.com/stepgate/stepgate/policy"
)

const newNumber = "0812 0000 1111"

var linkPattern = regexp.MustCompile(`https://casino\.example(/\.stepgate/n/[A-Za-z0-9_-]{43})`)

func (w *world) account(name string) *account.Account {
	w.t.Helper()
	a, err := w.back.Accounts.Get(context.Background(), w.back.Accounts.ID("id-"+name))
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

// to returns the messages that a number got.
func (p *phone) to(e164 string) (texts []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.sent {
		if m.To.E164() == e164 {
			texts = append(texts, m.Text)
		}
	}
	return texts
}

// newNoticeWorld is a world whose notices have links.
func newNoticeWorld(t *testing.T) *world {
	w := newWorld(t)
	w.gate.PublicURL = "https://casino.example"
	return w
}

// link returns the path of the link in the last notice to a number.
func (w *world) link(e164 string) string {
	w.t.Helper()
	texts := w.phone.to(e164)
	if len(texts) == 0 {
		w.t.Fatalf("%s got nothing", e164)
	}
	return match(w.t, linkPattern, texts[len(texts)-1])
}

// settle answers the challenge of a settings action with a code.
func (b *browser) settle(action, factor, code string, pairs ...string) *http.Response {
	b.w.t.Helper()
	res := b.post(security+action, pairs...)
	wantStatus(b.w.t, res, http.StatusUnauthorized)
	return b.answer(security+action, challengeID(b.w.t, text(b.w.t, res)), factor, code)
}

// changeNumber gives budi, who has SMS, a new number.
func (b *browser) changeNumber() {
	t, w := b.w.t, b.w
	t.Helper()
	b.get("/account/security")
	res := b.post(security+"/sms", challengepages.FieldPhone, newNumber)
	id := challengeID(t, text(t, res))
	page := text(t, b.answer(security+"/sms", id, "sms", w.phone.last(t).Code))
	res = b.post(security+"/sms/confirm", challengepages.FieldSetup, match(t, setupPattern, page), challengepages.FieldCode, w.phone.last(t).Code)
	wantStatus(t, res, http.StatusSeeOther)
}

// R19, R57, R62: the old number hears of the new one, and the new one of nothing.
func TestTheOldNumberIsToldOfTheNewOne(t *testing.T) {
	w := newNoticeWorld(t)
	w.enrolSMS("budi")
	w.source.phones["budi"] = ""
	w.browser("budi").changeNumber()
	if got := w.phone.to("+6281200001111"); len(got) != 1 || linkPattern.MatchString(got[0]) {
		t.Errorf("the new number got %d messages, want its code alone", len(got))
	}
	w.link("+6281234567890")
	if !w.saw(audit.AccountNotified) {
		t.Error("no event says that the player was told")
	}
}

func TestThePhoneThatTheSiteKnowsIsToldToo(t *testing.T) {
	w := newNoticeWorld(t)
	secret, _ := w.enrolTOTP("sari")
	b := w.browser("sari")
	wantStatus(t, b.settle("/off", "totp", w.totp(secret)), http.StatusSeeOther)
	w.link("+6281298765432")
}

func TestTheOperatorIsToldWithWhoAndALink(t *testing.T) {
	w := newNoticeWorld(t)
	var got []notify.Notice
	w.gate.Notify = func(_ context.Context, n notify.Notice) error { got = append(got, n); return errors.New("down") }
	w.source.phones["sari"] = ""
	secret, _ := w.enrolTOTP("sari")
	wantStatus(t, w.browser("sari").settle("/off", "totp", w.totp(secret)), http.StatusSeeOther)
	if len(got) != 1 || got[0].Subject != "id-sari" || got[0].Kind != "off" || !linkPattern.MatchString(got[0].Link) || got[0].ID == "" {
		t.Fatalf("the operator was told %+v", got)
	}
	// Nobody could be told; the operator's log says so.
	if !w.saw(audit.AccountNotNotified) {
		t.Error("no event says that nobody was told")
	}
}

// The thief sends the requests. Were the link made of their Host header, the site's
// own sender would send the player to the thief's site, with the secret.
func TestTheLinkOfANoticeLeadsToNoHostOfTheClientsChoice(t *testing.T) {
	w := newWorld(t)
	secret, _ := w.enrolTOTP("sari")
	b := w.browser("sari")
	for name, prepare := range map[string]func(r *http.Request){
		"plain": func(*http.Request) {},
		"TLS for another name": func(r *http.Request) {
			r.TLS = &tls.ConnectionState{HandshakeComplete: true, ServerName: "casino.example"}
		},
		"TLS without a name":       func(r *http.Request) { r.TLS = &tls.ConnectionState{HandshakeComplete: true} },
		"a name that begins alike": func(r *http.Request) { r.Host = "casino.example.evil.example" },
	} {
		ask := func(pairs ...string) *http.Response {
			r := b.request("POST", security+"/recovery-key", formType, form(pairs...))
			r.Host = "evil.example"
			prepare(r)
			r.Header.Set("Origin", "https://"+r.Host)
			return b.do(r)
		}
		id := challengeID(t, text(t, ask()))
		res := ask(challengepages.FieldChallenge, id, challengepages.FieldAction, challengepages.ActionAnswer,
			challengepages.FieldFactor, "totp", challengepages.FieldCode, w.totp(secret))
		wantStatus(t, res, http.StatusOK)
		w.clock.add(30 * time.Second)
		texts := w.phone.to("+6281298765432")
		if len(texts) == 0 || strings.Contains(texts[len(texts)-1], "evil") || strings.Contains(texts[len(texts)-1], "http") {
			t.Errorf("%s: the player was told %q", name, texts)
		}
	}
}

func TestTheLinkOfANoticeFreezesUntilAnOldFactorLiftsIt(t *testing.T) {
	w := newNoticeWorld(t)
	w.source.phones["sari"] = "+6281298765432"
	secret, _ := w.enrolTOTP("sari")
	w.clock.add(account.NoticeLifetime) // it is sari's without doubt
	thief := w.browser("sari")
	// The thief has seen a code and adds an authenticator of their own.
	page := text(t, thief.settle("/totp", "totp", w.totp(secret)))
	w.clock.add(30 * time.Second)
	wantStatus(t, thief.confirmTOTP(page), http.StatusSeeOther)
	theirs := w.account("sari").Enrolments[1]
	grant := challengeID(t, text(t, thief.get("/statement")))
	wantStatus(t, thief.answer("/statement", grant, "totp", w.totp(theirs.Secret)), http.StatusSeeOther)
	wantStatus(t, thief.get("/statement"), http.StatusOK)
	w.clock.add(30 * time.Second)

	// The owner opens the link on another phone, without a session.
	link := w.link("+6281298765432")
	owner := w.browser("")
	wantStatus(t, owner.get(link), http.StatusOK)
	if w.account("sari").Frozen != nil {
		t.Fatal("opening the link froze the account: a link preview would")
	}
	cross := owner.request("POST", link, formType, "")
	cross.Header.Set("Sec-Fetch-Site", "cross-site")
	wantStatus(t, owner.do(cross), http.StatusForbidden)
	wantStatus(t, owner.post(link), http.StatusOK)
	// Once.
	wantStatus(t, owner.post(link), http.StatusGone)
	wantStatus(t, owner.get(link), http.StatusGone)
	wantStatus(t, owner.get(link[:len(link)-1]+"A"), http.StatusGone)

	hits := len(w.site.all())
	wantStatus(t, thief.get("/statement"), http.StatusForbidden)
	wantStatus(t, thief.withdraw("1"), http.StatusForbidden)
	for _, action := range []string{"/totp", "/sms", "/remove", "/off", "/recovery-key", "/forget", "/unlock"} {
		wantStatus(t, thief.post(security+action, challengepages.FieldPhone, newNumber), http.StatusForbidden)
	}
	wantHits(t, w, hits)
	// Their own authenticator does not lift it.
	res := thief.settle("/lift", "totp", w.totp(theirs.Secret))
	wantStatus(t, res, http.StatusUnprocessableEntity)

	back := w.browser("sari.2")
	wantStatus(t, back.settle("/lift", "totp", w.totp(secret)), http.StatusSeeOther)
	a := w.account("sari")
	if a.Frozen != nil || len(a.Enrolments) != 1 || string(a.Enrolments[0].Secret) != string(secret) {
		t.Errorf("after lifting: frozen %v, %d authenticators: want the owner's alone", a.Frozen, len(a.Enrolments))
	}
}

func TestAFreezeWithoutAnOldFactorIsForSupport(t *testing.T) {
	w := newNoticeWorld(t)
	w.enrolSMS("budi")
	w.clock.add(account.NoticeLifetime)
	thief := w.browser("budi")
	thief.changeNumber()
	owner := w.browser("")
	wantStatus(t, owner.post(w.link("+6281234567890")), http.StatusOK)
	sent := w.phone.count()
	wantStatus(t, thief.post(security+"/off"), http.StatusForbidden)
	a := w.account("budi")
	// The recovery key is older than the change: its holder can lift the freeze.
	if !a.Liftable() {
		t.Fatal("the recovery key from before does not lift the freeze")
	}
	res := thief.post(security + "/lift")
	wantStatus(t, res, http.StatusUnauthorized)
	if page := text(t, res); strings.Contains(page, "1111") || w.phone.count() != sent {
		t.Error("lifting is offered by the phone that the thief has bound")
	}
}

// R18: nobody guesses in silence.
func TestManyWrongCodesAreTold(t *testing.T) {
	w := newNoticeWorld(t)
	w.enrolTOTP("sari")
	thief := w.browser("sari")
	for range account.ManyFailures {
		res := thief.post(security + "/off")
		thief.answer(security+"/off", challengeID(t, text(t, res)), "totp", "000000")
		w.clock.add(time.Hour)
	}
	if got := w.phone.to("+6281298765432"); len(got) != 1 {
		t.Errorf("%d notices, want 1", len(got))
	}
}

func TestAHoldSaysUntilWhenAndWhy(t *testing.T) {
	w := newWorld(t)
	set := rules()
	set[0].Holds = []policy.Hold{{For: 24 * time.Hour, After: []policy.Cause{policy.CauseFactorChange, policy.CauseRecovery}}}
	w.rules(set)
	secret, key := w.enrolTOTP("sari")
	b := w.browser("sari")
	wantStatus(t, b.withdraw("1"), http.StatusUnauthorized)
	// R61: what a recovery key opens it cannot also empty.
	if page := text(t, b.withdraw("1")); strings.Contains(page, "recovery_key") {
		t.Error("a rule that holds after recovery offers the recovery key")
	}
	wantStatus(t, b.settle("/recovery-key", "recovery_key", key), http.StatusOK)
	script := w.script("sari")
	res := script.json("POST", withdraw, `{"amount":"1","account":"2"}`)
	wantStatus(t, res, http.StatusForbidden)
	if p := decode(t, res); !strings.HasSuffix(p.Type, "on-hold") || res.Header.Get("Retry-After") != "86400" {
		t.Errorf("problem %s, Retry-After %q", p.Type, res.Header.Get("Retry-After"))
	}
	w.clock.add(24*time.Hour + time.Second)
	wantStatus(t, b.withdraw("1"), http.StatusUnauthorized)
	wantStatus(t, b.settle("/off", "totp", w.totp(secret)), http.StatusSeeOther)
	wantHits(t, w, 0)
}

// rules puts other rules before the site.
func (w *world) rules(rules []policy.Rule) {
	w.t.Helper()
	set, err := policy.Compile(rules)
	if err != nil {
		w.t.Fatal(err)
	}
	c := w.gate.Config
	c.Policy = set
	if w.gate, err = gate.New(c); err != nil {
		w.t.Fatal(err)
	}
}

// Every kind of activity that the account knows has words on the pages.
func TestThePagesKnowEveryKindOfActivity(t *testing.T) {
	for _, kind := range account.Kinds {
		if !slices.Contains(challengepages.Activities, challengepages.ActivityKind(kind)) {
			t.Errorf("the pages have no words for %q", kind)
		}
	}
}

// R20: a link that was used, one that was bent and one that was made up look alike, so
// nobody learns by them whose account there is.
func TestLinksThatDoNotWorkLookAlike(t *testing.T) {
	w := newNoticeWorld(t)
	secret, _ := w.enrolTOTP("sari")
	wantStatus(t, w.browser("sari").settle("/off", "totp", w.totp(secret)), http.StatusSeeOther)
	used := w.link("+6281298765432")
	stranger := w.browser("")
	wantStatus(t, stranger.post(used), http.StatusOK)
	want := text(t, stranger.get(used))
	for name, link := range map[string]string{
		"bent": used[:len(used)-2] + "AA", "of another account": used[:13] + "AAAA" + used[17:], "made up": "/.stepgate/n/x", "empty": "/.stepgate/n/",
	} {
		for _, method := range []string{"GET", "POST"} {
			res := stranger.do(stranger.request(method, link, formType, ""))
			if res.StatusCode != http.StatusGone || text(t, res) != want {
				t.Errorf("%s a link that is %s = %d, and looks unlike one that was used", method, name, res.StatusCode)
			}
		}
	}
}

// R28: the gateway's clock counts, whatever the client says the time is.
func TestACodeOfTheClientsOwnTimeIsWrong(t *testing.T) {
	w := newWorld(t)
	secret, _ := w.enrolTOTP("sari")
	b := w.browser("sari")
	id := challengeID(t, text(t, b.get("/statement")))
	w.clock.add(-time.Hour)
	old := w.totp(secret)
	b.header.Set("Date", w.clock.now().UTC().Format(http.TimeFormat))
	w.clock.add(time.Hour)
	wantStatus(t, b.answer("/statement", id, "totp", old), http.StatusUnprocessableEntity)
}

// The thief adds an authenticator and removes the owner's with it; the owner follows the
// link of the second change. What the challenge said of the thief's authenticator has to
// reach the change for that (package account has the rule).
func TestInvariantI6TheLinkOfASecondChangeClosesTheFirstOut(t *testing.T) {
	w := newNoticeWorld(t)
	secret, _ := w.enrolTOTP("sari")
	w.clock.add(account.NoticeLifetime)
	thief := w.browser("sari")
	page := text(t, thief.settle("/totp", "totp", w.totp(secret)))
	w.clock.add(30 * time.Second)
	wantStatus(t, thief.confirmTOTP(page), http.StatusSeeOther)
	owners, theirs := w.account("sari").Enrolments[0], w.account("sari").Enrolments[1]
	res := thief.settle("/remove", "totp", w.totp(theirs.Secret), challengepages.FieldEnrolment, owners.ID)
	wantStatus(t, res, http.StatusSeeOther)
	w.clock.add(30 * time.Second)
	wantStatus(t, w.browser("").post(w.link("+6281298765432")), http.StatusOK)
	if a := w.account("sari"); len(a.Usable([]policy.Factor{policy.TOTP}, account.Asker{})) > 0 || !a.Liftable() {
		t.Error("the thief's authenticator lifts the freeze, or the owner's key does not")
	}
}

// failingSite is a site that cannot be reached: the server answers for it once the gate
// has returned the error.
type failingSite struct{ next }

func (f failingSite) Forward(http.ResponseWriter, *http.Request) error { return errDown }

func (f failingSite) Release(w http.ResponseWriter, r *http.Request) error {
	return f.w.gate.Serve(w, r, f)
}

func TestTellingThePlayerKeepsNoErrorOfTheSiteFromThem(t *testing.T) {
	w := newWorld(t)
	w.enrolSMS("budi")
	b := w.browser("budi")
	id := challengeID(t, text(t, b.withdraw("100000")))
	r := b.request("POST", withdraw, formType, form(challengepages.FieldChallenge, id, challengepages.FieldAction, challengepages.ActionAnswer,
		challengepages.FieldFactor, "sms", challengepages.FieldCode, w.phone.last(t).Code, challengepages.FieldTrust, "1"))
	rec := httptest.NewRecorder()
	if err := w.gate.Serve(rec, r, failingSite{next{w}}); !errors.Is(err, errDown) {
		t.Fatalf("Serve = %v, want the site's error", err)
	}
	if rec.Flushed {
		t.Error("an empty answer was sent before the server could say that the site is down")
	}
}
