package postgres

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stepgate/stepgate/internal/pgserver"
	"github.com/stepgate/stepgate/internal/pgserver/pgtest"
	"github.com/stepgate/stepgate/store"
)

// bound is the timeout of the stores here. Calls must end soon after it, which a
// slow machine is given a good deal for.
const (
	bound  = time.Second
	slowly = 10 * bound
)

// faulty is a store on a server of its own.
func faulty(t *testing.T, o Options) (*pgserver.Server, *Store) {
	t.Helper()
	server := pgtest.Own(t, pgserver.Options{})
	if o.Timeout == 0 {
		o.Timeout = bound
	}
	s, err := Open(t.Context(), server.DSN(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return server, s
}

func write(value string) store.Change {
	return func(*store.Record) (*store.Write, error) {
		return &store.Write{Value: []byte(value), Events: [][]byte{[]byte(value)}}, nil
	}
}

func put(t *testing.T, s *Store, key store.Key, value string) {
	t.Helper()
	if err := s.Update(t.Context(), key, write(value)); err != nil {
		t.Fatalf("Update(%q) = %v", key, err)
	}
}

// wantDown checks that every kind of call fails, and ends in time.
func wantDown(t *testing.T, s *Store) {
	t.Helper()
	for name, call := range map[string]func() error{
		"Get":    func() error { _, err := s.Get(t.Context(), "kind/a"); return err },
		"Update": func() error { return s.Update(t.Context(), "kind/a", write("down")) },
		"Add":    func() error { _, err := s.Add(t.Context(), "sms/a", 1, time.Hour); return err },
		"Audit":  func() error { _, err := s.Audit(t.Context(), 0, 10); return err },
	} {
		began := time.Now()
		if err := call(); err == nil || strings.Contains(err.Error(), store.ErrNotFound.Error()) {
			t.Errorf("%s while the database is down = %v, want an error that is not about a record", name, err)
		}
		if took := time.Since(began); took > slowly {
			t.Errorf("%s while the database is down took %v, want about %v", name, took, bound)
		}
	}
}

// eventually asks until something is so.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.After(30 * time.Second); !so(); {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("%s has not come true", what)
		}
	}
}

// I1, I7: while the database is down nothing is assumed; when it is back everything
// that was acknowledged is there, and the store works again by itself.
func TestInvariantI7TheStoreOutlivesItsDatabase(t *testing.T) {
	server, s := faulty(t, Options{})
	for name, fault := range map[string]func(){"stopped": server.Stop, "killed": server.Kill} {
		put(t, s, "kind/a", "before "+name)
		fault()
		wantDown(t, s)
		if err := server.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		// Some connections of the pool are dead, and nobody has to know.
		r, err := s.Get(t.Context(), "kind/a")
		if err != nil || string(r.Value) != "before "+name {
			t.Errorf("Get() after the database was %s = %q, %v", name, r.Value, err)
		}
		put(t, s, "kind/a", "after "+name)
	}
}

// I9: a watch that hears nothing any more says so within the lease, and is current
// again when it hears, having been told to forget.
func TestInvariantI9AWatchThatIsCutOffSaysSo(t *testing.T) {
	server, s := faulty(t, Options{})
	forget := make(chan struct{}, 100)
	w := s.Watch("kind/", func(key store.Key) {
		if key == "" {
			forget <- struct{}{}
		}
	})
	defer w.Stop()
	eventually(t, "a current watch", w.Current)
	for len(forget) > 0 {
		<-forget
	}
	began := time.Now()
	server.Stop()
	eventually(t, "a watch that is not current", func() bool { return !w.Current() })
	t.Logf("noticed %v after the server had begun to stop", time.Since(began).Round(time.Millisecond))
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a watch that is current again", w.Current)
	select {
	case <-forget:
	default:
		t.Error("the watch is current again, and nobody was told to forget")
	}
}

// A lease is counted from the sending of its proof. A process that was stopped, or a
// connection that swallows what it is given, ends it without any error.
func TestInvariantI9ALeaseEndsByItself(t *testing.T) {
	l := &listener{now: func() time.Time { return time.Unix(1000, 0).Add(5 * Lease) }, began: time.Unix(1000, 0)}
	for _, tt := range []struct {
		sent time.Duration
		want bool
	}{{5 * Lease, true}, {4*Lease + 1, true}, {4 * Lease, false}, {0, false}} {
		l.until.Store(int64(tt.sent + Lease))
		if got := l.current(); got != tt.want {
			t.Errorf("current() %v after the proof was sent = %v, want %v", 5*Lease-tt.sent, got, tt.want)
		}
	}
}

// I10: a standby, or a database on a full disk, takes no writes. Connections to it
// are given up, so that the next one may lead to where writes are taken.
func TestAReadOnlyDatabaseIsAnErrorUntilItIsNot(t *testing.T) {
	server, s := faulty(t, Options{})
	put(t, s, "kind/a", "before")
	admin, err := pgx.Connect(t.Context(), server.DSN())
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(context.Background())
	readOnly := func(on string) {
		t.Helper()
		for _, sql := range []string{
			"ALTER ROLE " + pgserver.User + " SET default_transaction_read_only = " + on,
			"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND application_name LIKE 'stepgate%'",
		} {
			if _, err := admin.Exec(t.Context(), "SET default_transaction_read_only = off; "+sql); err != nil {
				t.Fatal(err)
			}
		}
	}
	readOnly("on")
	tried := 0
	err = s.Update(t.Context(), "kind/a", func(old *store.Record) (*store.Write, error) {
		tried++
		return write("lost")(old)
	})
	if err == nil || !strings.Contains(err.Error(), readOnlyTransaction) {
		t.Errorf("Update() of a read-only database = %v, want its error", err)
	}
	if tried > 2 { // on what was seen last, and on what is there
		t.Errorf("Update() of a read-only database tried %d times", tried)
	}
	if r, err := s.Get(t.Context(), "kind/a"); err != nil || string(r.Value) != "before" {
		t.Errorf("Get() of a read-only database = %q, %v", r.Value, err)
	}
	// No connection is cut this time: the store itself must have given them up.
	if _, err := admin.Exec(t.Context(), "SET default_transaction_read_only = off; ALTER ROLE "+pgserver.User+" SET default_transaction_read_only = off"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a database that takes writes", func() bool { return s.Update(t.Context(), "kind/a", write("after")) == nil })
}

// All connections are in use: calls wait no longer than they may.
func TestCallsDoNotWaitForEverForAConnection(t *testing.T) {
	_, s := faulty(t, Options{MaxConns: 1})
	c, err := s.pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	wantDown(t, s)
	c.Release()
	put(t, s, "kind/a", "after")
}

// A lock that somebody else holds, such as a migration by hand, is waited for within
// the timeout.
func TestCallsDoNotWaitForEverForALock(t *testing.T) {
	server, s := faulty(t, Options{})
	admin, err := pgx.Connect(t.Context(), server.DSN())
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(context.Background())
	if _, err := admin.Exec(t.Context(), "BEGIN; LOCK TABLE stepgate.records, stepgate.counters, stepgate.audit"); err != nil {
		t.Fatal(err)
	}
	wantDown(t, s)
	if _, err := admin.Exec(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "an update", func() bool { return s.Update(t.Context(), "kind/a", write("after")) == nil })
}

func TestAClosedStoreLeavesNothingBehind(t *testing.T) {
	server := pgtest.Own(t, pgserver.Options{})
	ours := func() (n int) {
		buffer := make([]byte, 1<<20)
		for stack := range strings.SplitSeq(string(buffer[:runtime.Stack(buffer, true)]), "\n\n") {
			if strings.Contains(stack, "store/postgres.") && !strings.Contains(stack, "testing.tRunner") || strings.Contains(stack, "pgxpool") {
				n++
			}
		}
		return n
	}
	before := ours()
	for range 3 {
		s, err := Open(t.Context(), server.DSN(), Options{})
		if err != nil {
			t.Fatal(err)
		}
		put(t, s, "kind/a", "value")
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "no goroutine of ours", func() bool { return ours() <= before })
	admin, err := pgx.Connect(t.Context(), server.DSN())
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(context.Background())
	eventually(t, "no connection of ours", func() bool {
		var n int
		err := admin.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'stepgate%'").Scan(&n)
		return err == nil && n == 0
	})
}

// I8: an address holds a password, and errors end up in logs.
func TestInvariantI8NoErrorHoldsThePassword(t *testing.T) {
	server := pgtest.Own(t, pgserver.Options{})
	server.Stop()
	for _, dsn := range []string{
		fmt.Sprintf("postgres://stepgate:geheim@%s/postgres?sslmode=disable", server.Address()),
		"postgres://stepgate:geheim@127.0.0.1:bad/postgres",
		"postgres://stepgate:ge heim@127.0.0.1/%zz",
		"host=127.0.0.1 password=geheim port=1 sslmode=nonsense",
	} {
		_, err := Open(t.Context(), dsn, Options{Timeout: bound})
		if err == nil || strings.Contains(err.Error(), "geheim") || strings.Contains(err.Error(), "heim") {
			t.Errorf("Open = %v, want an error without the password", err)
		}
	}
}
