package e2e

import (
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"
)

func atOnce(n int, do func()) {
	var wg sync.WaitGroup
	for range n {
		wg.Go(do)
	}
	wg.Wait()
}

// I7, I3, I4: the gateway is killed at a random moment of the way of a
// withdrawal, and started again. Whatever the moment was: sari's authenticator is
// still there, the site has at most one withdrawal, and what was used once works
// no second time.
func TestInvariantI7KilledAtAnyPointOfTheWay(t *testing.T) {
	d := startDemo(t)
	random := rand.New(rand.NewPCG(1, 2))
	rounds := 12
	if testing.Short() {
		rounds = 3
	}
	for range rounds {
		c := d.login("budi")
		before := len(d.withdrawals("budi"))
		page := c.form("/wallet/withdraw", "amount", "10000", "account", "BCA 1234567890").want(t, http.StatusUnauthorized)
		id, code := page.challengeIn(t), d.code()
		send := func() (answer, error) {
			return c.try("POST", "/wallet/withdraw", "application/x-www-form-urlencoded",
				[]byte(encode("stepgate_challenge", id, "stepgate_action", "answer", "stepgate_factor", "sms", "stepgate_code", code)), "Accept", "text/html")
		}
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = send() })
		// The moment is what is tested: from before the first write to after the
		// answer.
		timer := time.NewTimer(time.Duration(random.IntN(12_000)) * time.Microsecond)
		<-timer.C
		d.kill()
		wg.Wait()
		d.restart()

		first := len(d.withdrawals("budi")) - before
		if first > 1 {
			t.Fatalf("the site got %d withdrawals of one challenge", first)
		}
		// The same code again: it releases the request only if nothing did before.
		if _, err := send(); err != nil {
			t.Fatal(err)
		}
		if _, err := send(); err != nil {
			t.Fatal(err)
		}
		if again := len(d.withdrawals("budi")) - before; again > 1 {
			t.Fatalf("after the restart the site has %d withdrawals of one challenge", again)
		}
	}
	// The enrolments survived it all: sari is still asked for her authenticator.
	c := d.login("sari")
	p := c.withdraw(10_000).want(t, http.StatusUnauthorized).problem(t)
	codes := &totpCodes{t: t, secret: d.sariSecret()}
	code := codes.next()
	c.answer(p.Challenge.URL, "totp", code).want(t, http.StatusOK)
	d.kill()
	d.restart()
	c.withdraw(10_000, "Step-Up-Challenge", p.Challenge.ID)
	d.wantWithdrawals("sari", 10_000)
	p = c.withdraw(20_000).want(t, http.StatusUnauthorized).problem(t)
	c.answer(p.Challenge.URL, "totp", code).want(t, http.StatusUnprocessableEntity)
	d.wantWithdrawals("sari", 10_000)
}
