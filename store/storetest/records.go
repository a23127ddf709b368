package storetest

import (
	"bytes"
	"errors"
	"strings"

	"github.com/stepgate/stepgate/store"
)

var recordCases = []testCase{
	{"GetOfNothingIsErrNotFound", func(f *fixture) {
		f.wantAbsent("kind/nothing")
	}},

	{"UpdateWritesAndCountsVersionsFromOne", func(f *fixture) {
		f.put("kind/a", "one")
		f.wantRecord("kind/a", "one", 1)
		f.put("kind/a", "two")
		f.wantRecord("kind/a", "two", 2)
		f.put("kind/b", "other")
		f.wantRecord("kind/a", "two", 2)
		f.wantRecord("kind/b", "other", 1)
		if r := f.get("kind/a"); !r.Expires.IsZero() {
			f.Errorf("Get().Expires = %v, want zero: it never expires", r.Expires)
		}
	}},

	{"ChangeSeesTheLiveRecordOrNil", func(f *fixture) {
		var seen []*store.Record
		look := func(old *store.Record) (*store.Write, error) {
			if old != nil {
				kept := *old
				kept.Value = bytes.Clone(old.Value)
				old = &kept
			}
			seen = append(seen[:0], old)
			return nil, nil
		}
		f.mustUpdate("kind/a", look)
		if seen[0] != nil {
			f.Errorf("change of nothing was given %s, want nil", show(*seen[0]))
		}
		f.put("kind/a", "one")
		f.put("kind/a", "two")
		f.mustUpdate("kind/a", look)
		if r := seen[0]; r == nil || r.Key != "kind/a" || string(r.Value) != "two" || r.Version != 2 {
			f.Errorf("change was given %v, want version 2 of kind/a", r)
		}
	}},

	{"NilWriteLeavesEverythingAsItIs", func(f *fixture) {
		f.put("kind/a", "one", "written")
		f.mustUpdate("kind/a", always(nil))
		f.mustUpdate("kind/b", always(nil))
		f.wantRecord("kind/a", "one", 1)
		f.wantAbsent("kind/b")
		f.wantEvents("written")
	}},

	{"ErrorOfAChangeIsReturnedUnchangedAndNothingIsWritten", func(f *fixture) {
		f.put("kind/a", "one")
		refusal := errors.New("used up")
		for _, key := range []store.Key{"kind/a", "kind/b"} {
			err := f.store.Update(f.Context(), key, func(*store.Record) (*store.Write, error) {
				return &store.Write{Value: []byte("two"), Events: byteSlices([]string{"event"})}, refusal
			})
			if err != refusal { // not errors.Is: the contract says unchanged
				f.Errorf("Update(%q) = %v, want the change's own error", key, err)
			}
		}
		f.wantRecord("kind/a", "one", 1)
		f.wantAbsent("kind/b")
		f.wantEvents()
	}},

	{"DeleteRemovesAndVersionsBeginAgain", func(f *fixture) {
		f.put("kind/a", "one")
		f.put("kind/a", "two")
		f.remove("kind/a")
		f.wantAbsent("kind/a")
		f.remove("kind/a") // deleting what is not there is no error
		f.put("kind/a", "three")
		f.wantRecord("kind/a", "three", 1)
	}},

	{"DeleteIgnoresTheValue", func(f *fixture) {
		f.put("kind/a", "one")
		f.write("kind/a", &store.Write{Delete: true, Value: []byte("two")})
		f.wantAbsent("kind/a")
	}},

	{"EmptyAndBinaryValuesAreKept", func(f *fixture) {
		all := make([]byte, 256)
		for i := range all {
			all[i] = byte(i)
		}
		for _, value := range []string{"", "\x00", string(all), "\xff\xfe"} {
			f.put("kind/a", value)
			if r := f.get("kind/a"); string(r.Value) != value {
				f.Errorf("Get().Value = %q, want %q", r.Value, value)
			}
		}
	}},

	{"PanicOfAChangeReachesTheCallerAndWritesNothing", func(f *fixture) {
		f.put("kind/a", "one")
		reason := errors.New("a fault of the caller's")
		func() {
			defer func() {
				if got := recover(); got != reason {
					f.Errorf("recover() = %v, want the change's own panic", got)
				}
			}()
			err := f.store.Update(f.Context(), "kind/a", func(*store.Record) (*store.Write, error) { panic(reason) })
			f.Errorf("Update() = %v, want a panic", err)
		}()
		f.wantRecord("kind/a", "one", 1)
		f.put("kind/a", "two") // the store still works
		f.wantRecord("kind/a", "two", 2)
	}},

	{"ReturnedValuesBelongToTheCaller", func(f *fixture) {
		f.put("kind/a", "value", "event")
		spoil := func(b []byte) {
			for i := range b {
				b[i] = 'X'
			}
			_ = append(b, 'Y')
		}
		spoil(f.get("kind/a").Value)
		records, err := f.store.Scan(f.Context(), "kind/", "", 10)
		if err != nil || len(records) != 1 {
			f.Fatalf("Scan() = %d records, %v", len(records), err)
		}
		spoil(records[0].Value)
		events, err := f.store.Audit(f.Context(), 0, 10)
		if err != nil || len(events) != 1 {
			f.Fatalf("Audit() = %d events, %v", len(events), err)
		}
		spoil(events[0].Body)
		f.wantRecord("kind/a", "value", 1)
		f.wantEvents("event")
	}},

	{"WrittenBytesAreNotKept", func(f *fixture) {
		value, event := []byte("value"), []byte("event")
		f.write("kind/a", &store.Write{Value: value, Events: [][]byte{event}})
		copy(value, "XXXXX")
		copy(event, "XXXXX")
		f.wantRecord("kind/a", "value", 1)
		f.wantEvents("event")
	}},

	{"EventsAreWrittenWithTheRecordInOrder", func(f *fixture) {
		f.put("kind/a", "one", "a1", "a2")
		f.put("kind/b", "one", "b1")
		f.remove("kind/a", "a3")
		f.wantEvents("a1", "a2", "b1", "a3")
	}},
}

var limitCases = []testCase{
	{"KeysThatAreNoKeysAreRefused", func(f *fixture) {
		for _, key := range []store.Key{"", store.Key(strings.Repeat("k", store.MaxKeyLength+1)), "kind/é", "kind/a b", "kind/\x00", "kind/%", "kind/a\n"} {
			called := false
			err := f.store.Update(f.Context(), key, func(*store.Record) (*store.Write, error) {
				called = true
				return &store.Write{Value: []byte("value")}, nil
			})
			f.wantRefusal("Update", key, err)
			if called {
				f.Errorf("Update(%q) called change, want it refused first", key)
			}
			_, err = f.store.Get(f.Context(), key)
			f.wantRefusal("Get", key, err)
			_, err = f.store.Add(f.Context(), key, 1, patience)
			f.wantRefusal("Add", key, err)
		}
		f.wantKeys("", "", 10)
	}},

	{"LongestKeyIsAccepted", func(f *fixture) {
		key := store.Key(strings.Repeat("k", store.MaxKeyLength))
		f.put(key, "value")
		f.wantRecord(key, "value", 1)
		f.add(key, 1, patience)
	}},

	{"LongestValueIsAccepted", func(f *fixture) {
		value := strings.Repeat("v", store.MaxValueLength)
		f.put("kind/a", value)
		f.wantRecord("kind/a", value, 1)
	}},

	{"LongerValueIsRefusedWithItsEvents", func(f *fixture) {
		f.put("kind/a", "one")
		err := f.store.Update(f.Context(), "kind/a", always(&store.Write{
			Value:  make([]byte, store.MaxValueLength+1),
			Events: byteSlices([]string{"event"}),
		}))
		if err == nil || !strings.Contains(err.Error(), "value") {
			f.Errorf("Update() with a value that is too long = %v, want an error that says so", err)
		}
		f.wantRecord("kind/a", "one", 1)
		f.wantEvents()
	}},
}

// wantRefusal checks that the error of a call with a bad key says what is wrong,
// and is not mistaken for an absent record.
func (f *fixture) wantRefusal(call string, key store.Key, err error) {
	f.Helper()
	if err == nil || errors.Is(err, store.ErrNotFound) || !strings.Contains(err.Error(), "key") {
		f.Errorf("%s(%q) = %v, want an error about the key", call, key, err)
	}
}

func (f *fixture) mustUpdate(key store.Key, change store.Change) {
	f.Helper()
	if err := f.store.Update(f.Context(), key, change); err != nil {
		f.Fatalf("Update(%q) = %v", key, err)
	}
}
