package storetest

import "github.com/stepgate/stepgate/store"

var scanCases = []testCase{
	{"OrderIsThatOfTheBytes", func(f *fixture) {
		// Neither a dictionary's order nor one that ignores case or punctuation.
		want := []store.Key{"a-b", "a.b", "a/a", "a/b", "a0", "aA", "aB", "a_b", "aa", "ab", "b"}
		for i := range want {
			f.put(want[(i*7)%len(want)], "value")
		}
		f.wantKeys("", "", 100, want...)
	}},

	{"PrefixIsTakenAsItIs", func(f *fixture) {
		for _, key := range []store.Key{"a", "a.b/1", "a_b/1", "ab", "abb/1", "axb/1", "b", "A_b/1"} {
			f.put(key, "value")
		}
		f.wantKeys("a_b/", "", 100, "a_b/1") // no wildcard
		f.wantKeys("a.b/", "", 100, "a.b/1") // no pattern
		f.wantKeys("ab", "", 100, "ab", "abb/1")
		f.wantKeys("a", "", 100, "a", "a.b/1", "a_b/1", "ab", "abb/1", "axb/1")
		f.wantKeys("b", "", 100, "b")
		f.wantKeys("c", "", 100)
		f.wantKeys("bb", "", 100)
		f.wantKeys("z", "", 100)
	}},

	{"PagesFollowOneAnother", func(f *fixture) {
		f.put("a/x", "value")
		for _, key := range []store.Key{"b/1", "b/2", "b/3", "b/4", "b/5"} {
			f.put(key, "value")
		}
		f.put("c/x", "value")
		f.wantKeys("b/", "", 2, "b/1", "b/2")
		f.wantKeys("b/", "b/2", 2, "b/3", "b/4")
		f.wantKeys("b/", "b/4", 2, "b/5")
		f.wantKeys("b/", "b/5", 2)
		f.wantKeys("b/", "", 5, "b/1", "b/2", "b/3", "b/4", "b/5")
		f.wantKeys("b/", "", 0)
	}},

	{"AfterNeedNotBeAKeyThatIsThere", func(f *fixture) {
		for _, key := range []store.Key{"b/1", "b/3", "b/5"} {
			f.put(key, "value")
		}
		f.wantKeys("b/", "b/2", 10, "b/3", "b/5")
		f.wantKeys("b/", "a/9", 10, "b/1", "b/3", "b/5")
		f.wantKeys("b/", "b/", 10, "b/1", "b/3", "b/5")
		f.wantKeys("b/", "c", 10)
		f.remove("b/3") // as between two pages
		f.wantKeys("b/", "b/3", 10, "b/5")
	}},

	{"ExpiredRecordsTakeNoRoomOnAPage", func(f *fixture) {
		f.put("b/1", "value")
		f.putUntil("b/2", "value", patience)
		f.putUntil("b/3", "value", patience)
		f.put("b/4", "value")
		f.clock.advance(patience)
		f.wantKeys("b/", "", 2, "b/1", "b/4")
		f.wantKeys("b/", "b/1", 1, "b/4")
		f.wantKeys("b/", "b/2", 1, "b/4")
	}},

	{"RecordsAreWhole", func(f *fixture) {
		f.put("b/1", "one")
		f.put("b/1", "two")
		f.putUntil("b/2", "three", patience)
		records, err := f.store.Scan(f.Context(), "b/", "", 10)
		if err != nil || len(records) != 2 {
			f.Fatalf("Scan() = %d records, %v, want 2", len(records), err)
		}
		for i, want := range []store.Record{f.get("b/1"), f.get("b/2")} {
			got := records[i]
			if got.Key != want.Key || string(got.Value) != string(want.Value) || got.Version != want.Version || !got.Expires.Equal(want.Expires) {
				f.Errorf("Scan()[%d] = %s, want what Get returns: %s", i, show(got), show(want))
			}
		}
	}},
}
