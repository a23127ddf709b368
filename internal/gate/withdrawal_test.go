package gate_test

import (
	"encoding/base32"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stepgate/stepgate/challengepages"
	"github.com/stepgate/stepgate/identity"
	"github.com/stepgate/stepgate/internal/audit"
)

func base32Text(secret []byte) string {
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(secret)
}

const withdraw = "/wallet/withdraw?from=main"

func (b *browser) withdraw(amount string) *http.Response {
	return b.post(withdraw, "amount", amount, "account", "BCA 1234567890")
}

func TestAFormIsHeldShownAndSentOnceAfterTheRightSMSCode(t *testing.T) {
	w := newWorld(t)
	w.enrolSMS("budi")
	b := w.browser("budi")

	res := b.withdraw("2500000")
	wantStatus(t, res, http.StatusUnauthorized)
	if got := res.Header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control = %q, want no-store (R12)", got)
	}
	page := text(t, res)
	for _, shown := range []string{"Rp2,500,000", "BCA 1234567890"} {
		if !strings.Contains(page, shown) {
			t.Errorf("the page does not show %q (R1)", shown)
		}
	}
	wantHits(t, w, 0)

	res = b.answer(withdraw, challengeID(t, page), "sms", w.phone.last(t).Code)
	wantStatus(t, res, http.StatusOK)
	wantHits(t, w, 1)
	got := w.site.all()[0]
	if got.method != "POST" || got.uri != withdraw || got.body != form("amount", "2500000", "account", "BCA 1234567890") {
		t.Errorf("the site got %s %s %q, want the request that was held", got.method, got.uri, got.body)
	}
	if cookies := got.header.Get("Cookie"); cookies != "session=budi" {
		t.Errorf("the site got Cookie %q, want the site's own only", cookies)
	}
	if !w.saw(audit.RequestReleased) {
		t.Error("no event says that the request was released")
	}
}

func TestAPageIsReturnedToAfterTheRightTOTPCode(t *testing.T) {
	w := newWorld(t)
	secret, _ := w.enrolTOTP("sari")
	b := w.browser("sari")

	res := b.get("/statement?month=2")
	wantStatus(t, res, http.StatusUnauthorized)
	id := challengeID(t, text(t, res))
	// The rule protects GET only; the page's form still finds its way.
	res = b.answer("/statement?month=2", id, "totp", w.totp(secret))
	wantStatus(t, res, http.StatusSeeOther)
	if got := res.Header.Get("Location"); got != "/statement?month=2" {
		t.Errorf("Location = %q, want the page that was asked for", got)
	}
	wantHits(t, w, 0)
	wantStatus(t, b.get("/statement?month=2"), http.StatusOK)
	// The group's other rule is open too, without another challenge.
	wantStatus(t, b.post("/account/email", "email", "x@example.com"), http.StatusOK)
	wantHits(t, w, 2)

	w.clock.add(5*time.Minute + time.Second)
	wantStatus(t, b.get("/statement?month=2"), http.StatusUnauthorized)
}

func TestADoubleClickIsOneChallengeAndOneSMS(t *testing.T) {
	w := newWorld(t)
	w.enrolSMS("budi")
	first, second := w.browser("budi"), w.browser("budi")
	one := challengeID(t, text(t, first.withdraw("100000")))
	two := challengeID(t, text(t, second.withdraw("100000")))
	if one != two {
		t.Errorf("two clicks opened challenges %s and %s, want one", one, two)
	}
	if n := w.phone.count(); n != 1 {
		t.Errorf("two clicks sent %d SMS, want 1", n)
	}
	// The browser keeps the cookies of the answer that it shows, the second.
	wantStatus(t, second.answer(withdraw, two, "sms", w.phone.last(t).Code), http.StatusOK)
	wantHits(t, w, 1)
}

func TestInvariantI3FiftyCopiesOfTheRightCodeReleaseOnce(t *testing.T) {
	w := newWorld(t)
	w.enrolSMS("budi")
	b := w.browser("budi")
	id := challengeID(t, text(t, b.withdraw("100000")))
	code := w.phone.last(t).Code
	all(50, func(int) { b.clone().answer(withdraw, id, "sms", code) })
	wantHits(t, w, 1)
	res := b.answer(withdraw, id, "sms", code)
	wantStatus(t, res, http.StatusGone)
}

func TestInvariantI5TwoHundredWrongCodesAtOnceSpendFiveAttempts(t *testing.T) {
	w := newWorld(t)
	w.enrolSMS("budi")
	b := w.browser("budi")
	id := challengeID(t, text(t, b.withdraw("100000")))
	right := w.phone.last(t).Code
	wrong := "000000"
	if right == wrong {
		wrong = "111111"
	}
	all(200, func(int) { b.clone().answer(withdraw, id, "sms", wrong) })
	a, err := w.back.Accounts.Get(t.Context(), w.back.Accounts.ID("id-budi"))
	if err != nil {
		t.Fatal(err)
	}
	if got := a.Failures["sms"].InARow; got != 5 {
		t.Errorf("200 wrong codes counted %d failures, want 5", got)
	}
	res := b.answer(withdraw, id, "sms", right)
	wantStatus(t, res, http.StatusGone)
	wantHits(t, w, 0)

	// R51: a new challenge and a new code give no new attempts.
	id = challengeID(t, text(t, b.withdraw("100000")))
	wantStatus(t, b.answer(withdraw, id, "sms", w.phone.last(t).Code), http.StatusUnprocessableEntity)
	wantHits(t, w, 0)
	w.clock.add(31 * time.Second)
	wantStatus(t, b.answer(withdraw, id, "sms", w.phone.last(t).Code), http.StatusOK)
	wantHits(t, w, 1)
}

func TestInvariantI4AnotherAmountIsAnotherChallengeAndVoidsTheFirst(t *testing.T) {
	w := newWorld(t)
	w.enrolSMS("budi")
	b := w.browser("budi")
	first := challengeID(t, text(t, b.withdraw("100000")))
	code := w.phone.last(t).Code
	second := challengeID(t, text(t, b.withdraw("9900000")))
	if first == second {
		t.Fatal("another amount found the challenge of the first")
	}
	// R11, R30: the first is void, and its code is none of the second.
	wantStatus(t, b.answer(withdraw, first, "sms", code), http.StatusGone)
	if code != w.phone.last(t).Code {
		wantStatus(t, b.answer(withdraw, second, "sms", code), http.StatusUnprocessableEntity)
	}
	wantHits(t, w, 0)
}

func TestInvariantI4AChallengeIsWorthlessInAnotherBrowserSessionOrAccount(t *testing.T) {
	w := newWorld(t)
	w.enrolSMS("budi")
	w.enrolSMS("sari")
	b := w.browser("budi")
	id := challengeID(t, text(t, b.withdraw("100000")))
	code := w.phone.last(t).Code
	otherBrowser, otherSession := w.browser("budi"), b.clone()
	otherSession.session = "budi.2"
	otherAccount := b.clone()
	otherAccount.session = "sari"
	for name, thief := range map[string]*browser{"browser": otherBrowser, "session": otherSession, "account": otherAccount} {
		res := thief.answer(withdraw, id, "sms", code)
		if res.StatusCode != http.StatusForbidden {
			t.Errorf("answering from another %s = %d, want 403", name, res.StatusCode)
		}
	}
	wantHits(t, w, 0)
	wantStatus(t, b.answer(withdraw, id, "sms", code), http.StatusOK)
}

func TestInvariantI9AGrantIsWorthlessElsewhere(t *testing.T) {
	t.Run("where the site is asked each time", func(t *testing.T) { worthlessElsewhere(t, newWorld(t)) })
	// The hashes to which a grant is bound are then remembered with the identity.
	t.Run("where identities are remembered", func(t *testing.T) {
		worthlessElsewhere(t, newWorldBy(t, func(w *world, s *source) identity.Source {
			return identity.Cache(s, identity.CacheOptions{Now: w.clock.now})
		}))
	})
}

func worthlessElsewhere(t *testing.T, w *world) {
	secret, _ := w.enrolTOTP("sari")
	w.enrolSMS("budi")
	b := w.browser("sari")
	id := challengeID(t, text(t, b.get("/statement")))
	wantStatus(t, b.answer("/statement", id, "totp", w.totp(secret)), http.StatusSeeOther)
	wantStatus(t, b.get("/statement"), http.StatusOK)

	session := b.clone()
	session.session = "sari.2"
	account := b.clone()
	account.session = "budi"
	for name, thief := range map[string]*browser{"session": session, "account": account} {
		if res := thief.get("/statement"); res.StatusCode != http.StatusUnauthorized {
			t.Errorf("a grant in another %s = %d, want 401", name, res.StatusCode)
		}
	}
	host := b.clone().request("GET", "/statement", "", "")
	host.Host = "other.example"
	if res := b.clone().do(host); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("a grant on another host = %d, want 401", res.StatusCode)
	}
	wantStatus(t, b.get("/statement"), http.StatusOK)
	// Another factor is bound: the grant ends at once.
	w.enrolSMS("sari")
	wantStatus(t, b.get("/statement"), http.StatusUnauthorized)
}

func TestTheRecoveryKeyPassesOnceAndIsReplaced(t *testing.T) {
	w := newWorld(t)
	_, key := w.enrolTOTP("sari")
	b := w.browser("sari")
	id := challengeID(t, text(t, b.withdraw("100000")))
	res := b.answer(withdraw, id, "recovery_key", key)
	wantStatus(t, res, http.StatusOK)
	page := text(t, res)
	wantHits(t, w, 0)
	if strings.Contains(page, key) {
		t.Error("the page shows the old key")
	}
	res = b.post(withdraw, challengepages.FieldChallenge, id, challengepages.FieldAction, challengepages.ActionContinue)
	wantStatus(t, res, http.StatusOK)
	wantHits(t, w, 1)
	wantStatus(t, b.post(withdraw, challengepages.FieldChallenge, id, challengepages.FieldAction, challengepages.ActionContinue), http.StatusGone)
	wantHits(t, w, 1)

	id = challengeID(t, text(t, b.withdraw("200000")))
	wantStatus(t, b.answer(withdraw, id, "recovery_key", key), http.StatusUnprocessableEntity)
	wantHits(t, w, 1)
}

func TestCancellingDropsWhatIsHeld(t *testing.T) {
	w := newWorld(t)
	w.enrolSMS("budi")
	b := w.browser("budi")
	id := challengeID(t, text(t, b.withdraw("100000")))
	res := b.post(withdraw, challengepages.FieldChallenge, id, challengepages.FieldAction, challengepages.ActionNotMe)
	wantStatus(t, res, http.StatusOK)
	wantStatus(t, b.answer(withdraw, id, "sms", w.phone.last(t).Code), http.StatusGone)
	wantHits(t, w, 0)
}

func TestAnExpiredChallengeTakesNoAnswer(t *testing.T) {
	w := newWorld(t)
	w.enrolSMS("budi")
	b := w.browser("budi")
	id := challengeID(t, text(t, b.withdraw("100000")))
	code := w.phone.last(t).Code
	w.clock.add(5*time.Minute + time.Second)
	// The code has ended, the challenge has not.
	wantStatus(t, b.answer(withdraw, id, "sms", code), http.StatusUnprocessableEntity)
	w.clock.add(5 * time.Minute)
	wantStatus(t, b.answer(withdraw, id, "sms", code), http.StatusGone)
	wantHits(t, w, 0)
}

func TestALanguageIsChosenWithoutLosingTheChallenge(t *testing.T) {
	w := newWorld(t)
	w.enrolSMS("budi")
	b := w.browser("budi")
	id := challengeID(t, text(t, b.withdraw("2500000")))
	res := b.post(withdraw, challengepages.FieldChallenge, id, challengepages.FieldAction, challengepages.ActionLanguage,
		challengepages.FieldFactor, "sms", challengepages.FieldLanguage, "id")
	page := text(t, res)
	if !strings.Contains(page, "Rp2.500.000") || challengeID(t, page) != id {
		t.Errorf("the page in Indonesian does not show the same challenge:\n%s", page)
	}
	if n := w.phone.count(); n != 1 {
		t.Errorf("changing the language sent %d SMS, want 1", n)
	}
	wantStatus(t, b.answer(withdraw, id, "sms", w.phone.last(t).Code), http.StatusOK)
}

// clone is the same browser, for requests at the same time.
func (b *browser) clone() *browser {
	c := *b
	c.jar = map[string]string{}
	for k, v := range b.jar {
		c.jar[k] = v
	}
	return &c
}

func all(n int, do func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { do(i) })
	}
	wg.Wait()
}
