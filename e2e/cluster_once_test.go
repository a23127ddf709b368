//go:build unix

package e2e

import (
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/stepgate/stepgate/internal/pgserver"
)

// I3, I4 with no sticky sessions: each request of one withdrawal goes through
// another gateway.
func TestInvariantI3AndI4AcrossThreeGateways(t *testing.T) {
	c := startCluster(t, 0, pgserver.Options{})
	a, b, d := c.nodes[0], c.nodes[1], c.nodes[2]

	t.Run("a form is held by one and released once by any", func(t *testing.T) {
		p := c.login("budi")
		id := p.withdrawForm(a, 2_500_000).want(t, http.StatusUnauthorized).challengeIn(t)
		code := c.code(t, id)
		if again := p.withdrawForm(d, 2_500_000).challengeIn(t); again != id {
			t.Errorf("the same form at another gateway opened another challenge")
		}
		p.submit(b, "/wallet/withdraw", id, code).want(t, http.StatusSeeOther)
		p.submit(d, "/wallet/withdraw", id, code).want(t, http.StatusGone)
		p.submit(a, "/wallet/withdraw", id, code).want(t, http.StatusGone)
		c.wantWithdrawn("budi", 2_500_000)
	})
	t.Run("an approval over JSON lets one repeat through", func(t *testing.T) {
		p := c.login("agus")
		ch := p.withdraw(a, 100_000).want(t, http.StatusUnauthorized).problem(t).Challenge
		p.answer(b, ch.URL, c.code(t, ch.ID)).want(t, http.StatusOK)
		var through atomic.Int32
		i := atomic.Int32{}
		atOnce(30, func() {
			n := c.nodes[int(i.Add(1))%clusterSize]
			if got, err := p.try(n, "POST", withdrawals, "application/json", withdrawal(100_000), "Step-Up-Challenge", ch.ID); err == nil && got.status == http.StatusCreated {
				through.Add(1)
			}
		})
		if through.Load() != 1 {
			t.Errorf("%d of 30 repeats went through, want 1", through.Load())
		}
		c.wantWithdrawn("agus", 100_000)
	})
	t.Run("sixty right answers at once are one withdrawal", func(t *testing.T) {
		p := c.login("sari")
		id := p.withdrawForm(a, 2_500_000).challengeIn(t)
		code := c.code(t, id)
		i := atomic.Int32{}
		atOnce(60, func() {
			_, _ = p.try(c.nodes[int(i.Add(1))%clusterSize], "POST", "/wallet/withdraw", formType, answerForm(id, code), "Accept", "text/html")
		})
		c.wantWithdrawn("sari", 2_500_000)
	})
}

// I5: two hundred guesses at once over three gateways are five guesses.
func TestInvariantI5GuessesAtThreeGatewaysShareOneBudget(t *testing.T) {
	c := startCluster(t, 0, pgserver.Options{})
	p := c.login("budi")
	ch := p.withdraw(c.nodes[0], 100_000).problem(t).Challenge
	right := c.code(t, ch.ID)
	wrong := "000000"
	if right == wrong {
		wrong = "111111"
	}
	var compared, i atomic.Int32
	atOnce(200, func() {
		n := c.nodes[int(i.Add(1))%clusterSize]
		got, err := p.try(n, "POST", ch.URL, "application/json", []byte(`{"factor":"sms","code":"`+wrong+`"}`))
		if err == nil && got.status == http.StatusUnprocessableEntity {
			compared.Add(1)
		}
	})
	// The fifth wrong answer says that the challenge is used up.
	if n := compared.Load(); n != 4 {
		t.Errorf("%d guesses were answered as wrong codes of a challenge that goes on, want 4", n)
	}
	for _, n := range c.nodes {
		if got := p.answer(n, ch.URL, right).want(t, http.StatusGone).problem(t).Challenge.State; got != "used_up" {
			t.Errorf("%s: state = %q, want used_up", n.name, got)
		}
	}
	// The budget is the account's: the next challenge has to wait, at every gateway.
	next := p.withdraw(c.nodes[1], 200_000).problem(t).Challenge
	p.answer(c.nodes[2], next.URL, c.code(t, next.ID)).want(t, http.StatusTooManyRequests)
	c.wantWithdrawn("budi")
}
