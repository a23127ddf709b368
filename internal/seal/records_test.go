package seal

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/store"
	"github.com/stepgate/stepgate/store/bolt"
)

type thing struct {
	Name  string   `json:"name"`
	Count int      `json:"count,omitempty"`
	Notes []string `json:"notes,omitempty"`
}

func openStore(t *testing.T, now func() time.Time) store.Store {
	t.Helper()
	s, err := bolt.Open(filepath.Join(t.TempDir(), "stepgate.db"), bolt.Options{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close() = %v", err)
		}
	})
	return s
}

func newThings(t *testing.T, s store.Store) Records[thing] {
	return Records[thing]{Store: s, Ring: newTestRing(t, 1), Rand: testRandom(3), Kind: "thing"}
}

// becomes is a change to a value, whatever was there.
func becomes(value thing) func(*thing) (*Next[thing], error) {
	return func(*thing) (*Next[thing], error) { return &Next[thing]{Value: &value}, nil }
}

func mustUpdate(t *testing.T, r Records[thing], id string, change func(*thing) (*Next[thing], error)) {
	t.Helper()
	if err := r.Update(t.Context(), id, change); err != nil {
		t.Fatalf("Update(%q) = %v", id, err)
	}
}

func raw(t *testing.T, s store.Store, key store.Key) []byte {
	t.Helper()
	record, err := s.Get(t.Context(), key)
	if err != nil {
		t.Fatalf("Get(%q) = %v", key, err)
	}
	return record.Value
}

func writeRaw(t *testing.T, s store.Store, key store.Key, value []byte) {
	t.Helper()
	err := s.Update(t.Context(), key, func(*store.Record) (*store.Write, error) { return &store.Write{Value: value}, nil })
	if err != nil {
		t.Fatalf("Update(%q) = %v", key, err)
	}
}

func TestRecordsKeepValuesSealed(t *testing.T) {
	s := openStore(t, nil)
	things := newThings(t, s)
	if _, err := things.Get(t.Context(), "a"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get() of nothing = %v, want ErrNotFound", err)
	}
	want := thing{Name: "budi", Notes: []string{"+6281234567890"}}
	mustUpdate(t, things, "a", becomes(want))
	got, err := things.Get(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&want, got); diff != "" {
		t.Errorf("Get() differs (-want +got):\n%s", diff)
	}
	// I8: seeds and held requests are sealed at rest.
	if sealed := raw(t, s, things.Key("a")); bytes.Contains(sealed, []byte("budi")) || bytes.Contains(sealed, []byte("name")) {
		t.Errorf("the store has %q, want nothing that can be read", sealed)
	}
}

func TestRecordsChangeFromWhatIsThere(t *testing.T) {
	things := newThings(t, openStore(t, nil))
	count := func(old *thing) (*Next[thing], error) {
		if old == nil {
			old = &thing{Name: "new"}
		}
		old.Count++
		return &Next[thing]{Value: old}, nil
	}
	for range 3 {
		mustUpdate(t, things, "a", count)
	}
	if got, err := things.Get(t.Context(), "a"); err != nil || got.Count != 3 || got.Name != "new" {
		t.Errorf("Get() = %+v, %v, want a count of 3", got, err)
	}
	mustUpdate(t, things, "a", func(old *thing) (*Next[thing], error) {
		old.Count = 100 // altered, but not returned
		return nil, nil
	})
	if got, err := things.Get(t.Context(), "a"); err != nil || got.Count != 3 {
		t.Errorf("Get() after a nil Next = %+v, %v, want it left as it was", got, err)
	}
	mustUpdate(t, things, "a", func(*thing) (*Next[thing], error) { return &Next[thing]{Delete: true}, nil })
	if _, err := things.Get(t.Context(), "a"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get() after Delete = %v, want ErrNotFound", err)
	}
}

func TestRecordsExpire(t *testing.T) {
	now := testTime
	things := newThings(t, openStore(t, func() time.Time { return now }))
	mustUpdate(t, things, "a", func(*thing) (*Next[thing], error) {
		return &Next[thing]{Value: &thing{Name: "soon gone"}, Expires: now.Add(time.Minute)}, nil
	})
	if _, err := things.Get(t.Context(), "a"); err != nil {
		t.Errorf("Get() before the expiry = %v", err)
	}
	now = now.Add(time.Minute)
	if _, err := things.Get(t.Context(), "a"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get() at the expiry = %v, want ErrNotFound", err)
	}
}

func TestRecordsWriteEventsWithTheValueOrNotAtAll(t *testing.T) {
	s := openStore(t, nil)
	things := newThings(t, s)
	bound := audit.Event{Name: audit.EnrolmentBound, At: testTime, Subject: "x"}
	removed := audit.Event{Name: audit.EnrolmentRemoved, At: testTime, Subject: "x"}
	mustUpdate(t, things, "a", func(*thing) (*Next[thing], error) {
		return &Next[thing]{Value: &thing{}, Events: []audit.Event{bound}}, nil
	})
	refusal := errors.New("refused")
	err := things.Update(t.Context(), "a", func(*thing) (*Next[thing], error) {
		return &Next[thing]{Value: &thing{}, Events: []audit.Event{bound}}, refusal
	})
	if err != refusal {
		t.Errorf("Update() = %v, want the change's own error", err)
	}
	err = things.Update(t.Context(), "a", func(*thing) (*Next[thing], error) {
		return &Next[thing]{Events: []audit.Event{bound}}, nil
	})
	if err == nil || !strings.Contains(err.Error(), "no value") {
		t.Errorf("Update() without a value = %v, want an error", err)
	}
	mustUpdate(t, things, "a", func(*thing) (*Next[thing], error) {
		return &Next[thing]{Delete: true, Events: []audit.Event{removed}}, nil
	})
	events, err := s.Audit(t.Context(), 0, 10)
	if err != nil || len(events) != 2 {
		t.Fatalf("Audit() = %d events, %v, want 2", len(events), err)
	}
	for i, want := range []audit.Event{bound, removed} {
		if !bytes.Equal(events[i].Body, want.Encode()) {
			t.Errorf("event %d is %s, want %s", i, events[i].Body, want.Encode())
		}
	}
}

// Who can write the store could otherwise give one player's factors to another.
func TestRecordsRefuseWhatWasMovedOrAltered(t *testing.T) {
	s := openStore(t, nil)
	things := newThings(t, s)
	others := things
	others.Kind = "other"
	mustUpdate(t, things, "a", becomes(thing{Name: "a"}))
	sealed := raw(t, s, "thing/a")
	altered := bytes.Clone(sealed)
	altered[len(altered)-1] ^= 1
	for _, tt := range []struct {
		name    string
		records Records[thing]
		id      string
		value   []byte
	}{
		{"moved to another id", things, "b", sealed},
		{"moved to another kind", others, "a", sealed},
		{"altered", things, "altered", altered},
		{"not sealed", things, "plain", []byte(`{"name":"a"}`)},
		{"empty", things, "empty", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			writeRaw(t, s, tt.records.Key(tt.id), tt.value)
			if got, err := tt.records.Get(t.Context(), tt.id); !errors.Is(err, ErrOpen) || errors.Is(err, store.ErrNotFound) || got != nil {
				t.Errorf("Get() = %v, %v, want ErrOpen", got, err)
			}
			err := tt.records.Update(t.Context(), tt.id, func(*thing) (*Next[thing], error) {
				t.Error("Update() called change with a record that is none")
				return nil, nil
			})
			if !errors.Is(err, ErrOpen) {
				t.Errorf("Update() = %v, want ErrOpen", err)
			}
		})
	}
}

// liar is a store that says of each record what its caller wants to hear.
type liar struct {
	store.Store
	says store.Record
}

func (l liar) Get(context.Context, store.Key) (store.Record, error) { return l.says, nil }

func TestRecordsDoNotAskTheStoreWhoseARecordIs(t *testing.T) {
	s := openStore(t, nil)
	things := newThings(t, s)
	mustUpdate(t, things, "a", becomes(thing{Name: "a"}))
	record, err := s.Get(t.Context(), "thing/a")
	if err != nil {
		t.Fatal(err)
	}
	things.Store = liar{s, record}
	if got, err := things.Get(t.Context(), "b"); !errors.Is(err, ErrOpen) {
		t.Errorf("Get() of b = %v, %v, want ErrOpen: it is a's", got, err)
	}
}

func TestRecordsDecodeStrictly(t *testing.T) {
	s := openStore(t, nil)
	things := newThings(t, s)
	for name, plain := range map[string]string{
		"unknown field":    `{"name":"a","limit":1}`,
		"something behind": `{"name":"a"} {}`,
		"cut off":          `{"name":"a"`,
		"other type":       `{"name":"a","count":"+6281234567890"}`,
		"empty":            ``,
	} {
		t.Run(name, func(t *testing.T) {
			writeRaw(t, s, "thing/a", sealFor(t, things.Ring, "thing/a", plain))
			got, err := things.Get(t.Context(), "a")
			if err == nil || got != nil {
				t.Fatalf("Get() = %v, %v, want an error", got, err)
			}
			// I8: an error quotes nothing from a record.
			for _, quoted := range []string{"limit", "6281"} {
				if strings.Contains(err.Error(), quoted) {
					t.Errorf("Get() = %v, which quotes the record", err)
				}
			}
		})
	}
}

// twice is a store that calls each change twice, as one may that has met another
// writer.
type twice struct{ store.Store }

func (s twice) Update(ctx context.Context, key store.Key, change store.Change) error {
	return s.Store.Update(ctx, key, func(old *store.Record) (*store.Write, error) {
		if _, err := change(old); err != nil {
			return nil, err
		}
		return change(old)
	})
}

func TestRecordsGiveEachCallOfAChangeAFreshCopy(t *testing.T) {
	things := newThings(t, twice{openStore(t, nil)})
	mustUpdate(t, things, "a", becomes(thing{Notes: []string{"one"}}))
	mustUpdate(t, things, "a", func(old *thing) (*Next[thing], error) {
		old.Count++
		old.Notes[0] += "+"
		return &Next[thing]{Value: old}, nil
	})
	want := &thing{Count: 1, Notes: []string{"one+"}}
	got, err := things.Get(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Get() differs (-want +got):\n%s", diff)
	}
}

func TestRecordsOfAnOlderKeyAreReadAndSealedAgain(t *testing.T) {
	s := openStore(t, nil)
	things := newThings(t, s)
	mustUpdate(t, things, "a", becomes(thing{Count: 1}))
	rotated := things
	rotated.Ring = rotate(t, things.Ring, 2)
	mustUpdate(t, rotated, "a", func(old *thing) (*Next[thing], error) {
		old.Count++
		return &Next[thing]{Value: old}, nil
	})
	if got, err := rotated.Get(t.Context(), "a"); err != nil || got.Count != 2 {
		t.Errorf("Get() = %+v, %v, want a count of 2", got, err)
	}
	if _, err := things.Get(t.Context(), "a"); !errors.Is(err, ErrOpen) {
		t.Errorf("Get() by the old ring = %v, want ErrOpen: it is sealed under the new key", err)
	}
}
