package storetest

import "math"

var auditCases = []testCase{
	{"PagesFollowOneAnother", func(f *fixture) {
		f.put("kind/a", "value", "1", "2", "3")
		f.put("kind/a", "value", "4", "5")
		f.auditLog(5)
		var bodies []string
		var after uint64
		for pages := 0; ; pages++ {
			events, err := f.store.Audit(f.Context(), after, 2)
			if err != nil || len(events) > 2 || pages > 5 {
				f.Fatalf("Audit(%d, 2) = %d events on page %d, %v", after, len(events), pages, err)
			}
			if len(events) == 0 {
				break
			}
			for _, e := range events {
				if e.Seq <= after {
					f.Fatalf("Audit(%d) returned number %d", after, e.Seq)
				}
				after = e.Seq
				bodies = append(bodies, string(e.Body))
			}
		}
		if got := len(bodies); got != 5 || bodies[0] != "1" || bodies[4] != "5" {
			f.Errorf("Audit() by pages = %q, want 1 to 5", bodies)
		}
		if events, err := f.store.Audit(f.Context(), 0, 0); err != nil || len(events) != 0 {
			f.Errorf("Audit(0, 0) = %d events, %v, want none", len(events), err)
		}
		// Were it taken for "after -1", the log would begin again here.
		if events, err := f.store.Audit(f.Context(), math.MaxUint64, 10); err != nil || len(events) != 0 {
			f.Errorf("Audit(MaxUint64) = %d events, %v, want none", len(events), err)
		}
	}},

	{"EventsOutliveTheirRecord", func(f *fixture) {
		f.put("kind/a", "value", "written")
		f.remove("kind/a", "deleted")
		f.wantEvents("written", "deleted")
	}},

	{"BodiesAreKeptAsTheyAre", func(f *fixture) {
		body := "{\"a\":\"\x00\xff\n\"}"
		f.put("kind/a", "value", body)
		f.wantEvents(body)
	}},
}
