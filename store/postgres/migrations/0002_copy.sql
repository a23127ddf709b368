-- The mark of a copy into this schema that is not finished; NULL is none. No gateway
-- opens a schema that has one.
ALTER TABLE {{schema}}.settings ADD COLUMN copy text;
