-- Everything that Stepgate keeps. {{schema}} is replaced by the quoted name of the
-- schema. The collation "C" makes keys sort by their bytes, as the contract says.

CREATE TABLE {{schema}}.records (
	key      text COLLATE "C" PRIMARY KEY,
	value    bytea NOT NULL,
	-- version counts the writes of a record from 1 and begins anew when it was gone;
	-- revision is drawn at random for each write, and is what the next one compares.
	version  bigint NOT NULL,
	revision bigint NOT NULL,
	-- The instant from which the record is as good as absent, in microseconds since
	-- 1970 UTC; NULL is never.
	expires  bigint
) WITH (fillfactor = 70);
-- Values are sealed and do not compress.
ALTER TABLE {{schema}}.records ALTER COLUMN value SET STORAGE EXTERNAL;
CREATE INDEX records_expires ON {{schema}}.records (expires) WHERE expires IS NOT NULL;

CREATE TABLE {{schema}}.counters (
	key   text COLLATE "C" PRIMARY KEY,
	sum   bigint NOT NULL,
	until bigint NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX counters_until ON {{schema}}.counters (until);

-- seq is (transaction << 16 | position in it) + audit_base. Numbers from a sequence
-- would be taken in another order than the one in which their transactions end, and
-- a reader who goes on from the last number would miss entries.
CREATE TABLE {{schema}}.audit (
	seq         bigint PRIMARY KEY,
	transaction xid8 NOT NULL DEFAULT pg_current_xact_id(),
	body        bytea NOT NULL
);

-- audit_base keeps seq growing after the database was restored into a server whose
-- transactions count from the beginning.
CREATE TABLE {{schema}}.settings (
	id         integer PRIMARY KEY DEFAULT 1 CHECK (id = 1),
	audit_base bigint NOT NULL DEFAULT 0,
	-- The mark of a copy into this schema that is not finished; NULL is none. No
	-- gateway opens a schema that has one.
	copy       text
);
INSERT INTO {{schema}}.settings DEFAULT VALUES;
