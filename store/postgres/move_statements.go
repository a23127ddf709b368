package postgres

import "strconv"

// moving are the SQL of [store.Mover] in one schema.
type moving struct {
	mark, lockMark, setMark                    string
	filled                                     string
	exportRecords, exportCounters, exportAudit string
	importRecords, importCounters, importAudit string
}

// newMoving makes them. sql puts the schema's name in.
func newMoving(sql func(text string) string) moving {
	return moving{
		mark:     sql(`SELECT copy FROM {{schema}}.settings`),
		lockMark: sql(`SELECT copy FROM {{schema}}.settings FOR UPDATE`),
		setMark:  sql(`UPDATE {{schema}}.settings SET copy = $1`),
		// What has expired counts too: a gateway has written it.
		filled: sql(`SELECT EXISTS (SELECT FROM {{schema}}.records) OR EXISTS (SELECT FROM {{schema}}.counters)
	OR EXISTS (SELECT FROM {{schema}}.audit)`),
		exportRecords: sql(upTo("key, value, version, expires", "value", "key", `FROM {{schema}}.records
	WHERE key > $1 AND (expires IS NULL OR expires > $2) ORDER BY key LIMIT $3`)),
		exportCounters: sql(`SELECT key, sum, until FROM {{schema}}.counters WHERE key > $1 AND until > $2 ORDER BY key LIMIT $3`),
		exportAudit:    sql(upTo("seq, body", "body", "seq", `FROM {{schema}}.audit WHERE seq > $1 ORDER BY seq LIMIT $2`)),
		// Whoever writes next draws a revision that is not 0.
		importRecords: sql(`INSERT INTO {{schema}}.records (key, value, version, expires, revision)
SELECT r.*, 0 FROM unnest($1::text[], $2::bytea[], $3::bigint[], $4::bigint[]) AS r`),
		importCounters: sql(`INSERT INTO {{schema}}.counters (key, sum, until)
SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[])`),
		// A batch has fewer entries than one transaction has numbers.
		importAudit: sql(`INSERT INTO {{schema}}.audit (seq, body)
SELECT audit_base + (pg_current_xact_id()::text::bigint << 16) + e.n, e.body
FROM {{schema}}.settings, unnest($1::bytea[]) WITH ORDINALITY AS e (body, n)`),
	}
}

// upTo takes columns of the rows of a page up to the first with which its contents
// reach exportBytes: what is not sent costs nothing, for the server knows the length of
// a value without reading it.
func upTo(columns, content, order, page string) string {
	return `SELECT ` + columns + ` FROM (
	SELECT *, sum(octet_length(` + content + `)) OVER (ORDER BY ` + order + `) - octet_length(` + content + `) AS before
	FROM (SELECT ` + columns + ` ` + page + `) AS page
) AS counted WHERE before < ` + strconv.Itoa(exportBytes) + ` ORDER BY ` + order
}
