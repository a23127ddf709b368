package store

import (
	"testing"
	"time"
)

// Marks are compared as they are kept, so each has one form only.
func TestAMarkHasOneForm(t *testing.T) {
	m := Mark{
		Source:  "bolt:/var/lib/stepgate \"é\".db",
		AsOf:    time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC),
		Reached: Cursor{Part: PartAudit, Seq: 1<<63 + 1},
	}
	b, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := ParseMark(b); err != nil || got != m {
		t.Errorf("ParseMark(%s) = %v, %v, want %v", b, got, err, m)
	}
	for _, bad := range []string{
		"", "{}", "null", string(b) + " ", string(b) + string(b), string(b[:len(b)-1]),
		`{"source":"a","as_of":"2026-01-02T03:04:05Z","reached":{"part":4}}`,
		`{"source":"a","as_of":"2026-01-02T03:04:05Z","reached":{"part":-1}}`,
		`{"source":"a","as_of":"2026-01-02T03:04:05Z","reached":{"part":0},"more":1}`,
		`{"as_of":"2026-01-02T03:04:05Z","source":"a","reached":{"part":0}}`,
		`{"source":"a","as_of":"2026-01-02T03:04:05Z","reached":{"part":0,"part":1}}`,
	} {
		if got, err := ParseMark([]byte(bad)); err == nil {
			t.Errorf("ParseMark(%s) = %v, want an error", bad, got)
		}
	}
}
