package postgres

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/stepgate/stepgate/internal/pgserver"
	"github.com/stepgate/stepgate/internal/pgserver/pgtest"
	"github.com/stepgate/stepgate/store"
)

// A restart of the database leaves every connection of the pool dead. The first call
// after it must not be the one that finds out and fails: it is a player's withdrawal.
func TestTheFirstCallAfterARestartOfTheDatabaseSucceeds(t *testing.T) {
	server := pgtest.Own(t, pgserver.Options{})
	s, err := Open(t.Context(), server.DSN(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	key := store.NewKey("test", "record")
	put := func(context.Context) error {
		return s.Update(t.Context(), key, func(*store.Record) (*store.Write, error) { return &store.Write{Value: []byte("x")}, nil })
	}
	get := func(ctx context.Context) error { _, err := s.Get(ctx, key); return err }
	for _, end := range []func(){server.Stop, server.Kill} {
		for name, first := range map[string]func(context.Context) error{"reading": get, "writing": put} {
			// As many connections as there may be, all used a moment ago.
			var wg sync.WaitGroup
			for range 4 * DefaultMaxConns {
				wg.Go(func() {
					if err := put(t.Context()); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			end()
			if err := server.Restart(t.Context()); err != nil {
				t.Fatal(err)
			}
			for i := range 3 {
				if err := first(t.Context()); err != nil {
					t.Errorf("%s, call %d after the restart: %v", name, i+1, fmt.Sprint(err))
				}
			}
		}
	}
}
