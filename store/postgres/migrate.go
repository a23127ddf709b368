package postgres

import (
	"context"
	"embed"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// migrations are the steps of the schema, in files named by their number. They go
// forward only, and one that was released never changes.
//
//go:embed migrations/*.sql
var migrations embed.FS

// newest is the number of the last migration.
const newest = 1

// migrationLock is the advisory lock under which the schema is changed: the first
// eight bytes of SHA-256("stepgate migrations").
const migrationLock = 0x7ba547b4f756a669

// migrate brings the schema up to date. Nodes that start together wait for the first
// of them. A role that may not create is enough where there is nothing to do.
func migrate(ctx context.Context, pool *pgxpool.Pool, schema string) error {
	name := pgx.Identifier{schema}.Sanitize()
	version, err := schemaVersion(ctx, pool, schema)
	if err != nil {
		return err
	}
	if version > newest {
		return fmt.Errorf("schema %s has version %d and this Stepgate reads up to %d: it was written by a newer Stepgate, run that one", schema, version, newest)
	}
	if version < newest {
		if err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error { return apply(ctx, tx, schema, name) }); err != nil {
			return fmt.Errorf("bringing schema %s up to date: %w", schema, plain(err))
		}
	}
	return keepAuditGrowing(ctx, pool, name)
}

// rower asks for one row.
type rower interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// schemaVersion returns the number of the last migration that was applied, 0 if
// there is no schema.
func schemaVersion(ctx context.Context, db rower, schema string) (version int, err error) {
	var there bool
	// to_regclass would answer from a cache that does not hear of other nodes in time.
	err = db.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = $1 AND c.relname = 'migrations')`, schema).Scan(&there)
	if err != nil || !there {
		return 0, err
	}
	err = db.QueryRow(ctx, "SELECT coalesce(max(version), 0) FROM "+pgx.Identifier{schema, "migrations"}.Sanitize()).Scan(&version)
	return version, err
}

// apply runs the migrations that are missing, all or none.
func apply(ctx context.Context, tx pgx.Tx, schema, name string) error {
	if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", int64(migrationLock)); err != nil {
		return err
	}
	// Somebody else may have done it meanwhile.
	version, err := schemaVersion(ctx, tx, schema)
	if err != nil {
		return err
	}
	if version == 0 {
		_, err = tx.Exec(ctx, "CREATE SCHEMA IF NOT EXISTS "+name+
			"; CREATE TABLE "+name+".migrations (version integer PRIMARY KEY, applied timestamptz NOT NULL DEFAULT now())")
		if err != nil {
			return err
		}
	}
	for next, text := range steps() {
		if next <= version {
			continue
		}
		if _, err := tx.Exec(ctx, strings.ReplaceAll(text, "{{schema}}", name)); err != nil {
			return fmt.Errorf("migration %d: %w", next, err)
		}
		if _, err := tx.Exec(ctx, "INSERT INTO "+name+".migrations (version) VALUES ($1)", next); err != nil {
			return err
		}
	}
	return nil
}

// steps yields the migrations in order.
func steps() func(yield func(int, string) bool) {
	return func(yield func(int, string) bool) {
		entries, err := migrations.ReadDir("migrations")
		if err != nil {
			panic("postgres: the embedded migrations are gone: " + err.Error()) // unreachable
		}
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		slices.Sort(names)
		for _, name := range names {
			number, _, _ := strings.Cut(name, "_")
			n, err := strconv.Atoi(number)
			text, err2 := migrations.ReadFile("migrations/" + name)
			if err != nil || err2 != nil {
				panic("postgres: an embedded migration has no number: " + name) // unreachable
			}
			if !yield(n, string(text)) {
				return
			}
		}
	}
}

// keepAuditGrowing raises the base of the audit log's numbers where the server's
// transactions have begun to count anew below it: the database was moved to another
// server by dump and restore.
func keepAuditGrowing(ctx context.Context, pool *pgxpool.Pool, name string) error {
	var behind bool
	err := pool.QueryRow(ctx, fmt.Sprintf(
		`SELECT coalesce((SELECT max(seq) FROM %[1]s.audit), 0) >= audit_base + (pg_snapshot_xmax(pg_current_snapshot())::text::bigint << 16) FROM %[1]s.settings`,
		name)).Scan(&behind)
	if err != nil || !behind {
		return err
	}
	_, err = pool.Exec(ctx, fmt.Sprintf(`WITH last AS (SELECT max(seq) AS seq FROM %[1]s.audit)
		UPDATE %[1]s.settings SET audit_base = last.seq FROM last WHERE audit_base < last.seq`, name))
	if err != nil {
		return fmt.Errorf("raising the numbers of the audit log: %w", plain(err))
	}
	// The restored entries belong to transactions that have yet to come.
	_, err = pool.Exec(ctx, fmt.Sprintf("UPDATE %s.audit SET transaction = '0' WHERE transaction >= pg_snapshot_xmax(pg_current_snapshot())", name))
	if err != nil {
		return fmt.Errorf("raising the numbers of the audit log: %w", plain(err))
	}
	return nil
}
