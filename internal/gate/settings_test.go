package gate_test

import (
	"encoding/base32"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stepgate/stepgate/challengepages"
)

const security = "/.stepgate/security"

var (
	keyPattern   = regexp.MustCompile(`<bdi>([A-Z2-7]{4}(?:-[A-Z2-7]{2,4}){6})</bdi>`)
	setupPattern = regexp.MustCompile(`name="?stepgate_setup"? value="?([A-Za-z0-9_-]{22})`)
	uriPattern   = regexp.MustCompile(`secret=([A-Z2-7]+)`)
)

func match(t *testing.T, p *regexp.Regexp, page string) string {
	t.Helper()
	m := p.FindStringSubmatch(page)
	if m == nil {
		t.Fatalf("%s is not in the page:\n%s", p, page)
	}
	return m[1]
}

func fromBase32(t *testing.T, s string) []byte {
	t.Helper()
	b, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// heistPatterns find what a page gives away of ids.
var heistPatterns = []*regexp.Regexp{
	idPattern, setupPattern, regexp.MustCompile(`"id":"([A-Za-z0-9_-]{22})`),
	regexp.MustCompile(`name="?stepgate_(?:enrolment|device)"? value="?([A-Za-z0-9_-]{22})`),
}

// confirmTOTP confirms the authenticator that a page sets up.
func (b *browser) confirmTOTP(page string) *http.Response {
	t := b.w.t
	secret := fromBase32(t, match(t, uriPattern, page))
	res := b.post(security+"/totp/confirm", challengepages.FieldSetup, match(t, setupPattern, page), challengepages.FieldCode, b.w.totp(secret))
	b.w.clock.add(30 * time.Second)
	return res
}

func TestInvariantI6TheFirstFactorNeedsThePhoneThatTheSiteKnows(t *testing.T) {
	w := newWorld(t)
	b := w.browser("agus")
	wantStatus(t, b.get("/account/security"), http.StatusOK)
	res := b.post(security + "/totp")
	wantStatus(t, res, http.StatusUnauthorized)
	id := challengeID(t, text(t, res))
	if got := w.phone.last(t).To.E164(); got != "+628111222333" {
		t.Errorf("the code went to %s, want the phone that the site knows", got)
	}
	res = b.answer(security+"/totp", id, "sms", w.phone.last(t).Code)
	wantStatus(t, res, http.StatusOK)
	wantStatus(t, b.confirmTOTP(text(t, res)), http.StatusOK)
	a, err := w.back.Accounts.Get(t.Context(), w.back.Accounts.ID("id-agus"))
	if err != nil {
		t.Fatal(err)
	}
	if a.Enrolment("totp") == nil || !a.HeldUntil.IsZero() {
		t.Errorf("account = %+v, want an authenticator and no hold", a.Enrolments)
	}
}

func TestInvariantI6AFirstFactorThatOnlyTheSessionSpeaksForIsFollowedByAHold(t *testing.T) {
	w := newWorld(t)
	b := w.browser("dewi")
	wantStatus(t, b.withdraw("1"), http.StatusForbidden)
	b.get("/account/security")
	res := b.post(security + "/totp")
	wantStatus(t, res, http.StatusOK)
	wantStatus(t, b.confirmTOTP(text(t, res)), http.StatusOK)
	wantStatus(t, b.withdraw("1"), http.StatusForbidden)
	w.clock.add(24*time.Hour + time.Second)
	wantStatus(t, b.withdraw("1"), http.StatusUnauthorized)
	wantHits(t, w, 0)
}

func TestInvariantI6AStolenSessionChangesNoFactor(t *testing.T) {
	w := newWorld(t)
	secret, _ := w.enrolTOTP("sari")
	thief := w.browser("sari")
	thief.get("/account/security")
	for _, action := range []string{"/totp", "/sms", "/off", "/recovery-key"} {
		pairs := []string{}
		if action == "/sms" {
			pairs = []string{challengepages.FieldPhone, "0812 0000 1111"}
		}
		if res := thief.post(security+action, pairs...); res.StatusCode != http.StatusUnauthorized {
			t.Errorf("POST %s = %d, want a challenge", action, res.StatusCode)
		}
	}
	if w.phone.count() != 0 {
		t.Error("a code was sent to somebody")
	}
	// A grant for another rule helps nothing.
	b := w.browser("sari")
	id := challengeID(t, text(t, b.get("/statement")))
	wantStatus(t, b.answer("/statement", id, "totp", w.totp(secret)), http.StatusSeeOther)
	wantStatus(t, b.post(security+"/off"), http.StatusUnauthorized)
}

func TestSwitchingOffNeedsACurrentFactorAndEndsGrants(t *testing.T) {
	w := newWorld(t)
	secret, _ := w.enrolTOTP("sari")
	b := w.browser("sari")
	id := challengeID(t, text(t, b.get("/statement")))
	wantStatus(t, b.answer("/statement", id, "totp", w.totp(secret)), http.StatusSeeOther)
	wantStatus(t, b.get("/statement"), http.StatusOK)
	w.clock.add(30 * time.Second)

	res := b.post(security + "/off")
	wantStatus(t, res, http.StatusUnauthorized)
	res = b.answer(security+"/off", challengeID(t, text(t, res)), "totp", w.totp(secret))
	wantStatus(t, res, http.StatusSeeOther)
	if got := res.Header.Get("Location"); got != "/account/security?notice=switched_off" {
		t.Errorf("Location = %q", got)
	}
	wantStatus(t, b.get("/statement"), http.StatusForbidden)
	wantStatus(t, b.get("/optional"), http.StatusOK)
}

func TestAPhoneIsBoundByItsOwnCode(t *testing.T) {
	w := newWorld(t)
	secret, _ := w.enrolTOTP("sari")
	b := w.browser("sari")
	b.get("/account/security")
	res := b.post(security+"/sms", challengepages.FieldPhone, "0812-0000-1111")
	page := text(t, res)
	if !strings.Contains(page, "0812-0000-1111") {
		t.Errorf("the challenge does not show the new number (R1):\n%s", page)
	}
	res = b.answer(security+"/sms", challengeID(t, page), "totp", w.totp(secret))
	wantStatus(t, res, http.StatusOK)
	page = text(t, res)
	sent := w.phone.last(t)
	if got := sent.To.E164(); got != "+6281200001111" {
		t.Errorf("the code went to %s", got)
	}
	setup := match(t, setupPattern, page)
	stranger := w.browser("sari")
	stranger.get("/account/security")
	wantStatus(t, stranger.post(security+"/sms/confirm", challengepages.FieldSetup, setup, challengepages.FieldCode, sent.Code), http.StatusSeeOther)
	res = b.post(security+"/sms/confirm", challengepages.FieldSetup, setup, challengepages.FieldCode, sent.Code)
	wantStatus(t, res, http.StatusSeeOther)
	if got := res.Header.Get("Location"); got != "/account/security?notice=sms_bound" {
		t.Errorf("Location = %q", got)
	}
	a, err := w.back.Accounts.Get(t.Context(), w.back.Accounts.ID("id-sari"))
	if err != nil {
		t.Fatal(err)
	}
	if len(a.Enrolments) != 1 || a.Enrolments[0].Phone.E164() != "+6281200001111" {
		t.Errorf("enrolments = %v, want the new phone alone", a.Enrolments)
	}
}

func TestTheRegisteredPhoneIsBoundWithOneCode(t *testing.T) {
	w := newWorld(t)
	b := w.browser("agus")
	b.get("/account/security")
	res := b.post(security+"/sms", challengepages.FieldPhone, "")
	wantStatus(t, res, http.StatusUnauthorized)
	res = b.answer(security+"/sms", challengeID(t, text(t, res)), "sms", w.phone.last(t).Code)
	wantStatus(t, res, http.StatusOK)
	if n := w.phone.count(); n != 1 {
		t.Errorf("%d codes were sent, want 1", n)
	}
	if page := text(t, b.get("/account/security?notice=sms_bound")); !strings.Contains(page, "2333") {
		t.Errorf("the security page does not show the phone:\n%s", page)
	}
}

func TestAPlayerWithoutAFactorIsAskedOnTheirRegisteredPhone(t *testing.T) {
	w := newWorld(t)
	b := w.browser("agus")
	id := challengeID(t, text(t, b.withdraw("100000")))
	wantStatus(t, b.answer(withdraw, id, "sms", w.phone.last(t).Code), http.StatusOK)
	wantHits(t, w, 1)
	// Where the rule demands an enrolment, the phone does not do.
	wantStatus(t, b.get("/statement"), http.StatusForbidden)
	wantHits(t, w, 1)
}

func TestWithoutASenderSMSIsNoFactor(t *testing.T) {
	w := newWorld(t)
	w.gate.SMS = nil
	b := w.browser("agus")
	if page := text(t, b.get("/account/security")); strings.Contains(page, challengepages.FieldPhone) {
		t.Error("the security page asks for a number")
	}
	// Nothing can prove the phone, so what only the session speaks for is held.
	res := b.post(security + "/totp")
	wantStatus(t, res, http.StatusOK)
	wantStatus(t, b.confirmTOTP(text(t, res)), http.StatusOK)
	wantStatus(t, b.withdraw("1"), http.StatusForbidden)
	wantHits(t, w, 0)
}

// Whoever stole a session could send a hundred wrong codes to the phone that the
// site knows, have it disabled, and then bind a factor as if there were none.
func TestInvariantI6ADisabledPhoneIsNoWayAroundIt(t *testing.T) {
	w := newWorld(t)
	b := w.browser("agus")
	b.get("/account/security")
	for range 100 {
		res := b.post(security + "/totp")
		wantStatus(t, res, http.StatusUnauthorized)
		id := challengeID(t, text(t, res))
		wrong := "000000"
		if w.phone.last(t).Code == wrong {
			wrong = "111111"
		}
		wantStatus(t, b.answer(security+"/totp", id, "sms", wrong), http.StatusUnprocessableEntity)
		w.clock.add(time.Hour)
	}
	res := b.post(security + "/totp")
	wantStatus(t, res, http.StatusForbidden)
	if page := text(t, res); strings.Contains(page, "otpauth") {
		t.Error("a set-up has begun")
	}
}

// Whoever mistypes a number is told at once, and not after a code.
func TestAMistypedNumberIsSaidBeforeTheChallenge(t *testing.T) {
	w := newWorld(t)
	w.enrolSMS("budi")
	b := w.browser("budi")
	b.get("/account/security")
	sent := w.phone.count()
	res := b.post(security+"/sms", challengepages.FieldPhone, "0812 345")
	wantStatus(t, res, http.StatusUnprocessableEntity)
	if page := text(t, res); !strings.Contains(page, `value="0812 345"`) || w.phone.count() != sent {
		t.Errorf("%d codes were sent, and the page keeps what was typed: %v", w.phone.count()-sent, strings.Contains(page, "0812 345"))
	}
	wantStatus(t, w.browser("").post(security+"/sms", challengepages.FieldPhone, "0812 345"), http.StatusSeeOther) // to the login
}

// The page offers it to players with a factor only; so does the gate.
func TestNobodyWithoutAFactorTrustsABrowser(t *testing.T) {
	w := newWorld(t)
	b := w.browser("agus")
	id := challengeID(t, text(t, b.withdraw("1")))
	wantStatus(t, b.post(withdraw, challengepages.FieldChallenge, id, challengepages.FieldAction, challengepages.ActionAnswer,
		challengepages.FieldFactor, "sms", challengepages.FieldCode, w.phone.last(t).Code, challengepages.FieldTrust, "1"), http.StatusOK)
	if n := len(w.account("agus").Devices); n != 0 {
		t.Errorf("%d browsers are trusted", n)
	}
}
