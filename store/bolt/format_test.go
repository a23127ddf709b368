package bolt

import (
	"bytes"
	"testing"
	"time"

	"github.com/stepgate/stepgate/store"
)

func TestExpiryEntriesSortByTime(t *testing.T) {
	early, late := expiry{255, recordTag, "z"}, expiry{256, counterTag, "a"}
	if bytes.Compare(early.encode(), late.encode()) >= 0 {
		t.Errorf("entry of %d does not sort before that of %d", early.at, late.at)
	}
	for _, e := range []expiry{early, late} {
		if got, err := parseExpiry(e.encode()); err != nil || got != e {
			t.Errorf("parseExpiry(encode(%v)) = %v, %v", e, got, err)
		}
	}
}

func TestInstantKeepsMicroseconds(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 678_901_234, time.FixedZone("WIB", 7*3600))
	i, err := newInstant(at)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := i.time(), at.Truncate(time.Microsecond); !got.Equal(want) || got.Location() != time.UTC {
		t.Errorf("time() = %v, want %v in UTC", got, want)
	}
	if i.past(at.Add(-time.Microsecond)) || !i.past(at) {
		t.Error("past() is not true from the instant on")
	}
	if never := instant(0); never.past(at) || !never.time().IsZero() {
		t.Error("instant 0 is not never")
	}
}

// FuzzParseRecord checks that no two encodings are the same record, so that what
// is read is exactly what was written.
func FuzzParseRecord(f *testing.F) {
	f.Add(record{version: 1, value: []byte("value")}.encode())
	f.Add(record{version: 1<<64 - 1, expires: 1<<63 - 1}.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parseRecord(b)
		if err != nil {
			return
		}
		if r.version == 0 || r.expires < 0 || len(r.value) > store.MaxValueLength {
			t.Errorf("parseRecord(%x) = version %d, expiry %d, %d bytes", b, r.version, r.expires, len(r.value))
		}
		if got := r.encode(); !bytes.Equal(got, b) {
			t.Errorf("encode(parseRecord(%x)) = %x", b, got)
		}
	})
}
