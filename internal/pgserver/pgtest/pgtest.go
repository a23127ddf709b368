//go:build unix

// Package pgtest gives tests a PostgreSQL database.
package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stepgate/stepgate/internal/pgserver"
)

// Variable names the environment variable with the address of a database that tests
// may fill: each makes a schema of its own and leaves it there.
const Variable = "STEPGATE_TEST_POSTGRES"

// shared is the server that all tests of a process share.
var shared struct {
	once   sync.Once
	server *pgserver.Server
	dsn    string
	err    error
}

// DSN returns the address of a database: that of [Variable], or of a server that is
// started for this process. Where none is installed the test is skipped, and fails
// with CI=true. [Close] ends the server.
func DSN(tb testing.TB) string {
	tb.Helper()
	shared.once.Do(start)
	need(tb, shared.err)
	return shared.dsn
}

func start() {
	if shared.dsn = os.Getenv(Variable); shared.dsn != "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if shared.server, shared.err = pgserver.Start(ctx, pgserver.Options{}); shared.err == nil {
		shared.dsn = shared.server.DSN()
	}
}

// Own starts a server for one test, which may stop it and start it again.
func Own(tb testing.TB, o pgserver.Options) *pgserver.Server {
	tb.Helper()
	return owned(tb, func() (*pgserver.Server, error) { return pgserver.Start(tb.Context(), o) })
}

// Standby starts a standby of a server for one test.
func Standby(tb testing.TB, primary *pgserver.Server) *pgserver.Server {
	tb.Helper()
	return owned(tb, func() (*pgserver.Server, error) { return primary.Standby(tb.Context()) })
}

func owned(tb testing.TB, start func() (*pgserver.Server, error)) *pgserver.Server {
	tb.Helper()
	s, err := start()
	need(tb, err)
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

// Close ends the server of this process, if one was started. It belongs behind m.Run
// in TestMain.
func Close() {
	if shared.server != nil {
		if err := shared.server.Close(); err != nil {
			fmt.Fprintln(os.Stderr, "closing PostgreSQL:", err)
		}
	}
}

func need(tb testing.TB, err error) {
	tb.Helper()
	switch {
	case err == nil:
	case errors.Is(err, pgserver.ErrNotInstalled) && os.Getenv("CI") != "true":
		tb.Skip(err)
	default:
		tb.Fatal(err)
	}
}
