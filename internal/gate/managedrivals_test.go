package gate_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stepgate/stepgate/challengepages"
)

// Vonage runs one code for each number, and the later of two challenges has it. Whoever
// goes on with the earlier one is told so, and can have it back.
func TestOfTwoChallengesForANumberTheLaterHasTheCode(t *testing.T) {
	m := newManaged(t)
	m.enrolSMS("budi")
	b := m.browser("budi")
	first := challengeID(t, text(t, b.withdraw("100000")))
	one := m.lastCode()
	second := challengeID(t, text(t, b.get("/statement")))
	two := m.lastCode()
	if m.running(m.started()[0].ID) {
		t.Error("both codes are good at Vonage")
	}
	res := b.answer(withdraw, first, "sms", one)
	wantStatus(t, res, http.StatusUnprocessableEntity)
	says(t, text(t, res), saysExpired)
	if one != two {
		wantStatus(t, b.answer(withdraw, first, "sms", two), http.StatusUnprocessableEntity)
	}
	wantHits(t, m.world, 0)
	wantStatus(t, b.answer("/statement", second, "sms", two), http.StatusSeeOther)
	m.clock.add(30 * time.Second)
	b.act(withdraw, first, challengepages.ActionSend)
	wantStatus(t, b.answer(withdraw, first, "sms", m.lastCode()), http.StatusOK)
	wantHits(t, m.world, 1)
}

// A thief with the session opens challenges, and whoever knows the number sets it up as
// their own: each of their codes would end the one that the owner is about to type, in
// a browser that the owner trusts.
func TestNobodyEndsTheCodeOfABrowserThatItsOwnerTrusts(t *testing.T) {
	m := newManaged(t)
	m.enrolSMS("budi")
	secret, _ := m.enrolTOTP("sari")
	owner := m.browser("budi")
	m.trust(owner, "budi", m.lastCode)

	id := challengeID(t, text(t, owner.withdraw("100000")))
	code, sent := m.lastCode(), len(m.started())
	thief := m.browser("budi")
	res := thief.withdraw("9900000")
	wantStatus(t, res, http.StatusUnauthorized)
	says(t, text(t, res), saysNotSent)
	stranger := m.browser("sari")
	stranger.get("/account/security")
	says(t, m.setUp(stranger, secret, "+6281234567890"), saysNotSent)
	if n := len(m.started()); n != sent {
		t.Fatalf("%d codes were started beside the owner's", n-sent)
	}
	wantStatus(t, owner.answer(withdraw, id, "sms", code), http.StatusOK)
	wantHits(t, m.world, 1)

	// Once the owner has done with it the number is free for others.
	if page := m.setUp(stranger, secret, "+6281234567890"); strings.Contains(page, saysNotSent) {
		t.Error("the number is still taken")
	}
	// And the owner's next code ends theirs.
	id = challengeID(t, text(t, owner.withdraw("200000")))
	wantStatus(t, owner.answer(withdraw, id, "sms", m.lastCode()), http.StatusOK)
	wantHits(t, m.world, 2)
}

// Without a trusted browser a challenge still goes before a number that somebody typed.
func TestASetUpEndsNoCodeOfAChallenge(t *testing.T) {
	for name, end := range map[string]func(m managed, b *browser, id string){
		"cancelled": func(_ managed, b *browser, id string) { b.act(withdraw, id, challengepages.ActionCancel) },
		"used up": func(m managed, b *browser, id string) {
			for range 5 {
				b.answer(withdraw, id, "sms", wrongFor(m.vonage.Code(m.started()[0].ID)))
			}
		},
		"expired": func(m managed, _ *browser, _ string) { m.clock.add(5 * time.Minute) },
	} {
		t.Run(name, func(t *testing.T) {
			m := newManaged(t)
			m.enrolSMS("budi")
			secret, _ := m.enrolTOTP("sari")
			b, stranger := m.browser("budi"), m.browser("sari")
			id := challengeID(t, text(t, b.withdraw("100000")))
			stranger.get("/account/security")
			says(t, m.setUp(stranger, secret, "+6281234567890"), saysNotSent)
			m.wants(1, 0, 0)
			end(m, b, id)
			if page := m.setUp(stranger, secret, "+6281234567890"); strings.Contains(page, saysNotSent) {
				t.Error("the number is still taken")
			}
		})
	}
}
