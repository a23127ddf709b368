//go:build unix

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stepgate/stepgate/internal/pgserver"
)

// outage is one way in which the database is not there for all gateways.
type outage struct {
	name       string
	fail, heal func(*testing.T, *cluster)
}

func eachProxy(c *cluster, do func(*proxy)) {
	for _, n := range c.nodes {
		do(n.proxy)
	}
}

func restartDatabase(t *testing.T, c *cluster) {
	t.Helper()
	if err := c.db.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// The database fails in every way that it can fail in: what is protected is closed
// with an answer that says so, in bounded time; the rest of the site goes on; and when
// the database is back, so is everything, with nothing restarted and nothing leaked.
func TestInvariantI1TheDatabaseFailsAndComesBack(t *testing.T) {
	c := startCluster(t, 0, pgserver.Options{Settings: []string{"max_connections=40"}})
	p := c.login("budi")
	c.serve(t, p, 1_000) // every gateway has its connections
	files := c.openFiles(t)
	var taken []*pgx.Conn
	for i, o := range []outage{
		{"stopped", func(_ *testing.T, c *cluster) { c.db.Stop() }, restartDatabase},
		{"killed", func(_ *testing.T, c *cluster) { c.db.Kill() }, restartDatabase},
		{"cut off", func(_ *testing.T, c *cluster) { eachProxy(c, (*proxy).cut) }, func(_ *testing.T, c *cluster) { eachProxy(c, (*proxy).heal) }},
		{"stalled", func(_ *testing.T, c *cluster) { eachProxy(c, (*proxy).stall) }, func(_ *testing.T, c *cluster) { eachProxy(c, (*proxy).heal) }},
		{"out of connections", func(t *testing.T, c *cluster) { taken = c.takeConnections(t) }, func(*testing.T, *cluster) { closeAll(taken) }},
		{"read-only", func(t *testing.T, c *cluster) { c.readOnly(t, "SET default_transaction_read_only = on") },
			func(t *testing.T, c *cluster) { c.readOnly(t, "RESET default_transaction_read_only") }},
	} {
		t.Run(o.name, func(t *testing.T) {
			// Held before, answered in the outage and again after it.
			other := c.login("agus")
			id := other.withdrawForm(c.nodes[0], int64(3_000+i)).want(t, http.StatusUnauthorized).challengeIn(t)
			code := c.code(t, id)
			o.fail(t, c)
			c.wantClosed(t, other, answerForm(id, code))
			o.heal(t, c)
			began := time.Now()
			for _, n := range c.nodes {
				c.until(patience, n.name+" serves again", func() bool { return p.statement(n).status == http.StatusUnauthorized })
			}
			t.Logf("all gateways serve again %v after it healed", time.Since(began).Round(time.Millisecond))
			other.submit(c.nodes[1], "/wallet/withdraw", id, code).want(t, http.StatusSeeOther)
			other.submit(c.nodes[2], "/wallet/withdraw", id, code).want(t, http.StatusGone)
			if got := c.withdrawn("agus"); len(got) != i+1 || got[i] != int64(3_000+i) {
				t.Fatalf("the ledger has %v; the form that was held before the outage must be there, once", got)
			}
			c.serve(t, p, int64(2_000+i))
			c.wantNoLeak(t, files)
		})
	}
}

// serve plays a withdrawal whose three requests go through three gateways.
func (c *cluster) serve(t *testing.T, p *player, amount int64) {
	t.Helper()
	before := len(c.withdrawn(p.name))
	for i := range c.nodes {
		a, b, d := c.nodes[i], c.nodes[(i+1)%clusterSize], c.nodes[(i+2)%clusterSize]
		ch := p.withdraw(a, amount).want(t, http.StatusUnauthorized).problem(t).Challenge
		p.answer(b, ch.URL, c.code(t, ch.ID)).want(t, http.StatusOK)
		p.withdraw(d, amount, "Step-Up-Challenge", ch.ID).want(t, http.StatusCreated)
	}
	if n := len(c.withdrawn(p.name)) - before; n != clusterSize {
		t.Fatalf("%d withdrawals reached the site, want %d", n, clusterSize)
	}
}

// wantClosed wants every gateway to refuse what is protected, soon and with words,
// and to serve what is not as if nothing were. held is a challenge page's form that is
// answered now.
func (c *cluster) wantClosed(t *testing.T, p *player, held []byte) {
	t.Helper()
	before := len(c.withdrawn(p.name))
	over := make(chan struct{})
	free := make(chan time.Duration)
	go func() { free <- c.slowestFree(t, p, over) }()
	var slowest atomic.Int64
	var wg sync.WaitGroup
	for _, n := range c.nodes {
		wg.Go(func() {
			for _, ask := range []struct {
				what, path, kind, accept string
				body                     []byte
				says                     []string
			}{
				{"a form", "/wallet/withdraw", formType, "text/html", []byte("amount=777000&account=BCA+1234567890"), closedPage},
				{"an answer", "/wallet/withdraw", formType, "text/html", held, closedPage},
				{"JSON", withdrawals, "application/json", "application/json", withdrawal(777_000), []string{`"type":"urn:stepgate:problem:store-unavailable"`}},
			} {
				began := time.Now()
				a, err := p.try(n, "POST", ask.path, ask.kind, ask.body, "Accept", ask.accept)
				took := time.Since(began)
				if err != nil || a.status != http.StatusServiceUnavailable || took > answerBound {
					t.Errorf("%s, %s: %d, %v after %v, want 503 within %v", n.name, ask.what, a.status, err, took, answerBound)
				}
				if a.header.Get("Retry-After") == "" || a.header.Get("Cache-Control") != "no-store" {
					t.Errorf("%s, %s: headers %v, want Retry-After and no-store", n.name, ask.what, a.header)
				}
				wantText(t, a.body, ask.says...)
				for old := slowest.Load(); int64(took) > old && !slowest.CompareAndSwap(old, int64(took)); old = slowest.Load() {
				}
			}
		})
	}
	wg.Wait()
	close(over)
	t.Logf("slowest 503 after %v; slowest answer of an unprotected route after %v",
		time.Duration(slowest.Load()).Round(time.Millisecond), (<-free).Round(time.Millisecond))
	if n := len(c.withdrawn(p.name)) - before; n != 0 {
		t.Fatalf("%d withdrawals reached the site in the outage", n)
	}
}

// closedPage is what the player reads: that it is not available, that nothing was
// sent, and to try again.
var closedPage = []string{"Konfirmasi sedang tidak tersedia", "tidak ada yang dikirim", "Coba lagi"}

// slowestFree asks for what no rule protects, until over, and returns how long the
// slowest answer took.
func (c *cluster) slowestFree(t *testing.T, p *player, over chan struct{}) (slowest time.Duration) {
	const bound = time.Second
	for i := 0; ; i++ {
		began := time.Now()
		a, err := p.try(c.nodes[i%clusterSize], "GET", "/account", "", nil, "Accept", "text/html")
		took := time.Since(began)
		if err != nil || a.status != http.StatusOK || took > bound {
			t.Errorf("an unprotected route in the outage: %d, %v after %v, want 200 within %v", a.status, err, took, bound)
		}
		slowest = max(slowest, took)
		select {
		case <-over:
			return slowest
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// gatewayConnections counts the gateways' connections at the database.
const gatewayConnections = `SELECT count(*), count(*) FILTER (WHERE application_name LIKE '% listener')
FROM pg_stat_activity WHERE application_name LIKE 'stepgate node%'`

// wantNoLeak wants no more connections at the database than the pools may have, one
// listener for each gateway, and no more open files in the gateways than before.
func (c *cluster) wantNoLeak(t *testing.T, before map[string]int) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), c.db.DSN())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	var all, listeners int
	const most = clusterSize * (8 + 1) // the pool of each, and its listener
	c.until(patience, "connections at the database are as before", func() bool {
		if err := conn.QueryRow(t.Context(), gatewayConnections).Scan(&all, &listeners); err != nil {
			t.Fatal(err)
		}
		return all <= most && listeners == clusterSize
	})
	c.http.CloseIdleConnections()
	c.until(patience, "open files of the gateways are as before", func() bool {
		for name, n := range c.openFiles(t) {
			if n > before[name]+8+clusterSize {
				return false
			}
		}
		return true
	})
	t.Logf("%d connections, %d of them listen; open files %v, before %v", all, listeners, c.openFiles(t), before)
}

// openFiles counts the open files of each gateway, sockets among them; 0 where the
// system does not tell.
func (c *cluster) openFiles(t *testing.T) map[string]int {
	t.Helper()
	open := map[string]int{}
	for _, n := range c.nodes {
		entries, _ := os.ReadDir(filepath.Join("/proc", strconv.Itoa(n.cmd.Process.Pid), "fd"))
		open[n.name] = len(entries)
	}
	return open
}

// takeConnections takes every connection of the database away from the gateways.
func (c *cluster) takeConnections(t *testing.T) []*pgx.Conn {
	t.Helper()
	first, err := pgx.Connect(t.Context(), c.db.DSN())
	if err != nil {
		t.Fatal(err)
	}
	taken := []*pgx.Conn{first}
	for began := time.Now(); time.Since(began) < patience; {
		conn, err := pgx.Connect(t.Context(), c.db.DSN())
		if err == nil {
			taken = append(taken, conn)
			continue
		}
		var theirs int
		if err := first.QueryRow(t.Context(), `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
			WHERE application_name LIKE 'stepgate node%'`).Scan(&theirs); err != nil {
			t.Fatal(err)
		}
		if theirs == 0 {
			return taken
		}
	}
	t.Fatal("the gateways keep their connections")
	return nil
}

func closeAll(conns []*pgx.Conn) {
	for _, conn := range conns {
		_ = conn.Close(context.Background())
	}
}

// readOnly changes how new sessions begin, and ends those of the gateways.
func (c *cluster) readOnly(t *testing.T, how string) {
	t.Helper()
	// In this session at least, writing is allowed.
	conn, err := pgx.Connect(t.Context(), c.db.DSN()+"&options="+"-c%20default_transaction_read_only%3Doff")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	if _, err := conn.Exec(t.Context(), fmt.Sprintf("ALTER DATABASE %s %s", pgserver.Database, how)); err != nil {
		t.Fatal(err)
	}
	if how[0] == 'R' {
		return // the gateways have to find out by themselves
	}
	if _, err := conn.Exec(t.Context(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'stepgate node%'"); err != nil {
		t.Fatal(err)
	}
}
