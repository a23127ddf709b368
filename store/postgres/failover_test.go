package postgres

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stepgate/stepgate/internal/pgserver"
	"github.com/stepgate/stepgate/internal/pgserver/pgtest"
	"github.com/stepgate/stepgate/store"
)

// I1, I7: with synchronous replication, and an address that names both servers, a
// store whose primary dies under load fails until the standby is promoted, then
// goes on by itself, and has everything that was acknowledged.
func TestInvariantI7AFailoverToAStandbyLosesNothing(t *testing.T) {
	primary := pgtest.Own(t, pgserver.Options{})
	standby := pgtest.Standby(t, primary)
	synchronous(t, primary)
	dsn := fmt.Sprintf("postgres://%s@%s,%s/%s?sslmode=disable&target_session_attrs=read-write",
		pgserver.User, primary.Address(), standby.Address(), pgserver.Database)
	s, err := Open(t.Context(), dsn, Options{Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()

	const writers, before = 4, 50
	acknowledged := make([]int, writers)
	var wg sync.WaitGroup
	half := make(chan struct{}, writers)
	for w := range writers {
		wg.Go(func() {
			// Until the primary is gone, which each notices by its first error.
			for n := 0; attempt(t, s, w, n) == nil; n++ {
				acknowledged[w] = n + 1
				if n == before {
					half <- struct{}{}
				}
			}
		})
	}
	for range writers {
		<-half
	}
	primary.Kill()
	wg.Wait()
	if err := attempt(t, s, 0, 1<<20); err == nil {
		t.Error("a standby that was not promoted took a write")
	}
	if err := standby.Promote(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a write to the promoted standby", func() bool { return attempt(t, s, 0, 1<<21) == nil })
	for w, n := range acknowledged {
		if n <= before {
			t.Errorf("writer %d had %d writes acknowledged, want more than %d", w, n, before)
		}
		for i := range n {
			if _, err := s.Get(t.Context(), failoverKey(w, i)); err != nil {
				t.Fatalf("the acknowledged write %d of writer %d is lost: %v", i, w, err)
			}
		}
	}
}

func failoverKey(writer, n int) store.Key {
	return store.NewKey("test", fmt.Sprintf("%d-%d", writer, n))
}

func attempt(t *testing.T, s *Store, writer, n int) error {
	return s.Update(t.Context(), failoverKey(writer, n), func(*store.Record) (*store.Write, error) {
		return &store.Write{Value: []byte("x"), Announce: true}, nil
	})
}

// synchronous has a server acknowledge only what its standby has too.
func synchronous(t *testing.T, server *pgserver.Server) {
	t.Helper()
	admin, err := pgx.Connect(t.Context(), server.DSN())
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(context.Background())
	for _, sql := range []string{"ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()"} {
		if _, err := admin.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "a synchronous standby", func() bool {
		var n int
		err := admin.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum')").Scan(&n)
		return err == nil && n == 1
	})
}
