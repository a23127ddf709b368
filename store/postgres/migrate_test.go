package postgres

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/stepgate/stepgate/internal/pgserver/pgtest"
)

// exec runs statements as an administrator.
func exec(t *testing.T, statements ...string) {
	t.Helper()
	admin, err := pgx.Connect(t.Context(), pgtest.DSN(t))
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(context.Background())
	for _, sql := range statements {
		if _, err := admin.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
}

func TestNodesThatStartTogetherMakeTheSchemaOnce(t *testing.T) {
	schema, dsn := schemaOf(t.TempDir()), pgtest.DSN(t)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			s, err := Open(t.Context(), dsn, Options{Schema: schema, MaxConns: 2, Timeout: slowly})
			if err != nil {
				t.Error(err)
				return
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

// A version of Stepgate that does not know a limit must not decide without it.
func TestASchemaOfANewerStepgateIsRefused(t *testing.T) {
	s := open(t, Options{})
	schema := schemaIn(s)
	exec(t, "INSERT INTO "+schema+".migrations (version) VALUES (1000)")
	_, err := Open(t.Context(), pgtest.DSN(t), Options{Schema: schema})
	if err == nil || !strings.Contains(err.Error(), "newer Stepgate") {
		t.Errorf("Open() = %v, want an error about a newer Stepgate", err)
	}
}

// schemaIn returns the schema of a store.
func schemaIn(s *Store) string { return strings.TrimSuffix(s.listener.channel, "_changes") }

// A dump that is restored into a new server brings numbers that its transactions
// have not reached. Readers must neither miss what was restored nor what comes.
func TestTheAuditLogGoesOnAfterARestore(t *testing.T) {
	s := open(t, Options{})
	schema := schemaIn(s)
	exec(t, "INSERT INTO "+schema+".audit (seq, transaction, body) VALUES (1::bigint << 50, '400000000', 'restored')")
	again := open(t, Options{Schema: schema})
	put(t, again, "kind/a", "new")
	eventually(t, "an audit log with both entries", func() bool {
		events, err := again.Audit(t.Context(), 0, 10)
		if err != nil {
			t.Fatal(err)
		}
		return len(events) == 2 && string(events[0].Body) == "restored" && string(events[1].Body) == "new"
	})
}

func TestOptionsThatCannotWorkAreRefused(t *testing.T) {
	for name, o := range map[string]Options{
		"a capital":             {Schema: "Stepgate"},
		"a quote":               {Schema: `step"gate`},
		"a name of the server":  {Schema: "pg_stepgate"},
		"a name that is long":   {Schema: strings.Repeat("s", 51)},
		"a negative pool":       {MaxConns: -1},
		"a timeout in the past": {Timeout: -1},
	} {
		if err := Check("", o); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	if err := Check("postgres://stepgate@db.example/stepgate?target_session_attrs=read-write", Options{}); err != nil {
		t.Error(err)
	}
}
