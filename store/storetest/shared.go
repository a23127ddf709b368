package storetest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stepgate/stepgate/store"
)

// RunShared runs the cases of several gateways on one store. For each case, place
// returns a function that opens one more handle on the same, first empty, place, as
// another process would; the suite closes them.
//
// The handles go by clocks of their own, which begin with the real time: a store may
// compare them with that of a server.
func RunShared(t *testing.T, place func(t *testing.T) (open func(now func() time.Time) store.Store)) {
	for _, c := range sharedCases {
		t.Run(c.name, func(t *testing.T) {
			open := place(t)
			p := &pair{T: t}
			for i := range p.nodes {
				clock := &clock{now: time.Now().Truncate(time.Second)}
				s := open(clock.Now)
				t.Cleanup(func() { _ = s.Close() })
				p.nodes[i] = &fixture{T: t, store: s, clock: clock}
			}
			c.run(p)
		})
	}
}

// pair is two gateways on one store.
type pair struct {
	*testing.T
	nodes [2]*fixture
}

var sharedCases = []struct {
	name string
	run  func(p *pair)
}{
	{"NoUpdateOfARecordIsLost", func(p *pair) {
		const writers, each = 16, 15
		p.nodes[0].together(writers, func(n int) error {
			for range each {
				if err := p.nodes[n%2].store.Update(p.Context(), "kind/count", increment); err != nil {
					return err
				}
			}
			return nil
		})
		p.nodes[0].wantRecord("kind/count", strconv.Itoa(writers*each), writers*each)
		p.nodes[1].wantCountedEvents(writers * each)
	}},

	{"InvariantI3TokenIsConsumedExactlyOnce", func(p *pair) {
		const tokens, takers = 6, 16
		for i := range tokens {
			p.nodes[0].put(tokenKey(i), "unused")
		}
		var mu sync.Mutex
		winners := map[int]int{}
		p.nodes[0].together(tokens*takers, func(n int) error {
			token, taker := n%tokens, n/tokens
			err := p.nodes[taker%2].store.Update(p.Context(), tokenKey(token), consume(taker))
			if errors.Is(err, errConsumed) {
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			winners[token]++
			return err
		})
		for i := range tokens {
			if winners[i] != 1 {
				p.Errorf("%d of %d takers consumed token %d, want exactly one", winners[i], takers, i)
			}
		}
	}},

	{"InvariantI5CountersCountForAll", func(p *pair) {
		const callers = 40
		p.nodes[0].together(callers, func(n int) error {
			_, err := p.nodes[n%2].store.Add(p.Context(), "sms/a", 1, time.Hour)
			return err
		})
		for i, node := range p.nodes {
			if sum := node.add("sms/a", 0, 0); sum != callers {
				p.Errorf("Add(0) at node %d = %d, want %d", i, sum, callers)
			}
		}
	}},

	// A gateway that is stopped in the middle of an update must not stop the others.
	{"AnUpdateUnderWayHoldsNobodyUp", func(p *pair) {
		release, first := p.nodes[0].blockedUpdate("kind/a")
		defer release()
		if err := p.nodes[1].store.Update(p.Context(), "kind/a", increment); err != nil {
			p.Fatalf("Update() at the other node = %v", err)
		}
		release()
		if err := <-first; err != nil {
			p.Fatalf("Update() that was overtaken = %v", err)
		}
		p.nodes[1].wantRecord("kind/a", "2", 2)
	}},

	// A record that was deleted and made again has the version that it had before.
	{"InvariantI3ARecordMadeAnewIsNotTakenForTheOldOne", func(p *pair) {
		p.nodes[0].put("kind/pass", "unused")
		running, released := make(chan struct{}), make(chan struct{})
		var once sync.Once
		var saw []string
		done := make(chan error, 1)
		go func() {
			done <- p.nodes[0].store.Update(p.Context(), "kind/pass", func(old *store.Record) (*store.Write, error) {
				once.Do(func() { close(running); <-released })
				saw = append(saw, string(old.Value))
				return &store.Write{Value: []byte("used")}, nil
			})
		}()
		p.nodes[0].await("the first update's change", running)
		p.nodes[1].remove("kind/pass")
		p.nodes[1].put("kind/pass", "another")
		close(released)
		if err := <-done; err != nil {
			p.Fatal(err)
		}
		if fmt.Sprint(saw) != "[unused another]" {
			p.Errorf("the change was given %q, want the record that was made anew in the end", saw)
		}
	}},

	{"InvariantI9AnnouncementsReachTheOthers", func(p *pair) {
		w := newReports(p.nodes[1], "kind/")
		p.nodes[1].until("Current()", w.watch.Current)
		p.nodes[0].announce("kind/a", &store.Write{Value: []byte("one")})
		p.nodes[0].announce("other/a", &store.Write{Value: []byte("one")})
		p.nodes[0].announce("kind/b", &store.Write{Value: []byte("one")})
		p.nodes[1].until("hearing of kind/b", func() bool { return w.heard("kind/b") })
		w.want(p.nodes[1], "kind/a", "kind/b")
	}},

	// Whoever follows the audit log misses no entry, in whatever order writes end.
	{"AuditIsFollowedWithoutGaps", func(p *pair) {
		const writers, each = 12, 20
		ctx, cancel := context.WithTimeout(p.Context(), patience)
		defer cancel()
		followed := make(chan error, 1)
		go func() { followed <- follow(ctx, p.nodes[1].store, writers*each) }()
		p.nodes[0].together(writers, func(n int) error {
			key := store.Key(fmt.Sprintf("kind/%d", n))
			for i := range each {
				event := fmt.Appendf(nil, "%d %d", n, i)
				w := &store.Write{Value: event, Events: [][]byte{event}}
				if err := p.nodes[n%2].store.Update(p.Context(), key, always(w)); err != nil {
					return err
				}
			}
			return nil
		})
		if err := <-followed; err != nil {
			p.Error(err)
		}
	}},

	// Clocks differ. What one gateway takes for expired is left to the others, and
	// is used at most once all the same.
	{"AFastClockDeletesNothingOfTheOthers", func(p *pair) {
		p.nodes[1].putUntil("kind/a", "one", 30*time.Minute)
		p.nodes[1].add("sms/a", 3, 30*time.Minute)
		p.nodes[0].clock.advance(time.Hour)
		p.nodes[0].wantAbsent("kind/a")
		if n := p.nodes[0].expire(100); n != 0 {
			p.Errorf("Expire() of the fast clock = %d, want 0", n)
		}
		p.nodes[1].wantRecord("kind/a", "one", 1)
		if sum := p.nodes[1].add("sms/a", 0, 0); sum != 3 {
			p.Errorf("Add(0) = %d, want 3", sum)
		}
		p.nodes[0].put("kind/a", "two")
		p.nodes[1].wantRecord("kind/a", "two", 1)
	}},
}

// follow reads the audit log from its beginning until it has n entries, of which none
// may come twice, be missing, or overtake an earlier one of the same writer.
func follow(ctx context.Context, s store.Store, n int) error {
	next := map[string]int{}
	for after, seen := uint64(0), 0; seen < n; {
		events, err := s.Audit(ctx, after, 7)
		if err != nil {
			return fmt.Errorf("following after %d of %d entries: %w", seen, n, err)
		}
		for _, e := range events {
			writer, count, _ := strings.Cut(string(e.Body), " ")
			if e.Seq <= after || count != strconv.Itoa(next[writer]) {
				return fmt.Errorf("entry %d is %q after entry %d, want %s %d", e.Seq, e.Body, after, writer, next[writer])
			}
			next[writer]++
			after = e.Seq
			seen++
		}
	}
	return nil
}
