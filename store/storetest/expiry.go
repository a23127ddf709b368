package storetest

import (
	"fmt"
	"time"

	"github.com/stepgate/stepgate/store"
)

var expiryCases = []testCase{
	{"RecordIsAbsentFromItsExpiryOn", func(f *fixture) {
		f.putUntil("kind/a", "one", time.Minute)
		if got, want := f.get("kind/a").Expires, f.clock.Now().Add(time.Minute); !got.Equal(want) {
			f.Errorf("Get().Expires = %v, want %v", got, want)
		}
		f.clock.advance(time.Minute - time.Second)
		f.wantRecord("kind/a", "one", 1)
		f.wantKeys("kind/", "", 10, "kind/a")
		f.clock.advance(time.Second)
		f.wantAbsent("kind/a")
		f.wantKeys("kind/", "", 10)
	}},

	{"ChangeOfAnExpiredRecordSeesNothing", func(f *fixture) {
		f.putUntil("kind/a", "one", time.Minute)
		f.putUntil("kind/a", "two", time.Minute)
		f.clock.advance(time.Minute)
		f.mustUpdate("kind/a", func(old *store.Record) (*store.Write, error) {
			if old != nil {
				return nil, fmt.Errorf("given %s, want nil", show(*old))
			}
			return &store.Write{Value: []byte("three")}, nil
		})
		f.wantRecord("kind/a", "three", 1)
	}},

	{"RecordThatIsBornExpiredIsAbsent", func(f *fixture) {
		f.put("kind/a", "one")
		f.putUntil("kind/a", "two", 0)
		f.wantAbsent("kind/a")
		f.putUntil("kind/b", "one", -time.Hour)
		f.wantAbsent("kind/b")
		f.put("kind/b", "two")
		f.wantRecord("kind/b", "two", 1)
	}},

	{"EachWriteReplacesTheExpiry", func(f *fixture) {
		f.putUntil("kind/longer", "one", time.Minute)
		f.putUntil("kind/longer", "two", time.Hour)
		f.putUntil("kind/never", "one", time.Minute)
		f.put("kind/never", "two")
		f.putUntil("kind/shorter", "one", time.Hour)
		f.putUntil("kind/shorter", "two", time.Minute)
		f.clock.advance(time.Minute)
		f.wantRecord("kind/longer", "two", 2)
		f.wantRecord("kind/never", "two", 2)
		f.wantAbsent("kind/shorter")
		f.clock.advance(time.Hour)
		f.wantAbsent("kind/longer")
		f.wantRecord("kind/never", "two", 2)
	}},

	{"ExpireDeletesNoMoreThanAsked", func(f *fixture) {
		for i := range 7 {
			f.putUntil(store.Key(fmt.Sprintf("kind/%d", i)), "value", time.Minute)
		}
		for i := range 3 {
			f.add(store.Key(fmt.Sprintf("count/%d", i)), 1, time.Minute)
		}
		f.put("kind/never", "value")
		f.putUntil("kind/later", "value", time.Hour)
		f.add("count/later", 5, time.Hour)
		if n := f.expire(100); n != 0 {
			f.Errorf("Expire() before any expiry = %d, want 0", n)
		}
		f.clock.advance(time.Minute)
		if n := f.expire(0); n != 0 {
			f.Errorf("Expire(0) = %d, want 0", n)
		}
		total := 0
		for range 3 {
			n := f.expire(4)
			if n < 0 || n > 4 {
				f.Errorf("Expire(4) = %d, want up to 4", n)
			}
			total += n
		}
		if total != 10 {
			f.Errorf("Expire(4), three times, deleted %d, want the 7 records and 3 counters", total)
		}
		if n := f.expire(100); n != 0 {
			f.Errorf("Expire() of nothing more = %d, want 0", n)
		}
		f.wantKeys("", "", 100, "kind/later", "kind/never")
		if sum := f.add("count/later", 0, 0); sum != 5 {
			f.Errorf("Add(0) = %d, want 5: its window has not ended", sum)
		}
	}},

	{"ExpireSparesWhatWasRenewed", func(f *fixture) {
		f.putUntil("kind/renewed", "one", time.Minute)
		f.putUntil("kind/kept", "one", time.Minute)
		f.putUntil("kind/deleted", "one", time.Minute)
		f.putUntil("kind/again", "one", time.Minute)
		f.add("count/again", 1, time.Minute)
		f.putUntil("kind/renewed", "two", time.Hour)
		f.put("kind/kept", "two")
		f.remove("kind/deleted")
		f.put("kind/deleted", "two")
		f.clock.advance(time.Minute)
		f.putUntil("kind/again", "two", time.Hour) // in place of the expired record
		f.add("count/again", 2, time.Hour)
		if n := f.expire(100); n != 0 {
			f.Errorf("Expire() = %d, want 0: all have been written again", n)
		}
		f.wantRecord("kind/renewed", "two", 2)
		f.wantRecord("kind/kept", "two", 2)
		f.wantRecord("kind/deleted", "two", 1)
		f.wantRecord("kind/again", "two", 1)
		if sum := f.add("count/again", 0, 0); sum != 2 {
			f.Errorf("Add(0) = %d, want 2", sum)
		}
	}},

	{"ExpireLeavesTheAuditLog", func(f *fixture) {
		f.write("kind/a", &store.Write{
			Value:   []byte("value"),
			Expires: f.clock.Now().Add(time.Minute),
			Events:  byteSlices([]string{"event"}),
		})
		f.clock.advance(time.Hour)
		if n := f.expire(100); n != 1 {
			f.Errorf("Expire() = %d, want 1", n)
		}
		f.wantEvents("event")
	}},
}

var counterCases = []testCase{
	{"AddReturnsTheSum", func(f *fixture) {
		for _, step := range []struct{ n, want int64 }{{1, 1}, {1, 2}, {40, 42}, {0, 42}, {-2, 40}} {
			if sum := f.add("sms/a", step.n, time.Hour); sum != step.want {
				f.Errorf("Add(%d) = %d, want %d", step.n, sum, step.want)
			}
		}
		if sum := f.add("sms/b", 1, time.Hour); sum != 1 {
			f.Errorf("Add() to another counter = %d, want 1", sum)
		}
	}},

	{"WindowBeginsWithTheFirstAddition", func(f *fixture) {
		f.add("sms/a", 1, time.Minute)
		f.clock.advance(time.Minute - time.Second)
		// Neither a later addition nor its longer window keeps the old one open.
		if sum := f.add("sms/a", 1, time.Hour); sum != 2 {
			f.Errorf("Add() within the window = %d, want 2", sum)
		}
		f.clock.advance(time.Second)
		if sum := f.add("sms/a", 0, time.Hour); sum != 0 {
			f.Errorf("Add(0) after the window = %d, want 0", sum)
		}
		if sum := f.add("sms/a", 1, time.Hour); sum != 1 {
			f.Errorf("Add() after the window = %d, want 1", sum)
		}
		f.clock.advance(time.Hour - time.Second)
		if sum := f.add("sms/a", 0, 0); sum != 1 {
			f.Errorf("Add(0) within the new window = %d, want 1", sum)
		}
	}},

	{"AddingNothingBeginsNothing", func(f *fixture) {
		if sum := f.add("sms/a", 0, time.Minute); sum != 0 {
			f.Errorf("Add(0) = %d, want 0", sum)
		}
		f.clock.advance(time.Minute - time.Second)
		f.add("sms/a", 1, time.Minute)
		f.clock.advance(time.Second)
		if sum := f.add("sms/a", 0, time.Minute); sum != 1 {
			f.Errorf("Add(0) = %d, want 1: the window began with the 1", sum)
		}
	}},

	{"CountersAndRecordsDoNotMeet", func(f *fixture) {
		f.put("kind/a", "value")
		f.add("kind/a", 7, time.Hour)
		f.add("kind/b", 7, time.Hour)
		f.wantRecord("kind/a", "value", 1)
		f.wantAbsent("kind/b")
		f.wantKeys("", "", 10, "kind/a")
		f.remove("kind/a")
		if sum := f.add("kind/a", 0, 0); sum != 7 {
			f.Errorf("Add(0) = %d, want 7: deleting the record leaves the counter", sum)
		}
	}},

	{"WindowOfNoTimeIsRefused", func(f *fixture) {
		for _, window := range []time.Duration{0, -time.Second} {
			if sum, err := f.store.Add(f.Context(), "sms/a", 1, window); err == nil {
				f.Errorf("Add(1, %v) = %d, want an error: such a limit would never hold", window, sum)
			}
		}
	}},

	{"SumDoesNotWrapRound", func(f *fixture) {
		const most = 1<<63 - 1
		f.add("sms/a", most, time.Hour)
		if sum, err := f.store.Add(f.Context(), "sms/a", 1, time.Hour); err == nil {
			f.Errorf("Add(1) to the largest sum = %d, want an error", sum)
		}
		if sum := f.add("sms/a", 0, 0); sum != most {
			f.Errorf("Add(0) = %d, want it unchanged", sum)
		}
	}},
}
