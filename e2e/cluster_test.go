//go:build unix

package e2e

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stepgate/stepgate/examples/casino"
	"github.com/stepgate/stepgate/internal/pgserver"
	"github.com/stepgate/stepgate/internal/pgserver/pgtest"
)

// cluster is three gateways in front of one site, over one database that each
// reaches through a proxy of its own, and with one key ring.
type cluster struct {
	t     *testing.T
	site  *casino.Site
	back  *httptest.Server
	db    *pgserver.Server
	rings string // the folder of the storage that the gateways share
	nodes []*node
	// phones are where the codes arrive, whichever gateway sends them.
	phones *phones
	http   *http.Transport
}

const (
	clusterSize = 3
	// callTimeout is the gateways' timeout of calls of the store, and answerBound how
	// soon they must answer without it: one call, and what a busy machine needs.
	callTimeout = 2 * time.Second
	answerBound = callTimeout + 1500*time.Millisecond
	// patience is how long something may take that has no bound of its own.
	patience = 30 * time.Second
)

func startCluster(t *testing.T, players int, o pgserver.Options) *cluster {
	t.Helper()
	c := newCluster(t, players, o)
	for i := range clusterSize {
		n := c.newNode(fmt.Sprint("node", i+1), c.rings)
		n.start()
		c.nodes = append(c.nodes, n)
	}
	return c
}

// newCluster starts everything but the gateways.
func newCluster(t *testing.T, players int, o pgserver.Options) *cluster {
	t.Helper()
	c := &cluster{
		t: t, db: pgtest.Own(t, o), site: casino.New(casino.Options{Crowd: players}), rings: t.TempDir(), phones: newPhones(),
		// "localhost" is one of several addresses, and the gateways listen on this one.
		http: &http.Transport{MaxIdleConnsPerHost: 100, DialContext: dialLoopback},
	}
	c.back = httptest.NewServer(c.site)
	t.Cleanup(func() {
		c.http.CloseIdleConnections()
		c.back.Close()
	})
	return c
}

// withdrawn returns the amounts that were withdrawn by a player, in order.
func (c *cluster) withdrawn(player string) []int64 {
	var all []int64
	for _, e := range c.site.Ledger(player) {
		if e.Kind == casino.Withdrawal {
			all = append(all, e.Amount)
		}
	}
	return all
}

func (c *cluster) wantWithdrawn(player string, amounts ...int64) {
	c.t.Helper()
	if got := c.withdrawn(player); fmt.Sprint(got) != fmt.Sprint(amounts) {
		c.t.Fatalf("the ledger of %s has withdrawals %v, want %v", player, got, amounts)
	}
}

// until polls until ok, and fails the test if that takes longer than bound. It
// returns how long it took.
func (c *cluster) until(bound time.Duration, what string, ok func() bool) time.Duration {
	c.t.Helper()
	began := time.Now()
	for !ok() {
		if time.Since(began) > bound {
			c.t.Fatalf("%s: not after %v", what, bound)
		}
		<-time.After(10 * time.Millisecond)
	}
	return time.Since(began)
}

// freeAddress returns a loopback address that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}
