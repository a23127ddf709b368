//go:build unix

package e2e

import (
	"math/rand/v2"
	"net/http"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stepgate/stepgate/internal/pgserver"
)

const (
	// lease is how late a gateway may be in seeing a revocation that another made, at
	// worst (package store/postgres), and slack what a busy machine needs to answer.
	lease = 2 * time.Second
	slack = 500 * time.Millisecond
)

// ready enrols a player and gets a grant at the first gateway that every gateway
// accepts and remembers.
func (c *cluster) ready(name string) *player {
	c.t.Helper()
	p := c.login(name)
	p.enrol(c.nodes[1])
	p.getGrant(c.nodes[0])
	for _, n := range c.nodes {
		p.statement(n).want(c.t, http.StatusOK)
	}
	return p
}

// off ends what askOff has begun, and with it every grant. It returns when.
func (p *player) off(n *node, id, code string) time.Time {
	p.t.Helper()
	began := time.Now()
	p.submit(n, offPath, id, code).want(p.t, http.StatusSeeOther)
	return began
}

// wantRefusal polls a gateway until it refuses the grant. Every request that was sent
// after the bound must be refused, whatever came before.
func (p *player) wantRefusal(n *node, revoked time.Time, bound time.Duration) {
	p.t.Helper()
	for accepted := 0; ; accepted++ {
		sent := time.Now()
		a := p.statement(n)
		switch {
		case a.status == http.StatusUnauthorized || a.status == http.StatusServiceUnavailable:
			p.t.Logf("%s accepted the grant %d times, and refused it with %d what was sent after %v", n.name, accepted, a.status, sent.Sub(revoked))
			return
		case a.status != http.StatusOK:
			p.t.Fatalf("%s answers %d: %s", n.name, a.status, a.body)
		case sent.Sub(revoked) > bound:
			p.t.Fatalf("%s accepts a revoked grant %v after the revocation, want %v at most", n.name, sent.Sub(revoked), bound)
		}
	}
}

// I9 across gateways: a grant that was revoked at one is refused at it at once, and
// at the others within the lease, whatever stands between them and the database.
func TestInvariantI9ARevocationReachesEveryGateway(t *testing.T) {
	c := startCluster(t, 0, pgserver.Options{})
	near, changing, far := c.nodes[0], c.nodes[1], c.nodes[2]
	for name, fault := range map[string]func(){
		"all is well":                        func() {},
		"the line of one gateway is stalled": far.proxy.stall,
		"the line of one gateway is cut":     far.proxy.cut,
	} {
		t.Run(name, func(t *testing.T) {
			p := c.ready("budi")
			id, code := p.askOff(changing)
			fault()
			revoked := p.off(changing, id, code)
			p.statement(changing).want(t, http.StatusUnauthorized)
			var wg sync.WaitGroup
			for _, n := range []*node{near, far} {
				wg.Go(func() { p.wantRefusal(n, revoked, lease) })
			}
			wg.Wait()
			far.proxy.heal()
			c.until(answerBound, "the gateway with the healed line challenges", func() bool {
				return p.statement(far).status == http.StatusUnauthorized
			})
		})
	}
}

// The gateway that sleeps while a factor changes has heard of nothing when it wakes.
func TestInvariantI9AGatewayThatWasStoppedAcceptsNoRevokedGrant(t *testing.T) {
	c := startCluster(t, 0, pgserver.Options{})
	p := c.ready("budi")
	sleeper := c.nodes[2]
	id, code := p.askOff(c.nodes[1])
	sleeper.signal(syscall.SIGSTOP)
	p.off(c.nodes[1], id, code)
	// What was sent while it slept is the first thing that it sees.
	const waiting = 20
	answers := make(chan answer, waiting)
	for range waiting {
		go func() {
			a, _ := p.try(sleeper, "GET", "/wallet", "", nil, "Accept", "application/json")
			answers <- a
		}()
	}
	// Longer than the lease and every timeout: the time itself is what is tested.
	<-time.After(max(lease, callTimeout) + time.Second)
	sleeper.signal(syscall.SIGCONT)
	for range waiting {
		if a := <-answers; a.status == http.StatusOK {
			t.Errorf("a gateway that was stopped accepts a revoked grant when it wakes")
		}
	}
	c.until(answerBound, "the gateway that was stopped challenges", func() bool {
		return p.statement(sleeper).status == http.StatusUnauthorized
	})
}

// I3, I4: a gateway dies, or is stopped, at a random moment of releasing a withdrawal,
// and the player answers again at another.
func TestInvariantI4AGatewayThatDiesOrSleepsInMidFlowReleasesNothingTwice(t *testing.T) {
	c := startCluster(t, 0, pgserver.Options{})
	random := rand.New(rand.NewPCG(3, 4))
	victim, other := c.nodes[0], c.nodes[1]
	p := c.login("budi")
	rounds := 10
	if testing.Short() {
		rounds = 4
	}
	for round := range rounds {
		before := len(c.withdrawn("budi"))
		id := p.withdrawForm(victim, int64(10_000+round)).want(t, http.StatusUnauthorized).challengeIn(t)
		code := c.code(t, id)
		var wg sync.WaitGroup
		wg.Go(func() {
			_, _ = p.try(victim, "POST", "/wallet/withdraw", formType, answerForm(id, code), "Accept", "text/html")
		})
		// The moment is what is tested: from before the first write to after the answer.
		<-time.After(time.Duration(random.IntN(15_000)) * time.Microsecond)
		if round%2 == 0 {
			victim.kill()
		} else {
			victim.signal(syscall.SIGSTOP)
		}
		p.submit(other, "/wallet/withdraw", id, code)
		p.submit(c.nodes[2], "/wallet/withdraw", id, code)
		if round%2 == 0 {
			victim.start()
		} else {
			victim.signal(syscall.SIGCONT)
		}
		wg.Wait()
		p.submit(victim, "/wallet/withdraw", id, code)
		if n := len(c.withdrawn("budi")) - before; n > 1 {
			t.Fatalf("the site got %d withdrawals of one challenge", n)
		}
	}
	t.Logf("%d of %d withdrawals reached the site", len(c.withdrawn("budi")), rounds)
}

// A gateway with a key ring of its own would find no account in the shared store, and
// take every player for one without a second factor.
func TestAGatewayWithAnotherKeyRingDoesNotStart(t *testing.T) {
	c := newCluster(t, 0, pgserver.Options{})
	first := c.newNode("node1", c.rings)
	first.start()
	stranger := c.newNode("stranger", t.TempDir())
	stranger.begin()
	select {
	case <-stranger.ended:
	case <-time.After(patience):
		t.Fatal("a gateway with an empty storage runs beside the others")
	}
	wantText(t, stranger.output(), "the store was made with one", "put it back from a backup")
	if stranger.cmd.ProcessState.Success() {
		t.Error("the exit code says that all is well")
	}

	other := newCluster(t, 0, pgserver.Options{})
	other.newNode("node1", other.rings).start()
	wrong := c.newNode("wrong", other.rings)
	wrong.begin()
	select {
	case <-wrong.ended:
	case <-time.After(patience):
		t.Fatal("a gateway with another key ring runs beside the others")
	}
	wantText(t, wrong.output(), "the store was made with another key ring than")
}
