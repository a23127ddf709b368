package postgres

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stepgate/stepgate/internal/pgserver"
	"github.com/stepgate/stepgate/internal/pgserver/pgtest"
	"github.com/stepgate/stepgate/store"
	"github.com/stepgate/stepgate/store/storetest"
)

// I1, I7: in a half-copied store players seem to have no second factor. A gateway that
// opened one would let their requests through, and let anybody enrol in their names.
func TestInvariantI1AGatewayRefusesAnUnfinishedCopy(t *testing.T) {
	o := Options{Schema: schemaOf(t.TempDir()), Timeout: 20 * time.Second, Unfinished: true}
	copying := open(t, o)
	mark := store.Mark{Source: "bolt:elsewhere"}
	if err := copying.Import(t.Context(), store.Batch{}, nil, &mark); err != nil {
		t.Fatal(err)
	}
	for _, existing := range []bool{false, true} {
		o.Unfinished, o.Existing = false, existing
		if s, err := Open(t.Context(), pgtest.DSN(t), o); !errors.Is(err, store.ErrUnfinished) {
			t.Fatalf("Open() = %v, %v in the middle of a copy, want ErrUnfinished", s, err)
		}
	}
	if err := copying.Import(t.Context(), store.Batch{}, &mark, nil); err != nil {
		t.Fatal(err)
	}
	open(t, o)
}

// A mistyped schema must not become an empty source, which would copy well.
func TestAnExistingSchemaIsNotMade(t *testing.T) {
	schema := schemaOf(t.TempDir())
	for range 2 {
		s, err := Open(t.Context(), pgtest.DSN(t), Options{Schema: schema, Timeout: 20 * time.Second, Existing: true})
		if !errors.Is(err, store.ErrNoStore) {
			t.Fatalf("Open() = %v, %v, want ErrNoStore", s, err)
		}
	}
}

// A copy sees the gateways of other roles and whatever an operator calls them, and
// does not take its own two stores for somebody else's.
func TestACopySeesWhoElseIsThere(t *testing.T) {
	server := pgtest.Own(t, pgserver.Options{})
	sql(t, server.DSN(), "CREATE ROLE gateway LOGIN; CREATE ROLE copier LOGIN; GRANT CREATE ON DATABASE postgres TO gateway, copier")
	openAs := func(role, schema, session, extra string) *Store {
		t.Helper()
		s, err := Open(t.Context(), as(t, server.DSN(), role)+extra, Options{Schema: schema, Timeout: 20 * time.Second, Session: session})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
	source, target := openAs("copier", "one", "copy 1", ""), openAs("copier", "two", "copy 1", "&application_name=other")
	for _, s := range []*Store{source, target} {
		if err := s.Alone(t.Context()); err != nil {
			t.Fatalf("Alone() = %v with the copy's own stores", err)
		}
	}
	for _, c := range []struct{ session, extra string }{
		{"", ""}, {"", "&application_name=shop"}, {"", "&application_name=stepgate"}, {"copy 2", ""},
	} {
		gateway := openAs("gateway", "three", c.session, c.extra)
		if err := source.Alone(t.Context()); !errors.Is(err, store.ErrInUse) {
			t.Errorf("Alone() = %v beside a store %+v, want ErrInUse", err, c)
		}
		if err := gateway.Close(); err != nil {
			t.Fatal(err)
		}
		for source.Alone(t.Context()) != nil && t.Context().Err() == nil {
			runtime.Gosched() // the server ends the sessions of a closed store by and by
		}
	}
}

// The doc comment of the module stepgate.stores.postgres promises it.
var gatewayGrants = strings.NewReplacer("\n", " ").Replace(`
GRANT USAGE ON SCHEMA %[1]s TO gateway;
GRANT SELECT, INSERT, UPDATE, DELETE ON %[1]s.records, %[1]s.counters TO gateway;
GRANT SELECT, INSERT ON %[1]s.audit TO gateway;
GRANT SELECT ON %[1]s.migrations, %[1]s.settings TO gateway`)

func TestAGatewayNeedsNoMoreThanTheDocumentedRights(t *testing.T) {
	server := pgtest.Own(t, pgserver.Options{})
	sql(t, server.DSN(), "CREATE ROLE gateway LOGIN; REVOKE ALL ON SCHEMA public FROM PUBLIC")
	n := 0
	// Without the methods of a Mover: a copy is made by a role that owns the schema.
	type only struct{ store.Store }
	storetest.Run(t, func(t *testing.T, now func() time.Time) store.Store {
		n++
		o := Options{Schema: fmt.Sprintf("s%d", n), Timeout: 20 * time.Second, Now: now}
		if s, err := Open(t.Context(), as(t, server.DSN(), "gateway"), o); err == nil {
			_ = s.Close()
			t.Fatal("Open() made a schema under a role that may not")
		}
		if version, err := Migrate(t.Context(), server.DSN(), o); err != nil || version != newest {
			t.Fatalf("Migrate() = %d, %v", version, err)
		}
		sql(t, server.DSN(), fmt.Sprintf(gatewayGrants, o.Schema))
		s, err := Open(t.Context(), as(t, server.DSN(), "gateway"), o)
		if err != nil {
			t.Fatal(err)
		}
		return only{s}
	})
}

// Only a role that owns the schema sets or lifts the mark; one of a gateway reads.
func TestAGatewaysRoleCannotFinishACopy(t *testing.T) {
	server := pgtest.Own(t, pgserver.Options{})
	sql(t, server.DSN(), "CREATE ROLE gateway LOGIN")
	o := Options{Timeout: 20 * time.Second}
	if _, err := Migrate(t.Context(), server.DSN(), o); err != nil {
		t.Fatal(err)
	}
	sql(t, server.DSN(), fmt.Sprintf(gatewayGrants, DefaultSchema))
	s, err := Open(t.Context(), as(t, server.DSN(), "gateway"), o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Import(t.Context(), store.Batch{}, nil, &store.Mark{}); err == nil {
		t.Error("Import() began a copy under the role of a gateway")
	}
	if _, err := s.Export(t.Context(), time.Now(), store.Cursor{}, 10); err != nil {
		t.Errorf("Export() = %v under the role of a gateway, want its rights to be enough for a source", err)
	}
}

func sql(t *testing.T, dsn, statements string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(t.Context(), statements); err != nil {
		t.Fatal(err)
	}
}

// as returns an address with another role.
func as(t *testing.T, dsn, role string) string {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.User(role)
	return u.String()
}
