//go:build unix

package e2e

import (
	"sync/atomic"
	"testing"

	"github.com/stepgate/stepgate/internal/pgserver"
)

// A firewall that was restarted drops what it does not know, without a word. The
// connections of a gateway are then all dead, and none of them says so; new ones are
// well.
func TestAGatewayWhoseConnectionsLeadNowhereSoonServesAgain(t *testing.T) {
	c := startCluster(t, 0, pgserver.Options{})
	p := c.login("budi")
	n := c.nodes[0]
	// Every connection of the pool has been used a moment ago.
	atOnce(60, func() { _, _ = p.try(n, "GET", "/wallet", "", nil, "Accept", "application/json") })
	n.proxy.forget()
	// Of each connection one call at most has to learn of it.
	took := c.until(3*callTimeout, "the gateway serves again", func() bool {
		var ok atomic.Bool
		atOnce(8, func() {
			if p.isServed(n) {
				ok.Store(true)
			}
		})
		return ok.Load()
	})
	t.Logf("the gateway serves again after %v", took)
	c.serve(t, p, 1_000)
}
