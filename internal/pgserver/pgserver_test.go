//go:build unix

package pgserver_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/stepgate/stepgate/internal/pgserver"
	"github.com/stepgate/stepgate/internal/pgserver/pgtest"
)

// Tests that kill the server compare what is there afterwards with what was
// acknowledged. A server that forgets would make them fail, or worse, mean nothing.
func TestAServerThatIsNotDurableKeepsWhatItCommittedWhenItIsKilled(t *testing.T) {
	s := pgtest.Own(t, pgserver.Options{})
	ask := func(sql string) (n int) {
		t.Helper()
		conn, err := pgx.Connect(t.Context(), s.DSN())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(t.Context())
		if err := conn.QueryRow(t.Context(), sql).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	conn, err := pgx.Connect(t.Context(), s.DSN())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), "CREATE TABLE kept (n integer)"); err != nil {
		t.Fatal(err)
	}
	_ = conn.Close(t.Context())
	for round := 1; round <= 5; round++ {
		ask("INSERT INTO kept VALUES (1) RETURNING n")
		s.Kill()
		if err := s.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := ask("SELECT count(*) FROM kept"); n != round {
			t.Fatalf("after %d commits, each followed by a kill, %d are there", round, n)
		}
	}
}
