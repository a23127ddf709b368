package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"testing"
	"time"

	"github.com/stepgate/stepgate/internal/pgserver/pgtest"
	"github.com/stepgate/stepgate/store"
	"github.com/stepgate/stepgate/store/storetest"
)

// schemaOf returns a schema's name for a folder that is unique to a test.
func schemaOf(dir string) string {
	sum := sha256.Sum256([]byte(dir))
	return "test_" + hex.EncodeToString(sum[:8])
}

// openIn opens the store that belongs to a folder, also in the process that RunCrash
// starts: there the address stands in the environment.
func openIn(dir string) (store.Store, error) {
	return Open(context.Background(), os.Getenv(pgtest.Variable), Options{Schema: schemaOf(dir), Timeout: 20 * time.Second})
}

func TestMain(m *testing.M) {
	storetest.CrashChild(openIn)
	code := m.Run()
	pgtest.Close()
	os.Exit(code)
}

// open opens a store in a schema of its own.
func open(tb testing.TB, o Options) *Store {
	tb.Helper()
	if o.Schema == "" {
		o.Schema = schemaOf(tb.TempDir())
	}
	if o.Timeout == 0 {
		o.Timeout = 20 * time.Second
	}
	s, err := Open(tb.Context(), pgtest.DSN(tb), o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = s.Close() })
	return s
}

func TestStoreKeepsItsContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T, now func() time.Time) store.Store {
		return open(t, Options{Now: now})
	})
}

func TestSeveralGatewaysShareTheStore(t *testing.T) {
	storetest.RunShared(t, func(t *testing.T) func(func() time.Time) store.Store {
		schema := schemaOf(t.TempDir())
		return func(now func() time.Time) store.Store { return open(t, Options{Schema: schema, Now: now}) }
	})
}

// I7: an acknowledged enrolment, removal, lock or consumed code survives kill -9.
func TestInvariantI7StoreSurvivesKill(t *testing.T) {
	t.Setenv(pgtest.Variable, pgtest.DSN(t))
	storetest.RunCrash(t, storetest.Crash{Open: openIn, Seed: 1})
}
