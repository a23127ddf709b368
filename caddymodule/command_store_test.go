package caddymodule

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stepgate/stepgate/internal/pgserver"
	"github.com/stepgate/stepgate/internal/pgserver/pgtest"
	"github.com/stepgate/stepgate/store"
	"github.com/stepgate/stepgate/store/bolt"
	"github.com/stepgate/stepgate/store/postgres"
	"github.com/stepgate/stepgate/store/storecopy"
)

// filledFile makes a store in a file.
func filledFile(t *testing.T) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "stepgate.db")
	s, err := bolt.Open(path, bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	err = s.Update(t.Context(), "account/a", func(*store.Record) (*store.Write, error) {
		return &store.Write{Value: []byte("sealed"), Events: [][]byte{[]byte("event")}}, nil
	})
	if _, err2 := s.Add(t.Context(), "sms/a", 3, time.Hour); errors.Join(err, err2, s.Close()) != nil {
		t.Fatal(err, err2)
	}
	return path
}

const onlyContents = "1 records, 1 counters, 1 audit entries"

func TestTheCommandMovesAStoreToADatabaseAndBack(t *testing.T) {
	const secret = "p4ss"
	server := pgtest.Own(t, pgserver.Options{})
	t.Setenv("STEPGATE_TEST_DSN", strings.Replace(server.DSN(), "@", ":"+secret+"@", 1))
	const database = "postgres:{env.STEPGATE_TEST_DSN}"
	file, back := filledFile(t), filepath.Join(t.TempDir(), "new", "stepgate.db")
	for _, c := range []struct {
		what string
		copy storeCopy
		want string
	}{
		{"dry run to a new schema", storeCopy{from: "bolt:" + file, to: database, dryRun: true}, "would copy: " + onlyContents},
		{"bolt to postgres", storeCopy{from: "bolt:" + file, to: database}, "finished: " + onlyContents},
		{"postgres to postgres", storeCopy{from: database, to: database, toSchema: "second"}, "finished: " + onlyContents},
		{"dry run to a new file", storeCopy{from: database, fromSchema: "second", to: "bolt:" + back, dryRun: true}, "would copy: " + onlyContents},
		{"postgres to bolt", storeCopy{from: database, fromSchema: "second", to: "bolt:" + back}, "finished: " + onlyContents},
	} {
		var out bytes.Buffer
		err := c.copy.run(t.Context(), &out)
		if err != nil || !strings.Contains(out.String(), c.want) {
			t.Fatalf("%s: %v\n%s\nwant %s", c.what, err, out.String(), c.want)
		}
		if strings.Contains(out.String(), secret) {
			t.Errorf("%s prints a password:\n%s", c.what, out.String())
		}
		if _, err := os.Stat(filepath.Dir(back)); c.copy.dryRun && err == nil {
			t.Errorf("%s has made a folder", c.what)
		}
	}
	s, err := provisionBolt(t, back).Open()
	if err != nil {
		t.Fatalf("opening what came back: %v", err)
	}
	defer s.Close()
	if sum, err := s.Add(t.Context(), "sms/a", 0, 0); sum != 3 || err != nil {
		t.Errorf("Add(0) = %d, %v, want 3", sum, err)
	}
}

func TestWrongArgumentsOfTheStoreCommands(t *testing.T) {
	const secret = "s3cret"
	t.Setenv("STEPGATE_TEST_BAD", "postgres://stepgate:"+secret+"@%zz/")
	t.Setenv("STEPGATE_TEST_CLOSED", "postgres://stepgate:"+secret+"@127.0.0.1:1/stepgate?connect_timeout=2")
	file := filledFile(t)
	dir := filepath.Dir(file)
	for _, c := range []struct {
		from, to, schema, want string
		dryRun                 bool
	}{
		{from: "", to: "bolt:" + file, want: "--from: write bolt:PATH"},
		{from: "bolt:" + file, to: "", want: "--to: write bolt:PATH"},
		{from: "bolt:", to: "bolt:" + file, want: "--from: write bolt:PATH"},
		{from: "bolt:" + file, to: "postgres:", want: "--to: write bolt:PATH"},
		{from: "bolt:" + file, to: "redis:" + secret, want: "--to: write bolt:PATH"},
		{from: "bolt:" + file, to: "redis://" + secret + "@host", want: "--to: the address of the database cannot be read"},
		{from: "bolt:" + file, to: "postgres:{env.STEPGATE_TEST_BAD}", want: "cannot be read"},
		{from: "bolt:" + file, to: "postgres:postgres://u:a{" + secret + "}@host/db", want: "a placeholder in the address has no value"},
		{from: "bolt:" + file, to: "postgres:{env.STEPGATE_TEST_CLOSED}", schema: "Bad-Name", want: "schema \"Bad-Name\""},
		{from: "bolt:" + file, to: "postgres:{env.STEPGATE_TEST_CLOSED}", want: "target: opening store"},
		{from: "bolt:" + file, to: "postgres:{env.STEPGATE_TEST_CLOSED}", dryRun: true, want: "target: opening store"},
		{from: "bolt:" + file, to: "bolt:" + dir + "/./stepgate.db", want: storecopy.ErrSame.Error()},
		{from: "bolt:" + filepath.Join(dir, "none.db"), to: "bolt:" + filepath.Join(dir, "new.db"), want: store.ErrNoStore.Error()},
		{from: "bolt:" + file, to: "bolt:" + filepath.Join(file, "new.db"), dryRun: true, want: "not a directory"},
	} {
		var out bytes.Buffer
		err := storeCopy{from: c.from, to: c.to, toSchema: c.schema, dryRun: c.dryRun}.run(t.Context(), &out)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("copy --from %s --to %s = %v, want %s", c.from, c.to, err, c.want)
		}
		if err != nil && strings.Contains(err.Error()+out.String(), secret) {
			t.Errorf("copy --from %s --to %s prints a secret: %v", c.from, c.to, err)
		}
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(left) != 1 {
		t.Errorf("refused commands have left %q, %v", left, err)
	}
	for to, want := range map[string]string{
		"":                                    "--to: write",
		"bolt:" + file:                        "a file has no schema",
		"postgres:{env.STEPGATE_TEST_CLOSED}": "migrating store",
	} {
		var out bytes.Buffer
		err := migrateStore(t.Context(), &out, to, "")
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), secret) {
			t.Errorf("migrate --to %s = %v, want %s and no secret", to, err, want)
		}
	}
}

func TestMigratingMakesTheSchemaOnce(t *testing.T) {
	server := pgtest.Own(t, pgserver.Options{})
	for range 2 {
		var out bytes.Buffer
		if err := migrateStore(t.Context(), &out, "postgres:"+server.DSN(), "other"); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(out.String(), "at version") {
			t.Errorf("migrate says %q", out.String())
		}
	}
	s, err := postgres.Open(t.Context(), server.DSN(), postgres.Options{Schema: "other", Existing: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
