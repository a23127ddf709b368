package gate_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stepgate/stepgate/challengepages"
	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/smsguard"
)

const phoneBrowser = "Mozilla/5.0 (Linux; Android 13; SM-A135F) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Mobile Safari/537.36"

// trusted is sari's own browser, which she trusts.
func (w *world) trusted(secret []byte) *browser {
	w.t.Helper()
	b := w.browser("sari")
	b.header.Set("User-Agent", phoneBrowser)
	b.trust(secret)
	return b
}

func TestABrowserIsTrustedWhereThePlayerSaysSo(t *testing.T) {
	w := newWorld(t)
	secret, key := w.enrolTOTP("sari")
	b := w.browser("sari")
	id := challengeID(t, text(t, b.get("/statement")))
	wantStatus(t, b.answer("/statement", id, "totp", w.totp(secret)), http.StatusSeeOther)
	if n := len(w.account("sari").Devices); n != 0 {
		t.Fatalf("%d browsers are trusted unasked", n)
	}
	w.clock.add(30 * time.Second)
	// Whoever uses the recovery key is not at home here.
	id = challengeID(t, text(t, b.withdraw("1")))
	wantStatus(t, b.post(withdraw, challengepages.FieldChallenge, id, challengepages.FieldAction, challengepages.ActionAnswer,
		challengepages.FieldFactor, "recovery_key", challengepages.FieldCode, key, challengepages.FieldTrust, "1"), http.StatusOK)
	if n := len(w.account("sari").Devices); n != 0 {
		t.Fatalf("%d browsers are trusted after the recovery key", n)
	}
	mine := w.trusted(secret)
	d := w.account("sari").Devices
	if len(d) != 1 || d[0].Client.Browser != "Chrome" || d[0].Client.System != "Android" {
		t.Fatalf("trusted browsers: %+v", d)
	}
	// It only silences what asks for new devices: it is no factor (NIST SP 800-63B-4
	// section 5.1).
	wantStatus(t, mine.withdraw("1"), http.StatusUnauthorized)
	wantStatus(t, mine.settle("/forget", "totp", w.totp(secret), challengepages.FieldDevice, d[0].ID), http.StatusSeeOther)
	if n := len(w.account("sari").Devices); n != 0 {
		t.Errorf("%d browsers are trusted after the only one was forgotten", n)
	}
}

// trust answers the challenge of the statement and trusts the browser.
func (b *browser) trust(secret []byte) {
	b.w.t.Helper()
	id := challengeID(b.w.t, text(b.w.t, b.get("/statement")))
	wantStatus(b.w.t, b.post("/statement", challengepages.FieldChallenge, id, challengepages.FieldAction, challengepages.ActionAnswer,
		challengepages.FieldFactor, "totp", challengepages.FieldCode, b.w.totp(secret), challengepages.FieldTrust, "1"), http.StatusSeeOther)
	b.w.clock.add(30 * time.Second)
}

// A thief sets all of our cookies in sari's browser, as he may on a computer that both
// use, and waits for her to trust it: what it is trusted by is drawn in that moment.
func TestAttackFixationOfTheDeviceCookie(t *testing.T) {
	w := newWorld(t)
	secret, _ := w.enrolTOTP("sari")
	w.trusted(secret) // so that the thief knows how such a cookie is called
	thief := w.browser("sari")
	thief.get("/statement") // gives him a secret of his own
	for name := range w.trusted(secret).jar {
		if thief.jar[name] == "" {
			thief.jar[name] = "AAAAAAAAAAAAAAAAAAAAAA"
		}
	}
	victim := w.browser("sari")
	for name, value := range thief.jar {
		victim.jar[name] = value
	}
	victim.trust(secret)
	known := len(w.account("sari").Devices)
	page := text(t, thief.get("/totp-only"))
	if !strings.Contains(page, challengepages.FieldTrust) {
		t.Error("the thief's browser is trusted")
	}
	if page := text(t, victim.get("/totp-only")); strings.Contains(page, challengepages.FieldTrust) {
		t.Error("the victim's browser is not trusted")
	}
	if known != 3 {
		t.Errorf("%d browsers are trusted, want three", known)
	}
}

// Two players share a computer: each trusts it, and neither takes the other's place.
func TestTwoPlayersTrustOneBrowser(t *testing.T) {
	w := newWorld(t)
	sari, _ := w.enrolTOTP("sari")
	budi, _ := w.enrolTOTP("budi")
	b := w.browser("sari")
	b.trust(sari)
	b.session = "budi"
	if !strings.Contains(text(t, b.get("/totp-only")), challengepages.FieldTrust) {
		t.Error("budi's account trusts what sari trusted")
	}
	b.trust(budi)
	for _, player := range []string{"sari", "budi"} {
		b.session = player
		if strings.Contains(text(t, b.get("/totp-only")), challengepages.FieldTrust) {
			t.Errorf("%s's account does not trust the browser any more", player)
		}
	}
}

// An app has no browser's secret, but may keep the cookie by which it is trusted.
// Trusting it once more draws another secret for the same device.
func TestAnAppIsTrusted(t *testing.T) {
	w := newWorld(t)
	secret, _ := w.enrolTOTP("sari")
	app := w.script("")
	app.header.Set("Authorization", "Bearer sari")
	for range 2 {
		ch := decode(t, app.get("/totp-only")).Challenge
		wantStatus(t, app.json("POST", ch.URL, `{"factor":"totp","code":"`+w.totp(secret)+`","trust_browser":true}`), http.StatusOK)
		w.clock.add(10 * time.Minute)
	}
	if d := w.account("sari").Devices; len(d) != 1 || !d[0].Until.After(d[0].Since.Add(account.TrustLifetime)) {
		t.Errorf("trusted: %+v, want one that was renewed", d)
	}
}

// R15: a hundred wrong codes by whoever stole the session disable the factor for
// whoever stole it. The owner's own browser goes on, and is the way back.
func TestALockOutIsNoWeaponAgainstATrustedBrowser(t *testing.T) {
	w := newWorld(t)
	secret, _ := w.enrolTOTP("sari")
	owner := w.trusted(secret)
	thief := w.browser("sari")
	for i := range account.DisableAfter {
		target := "/statement"
		res := thief.get(target)
		if i%2 == 0 {
			target = security + "/off"
			res = thief.post(target)
		}
		wantStatus(t, thief.answer(target, challengeID(t, text(t, res)), "totp", "000000"), http.StatusUnprocessableEntity)
		w.clock.add(time.Hour)
	}
	wantStatus(t, thief.get("/statement"), http.StatusUnauthorized) // by the recovery key alone
	res := thief.get("/totp-only")
	wantStatus(t, res, http.StatusForbidden)

	wantStatus(t, owner.get("/totp-only"), http.StatusUnauthorized)
	id := challengeID(t, text(t, owner.withdraw("100000")))
	wantStatus(t, owner.answer(withdraw, id, "totp", w.totp(secret)), http.StatusOK)
	wantHits(t, w, 1)
	w.clock.add(30 * time.Second)
	wantStatus(t, owner.settle("/unlock", "totp", w.totp(secret)), http.StatusSeeOther)
	wantStatus(t, thief.get("/totp-only"), http.StatusUnauthorized)
}

// The thief opens challenges to push the owner's out, and asks for SMS until no more
// go out.
func TestAThiefLeavesTheOwnersChallengeAndSMSAlone(t *testing.T) {
	w := newWorld(t)
	w.gate.SMS = carried(t, w.phone, smsguard.DefaultLimits(), w.clock.now)
	w.enrolSMS("budi")
	owner := w.browser("budi")
	id := challengeID(t, text(t, owner.get("/statement")))
	wantStatus(t, owner.post("/statement", challengepages.FieldChallenge, id, challengepages.FieldAction, challengepages.ActionAnswer,
		challengepages.FieldFactor, "sms", challengepages.FieldCode, w.phone.last(t).Code, challengepages.FieldTrust, "1"), http.StatusSeeOther)
	id = challengeID(t, text(t, owner.withdraw("100000")))
	code := w.phone.last(t).Code
	for i := range 20 {
		thief := w.browser("budi")
		r := thief.request("POST", withdraw, formType, form("amount", strings.Repeat("1", i+1), "account", "1"))
		r.RemoteAddr = "198.51.100.7:4711"
		thief.do(r)
	}
	wantStatus(t, owner.answer(withdraw, id, "sms", code), http.StatusOK)
	wantHits(t, w, 1)
	sent := w.phone.count()
	wantStatus(t, owner.withdraw("200000"), http.StatusUnauthorized)
	if w.phone.count() != sent+1 {
		t.Error("the owner gets no code any more")
	}
}

func TestWhatAClientCallsItselfIsNotRepeated(t *testing.T) {
	w := newWorld(t)
	secret, _ := w.enrolTOTP("sari")
	b := w.browser("sari")
	b.header.Set("User-Agent", "Call-0812-3456/1.0 (Your own phone)")
	id := challengeID(t, text(t, b.get("/statement")))
	wantStatus(t, b.answer("/statement", id, "totp", w.totp(secret)), http.StatusSeeOther)
	got := w.account("sari").Activities
	last := got[len(got)-1]
	if last.Kind != account.KindPassed || last.Client.Browser != "" || last.Client.System != "" || last.Client.Address == "" {
		t.Errorf("the activity says %+v, want an address alone", last)
	}
}

// R59, R61, R62: the key opens one thing, a new one comes, and the player is led to
// where a new phone is set up.
func TestTheRecoveryKeyLeadsToANewPhone(t *testing.T) {
	w := newNoticeWorld(t)
	old, key := w.enrolTOTP("sari")
	b := w.browser("sari")
	id := challengeID(t, text(t, b.get("/statement")))
	page := text(t, b.answer("/statement", id, "recovery_key", key))
	if !strings.Contains(page, "/account/security") {
		t.Error("the page with the new key does not lead to the security page")
	}
	res := b.post("/statement", challengepages.FieldChallenge, id, challengepages.FieldAction, challengepages.ActionContinue)
	wantStatus(t, res, http.StatusSeeOther)
	if got := res.Header.Get("Location"); got != "/account/security?back=%2Fstatement&notice=recovered" {
		t.Errorf("Location = %q", got)
	}
	w.link("+6281298765432")
	a := w.account("sari")
	if a.Recovery == nil || !a.Recovery.Saved || a.Recovered.IsZero() {
		t.Errorf("recovery key %v, recovered %v", a.Recovery, a.Recovered)
	}
	// One more challenge by the recovery key opens the set-up; the lost authenticator
	// ends with its confirmation.
	next := match(t, keyPattern, page)
	id = challengeID(t, text(t, b.post(security+"/totp")))
	wantStatus(t, b.answer(security+"/totp", id, "recovery_key", next), http.StatusOK)
	page = text(t, b.post(security+"/totp", challengepages.FieldChallenge, id, challengepages.FieldAction, challengepages.ActionContinue))
	wantStatus(t, b.confirmTOTP(page), http.StatusSeeOther)
	a = w.account("sari")
	if len(a.Enrolments) != 1 || string(a.Enrolments[0].Secret) == string(old) || !a.Recovered.IsZero() {
		t.Errorf("%d authenticators, want the new one alone", len(a.Enrolments))
	}
}
