//go:build unix

package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"syscall"
	"time"
)

// gambler is a player who withdraws over JSON through whichever gateway the balancer
// takes, and tries again as an app does when a gateway or the network fails.
type gambler struct {
	*player
	random *rand.Rand
	first  int64 // the first amount; each is withdrawn once
	// approved are the amounts for which a right code was sent; acknowledged are those
	// that the site confirmed.
	approved, acknowledged []int64
	// statuses counts the answers by status, and requests without one.
	statuses map[string]int
}

// ask sends a request to some gateway until an answer says how things stand: neither
// a broken connection nor 503.
func (g *gambler) ask(method, path string, body []byte, header ...string) (answer, bool) {
	for began := time.Now(); time.Since(began) < 2*patience; {
		a, err := g.try(g.c.nodes[g.random.IntN(clusterSize)], method, path, "application/json", body, header...)
		if err != nil {
			g.statuses["no answer"]++
		} else {
			g.statuses[fmt.Sprint(a.status)]++
		}
		// 502: the gateway is up, and its connection to the site was not.
		if err == nil && a.status != http.StatusServiceUnavailable && a.status != http.StatusBadGateway {
			return a, true
		}
		<-time.After(time.Duration(50+g.random.IntN(200)) * time.Millisecond)
	}
	g.t.Errorf("%s: no gateway answers %s %s", g.name, method, path)
	return answer{}, false
}

// play withdraws one amount, and gives it up where a fault has cost the SMS, the code
// or the approval: to approve the same amount anew could withdraw it twice, and rightly
// so.
func (g *gambler) play(amount int64) {
	id, url, ok := g.open(amount)
	if !ok {
		return
	}
	// A gateway that dies before it sends the code leaves the player to ask for another
	// after thirty seconds, for which no test waits.
	code := g.c.phones.code(id, time.Second)
	if code == "" {
		return
	}
	g.approved = append(g.approved, amount)
	if g.pass(url, code) {
		g.repeat(id, amount)
	}
}

// open asks for the withdrawal and returns its challenge.
func (g *gambler) open(amount int64) (id, url string, ok bool) {
	a, ok := g.ask("POST", withdrawals, withdrawal(amount))
	if !ok {
		return "", "", false
	}
	var p problem
	if a.status != http.StatusUnauthorized || json.Unmarshal([]byte(a.body), &p) != nil || p.Challenge.ID == "" {
		g.t.Errorf("%s: a withdrawal is answered %d: %s", g.name, a.status, a.body)
		return "", "", false
	}
	return p.Challenge.ID, p.Challenge.URL, true
}

// pass answers the challenge, and reports whether it has passed.
func (g *gambler) pass(url, code string) bool {
	a, ok := g.ask("POST", url, fmt.Appendf(nil, `{"factor":"sms","code":%q}`, code))
	if !ok {
		return false
	}
	var p problem
	if json.Unmarshal([]byte(a.body), &p) != nil {
		g.t.Errorf("%s: an answer is answered %d: %s", g.name, a.status, a.body)
	}
	// An earlier try may have passed it although its answer was lost.
	return p.Challenge.State == "passed"
}

// repeat sends the approved withdrawal until it is clear what became of it.
func (g *gambler) repeat(id string, amount int64) {
	a, ok := g.ask("POST", withdrawals, withdrawal(amount), "Step-Up-Challenge", id)
	switch {
	case !ok:
	case a.status == http.StatusCreated:
		g.acknowledged = append(g.acknowledged, amount)
	case a.status != http.StatusUnauthorized: // the approval is used up
		g.t.Errorf("%s: an approved withdrawal is answered %d: %s", g.name, a.status, a.body)
	}
}

// isServed reports whether a gateway answers for a protected route as it should.
func (p *player) isServed(n *node) bool {
	a, err := p.try(n, "GET", "/wallet", "", nil, "Accept", "application/json")
	return err == nil && a.status == http.StatusUnauthorized
}

func (n *node) stopClock() { n.signal(syscall.SIGSTOP) }
func (n *node) wake()      { n.signal(syscall.SIGCONT) }

// startAgain starts a gateway that was killed, as a service manager does: until it
// runs.
func (n *node) startAgain() {
	for began := time.Now(); time.Since(began) < patience; {
		n.begin()
		if n.serves() {
			return
		}
	}
	n.c.t.Errorf("%s does not start again:\n%s", n.name, n.output())
}
