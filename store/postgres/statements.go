package postgres

import (
	"strings"

	"github.com/jackc/pgx/v5"
)

// statements are the SQL of a store in one schema.
//
// Those that write a record take its key as $1 and its events and announcement as
// the last three parameters, and return how many records were written: none where
// the record is another than the one that was read. The audit log and the
// announcement hang on that, so all happens or nothing.
type statements struct {
	get, scan               string
	insert, update, remove  string
	note                    string
	add, count, audit       string
	expireRecords, expireNs string
	moving
}

func newStatements(schema string) statements {
	name := pgx.Identifier{schema}.Sanitize()
	sql := func(text string) string { return strings.ReplaceAll(text, "{{schema}}", name) }
	// writing wraps a statement on records that returns a row if it has written.
	// events is the parameter of the events; the two behind it are the channel, empty
	// where nothing is announced, and the announcement.
	writing := func(write, events, channel, announcement string) string {
		return sql(`WITH written AS (` + write + `),
logged AS (
	INSERT INTO {{schema}}.audit (seq, body)
	SELECT audit_base + (pg_current_xact_id()::text::bigint << 16) + e.n, e.body
	FROM {{schema}}.settings, unnest(` + events + `::bytea[]) WITH ORDINALITY AS e (body, n)
	WHERE EXISTS (SELECT FROM written)
),
announced AS (
	SELECT pg_notify(` + channel + `::text, ` + announcement + `::text) FROM written WHERE ` + channel + `::text <> ''
)
SELECT (SELECT count(*) FROM written), (SELECT count(*) FROM announced)`)
	}
	return statements{
		moving: newMoving(sql),
		get:    sql(`SELECT value, version, revision, expires FROM {{schema}}.records WHERE key = $1`),
		scan: sql(`SELECT key, value, version, expires FROM {{schema}}.records
WHERE key >= $1 AND ($2::text IS NULL OR key < $2) AND key > $3 AND (expires IS NULL OR expires > $4)
ORDER BY key LIMIT $5`),
		insert: writing(`INSERT INTO {{schema}}.records (key, value, version, expires, revision)
	VALUES ($1, $2, $3, $4, $5) ON CONFLICT (key) DO NOTHING RETURNING 1`, "$6", "$7", "$8"),
		update: writing(`UPDATE {{schema}}.records SET value = $2, version = $3, expires = $4, revision = $5
	WHERE key = $1 AND revision = $6 RETURNING 1`, "$7", "$8", "$9"),
		remove: writing(`DELETE FROM {{schema}}.records WHERE key = $1 AND revision = $2 RETURNING 1`, "$3", "$4", "$5"),
		// What deletes a record that is not there has events all the same.
		note: writing(`SELECT 1 WHERE NOT EXISTS (SELECT FROM {{schema}}.records WHERE key = $1)`, "$2", "$3", "$4"),
		add: sql(`INSERT INTO {{schema}}.counters AS c (key, sum, until) VALUES ($1, $2, $3)
ON CONFLICT (key) DO UPDATE SET
	sum   = CASE WHEN c.until <= $4 THEN excluded.sum ELSE c.sum + excluded.sum END,
	until = CASE WHEN c.until <= $4 THEN excluded.until ELSE c.until END
RETURNING sum`),
		count: sql(`SELECT sum FROM {{schema}}.counters WHERE key = $1 AND until > $2`),
		audit: sql(`SELECT seq, body FROM {{schema}}.audit
WHERE seq > $1 AND transaction < pg_snapshot_xmin(pg_current_snapshot()) ORDER BY seq LIMIT $2`),
		expireRecords: expiring(sql, "records", "expires"),
		expireNs:      expiring(sql, "counters", "until"),
	}
}

// expiring deletes what has expired by the gateway's clock, $1, and by the
// database's. What another transaction is about to change is left to the next time.
func expiring(sql func(string) string, table, column string) string {
	text := `WITH due AS (
	SELECT key FROM {{schema}}.TABLE
	WHERE COLUMN <= least($1::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)
	ORDER BY COLUMN LIMIT $2 FOR UPDATE SKIP LOCKED
)
DELETE FROM {{schema}}.TABLE USING due WHERE TABLE.key = due.key`
	return sql(strings.NewReplacer("TABLE", table, "COLUMN", column).Replace(text))
}
