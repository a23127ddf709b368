package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/stepgate/stepgate/store"
)

// A moveCase is one sentence of what [store.Mover] promises.
type moveCase struct {
	name string
	run  func(f *moveFixture)
}

// moveFixture is a test with two stores that go by one clock.
type moveFixture struct {
	*fixture
	from, to store.Mover
}

// runMoves runs the cases of a store that can be moved, and skips them for another.
func runMoves(t *testing.T, open func(t *testing.T, now func() time.Time) store.Store) {
	for _, c := range moveCases {
		t.Run(c.name, func(t *testing.T) {
			clock := newClock()
			f := &fixture{T: t, store: openOne(t, open, clock), clock: clock}
			from, ok := f.store.(store.Mover)
			if !ok {
				t.Skip("the store cannot be moved")
			}
			to := openOne(t, open, clock).(store.Mover)
			c.run(&moveFixture{fixture: f, from: from, to: to})
		})
	}
}

var moveCases = []moveCase{
	{"ACopyIsEqual", func(f *moveFixture) {
		f.fill()
		f.move(3, nil)
		f.wantEqual()
	}},

	{"PagesAreOfOnePartAndInOrder", func(f *moveFixture) {
		f.fill()
		last := store.Cursor{}
		for last.Part != store.PartEnd {
			b := f.export(f.from, last, 2)
			if b.Len() > 2 {
				f.Fatalf("Export(%v, 2) = %d items", last, b.Len())
			}
			for part, n := range []int{len(b.Records), len(b.Counters), len(b.Events)} {
				if n > 0 && last.Part != store.Part(part) {
					f.Fatalf("Export(%v) returned items of part %d", last, part)
				}
			}
			if b.Next.Part < last.Part || b.Next.Part == last.Part && b.Next.Key <= last.Key && b.Next.Seq <= last.Seq {
				f.Fatalf("Export(%v) goes on at %v, want it to move", last, b.Next)
			}
			last = b.Next
		}
	}},

	{"LargeValuesComeInSmallBatches", func(f *moveFixture) {
		for i := range 6 {
			f.put(store.NewKey("large", fmt.Sprint(i)), string(bytes.Repeat([]byte{byte(i)}, store.MaxValueLength)))
		}
		if b := f.export(f.from, store.Cursor{}, store.MaxBatch); len(b.Records) == 0 || len(b.Records) > 4 {
			f.Errorf("Export() = %d records of %d bytes, want some and not all at once", len(b.Records), store.MaxValueLength)
		}
		f.move(store.MaxBatch, nil)
		f.wantEqual()
	}},

	{"WhatHasExpiredStaysBehind", func(f *moveFixture) {
		f.put("kind/a", "stays")
		f.putUntil("kind/b", "goes", time.Minute)
		f.add("sms/a", 1, time.Minute)
		f.clock.advance(time.Minute)
		f.add("sms/b", 1, time.Minute)
		b := f.all(f.from)
		if len(b.Records) != 1 || b.Records[0].Key != "kind/a" || len(b.Counters) != 1 || b.Counters[0].Key != "sms/b" {
			f.Errorf("Export() = %v and %v, want only what is live", b.Records, b.Counters)
		}
	}},

	{"WhatWasCopiedExpires", func(f *moveFixture) {
		f.putUntil("kind/a", "value", time.Minute)
		f.add("sms/a", 2, time.Minute)
		f.move(10, nil)
		f.fixture.store = f.to
		if sum := f.add("sms/a", 1, time.Hour); sum != 3 {
			f.Errorf("Add() = %d in the copy, want 3", sum)
		}
		f.clock.advance(time.Minute)
		f.wantAbsent("kind/a")
		if sum := f.add("sms/a", 0, 0); sum != 0 {
			f.Errorf("Add(0) = %d after the window that was copied, want 0", sum)
		}
	}},

	{"ACopyIsAStoreLikeAnyOther", func(f *moveFixture) {
		f.put("kind/a", "one", "first")
		f.put("kind/a", "two", "second")
		f.move(10, nil)
		f.fixture.store = f.to
		f.put("kind/a", "three", "third")
		f.wantRecord("kind/a", "three", 3)
		f.wantEvents("first", "second", "third")
	}},

	{"ACopyThatWasKilledGoesOnFromItsMark", func(f *moveFixture) {
		f.fill()
		for n := 1; ; n++ {
			// Nothing is kept between the attempts but what the store keeps.
			stopped := errors.New("killed")
			left := n
			err := f.try(2, func() error {
				if left--; left < 0 {
					return stopped
				}
				return nil
			})
			if err == nil {
				break
			}
			if !errors.Is(err, stopped) || n > 100 {
				f.Fatalf("attempt %d: %v", n, err)
			}
			if f.mark() == nil {
				f.Fatalf("attempt %d left no mark", n)
			}
		}
		f.wantEqual()
	}},

	{"NoBatchIsWrittenTwice", func(f *moveFixture) {
		f.put("kind/a", "value", "event")
		mark := store.Mark{Source: f.from.Name(), AsOf: f.clock.Now()}
		f.wantImport(nil, store.Batch{}, nil, &mark)
		next := mark
		next.Reached = store.Cursor{Part: store.PartEnd}
		events := store.Batch{Events: [][]byte{[]byte("event")}}
		f.wantImport(nil, events, &mark, &next)
		f.wantImport(store.ErrOtherCopy, events, &mark, &next)
		f.wantImport(store.ErrOtherCopy, store.Batch{}, nil, &mark)
		f.wantImport(nil, store.Batch{}, &next, nil)
		f.wantImport(store.ErrOtherCopy, events, &next, nil)
		f.fixture.store = f.to
		f.wantEvents("event")
	}},

	{"AnImportIsWholeOrNothing", func(f *moveFixture) {
		mark := store.Mark{Source: f.from.Name(), AsOf: f.clock.Now()}
		f.wantImport(nil, store.Batch{}, nil, &mark)
		next := mark
		next.Reached = store.Cursor{Key: "kind/b"}
		twice := store.Batch{
			Records: []store.Record{{Key: "kind/a", Value: []byte("1"), Version: 1}, {Key: "kind/a", Value: []byte("2"), Version: 1}},
			Events:  [][]byte{[]byte("event")},
		}
		if err := f.to.Import(f.Context(), twice, &mark, &next); err == nil {
			f.Fatal("Import() wrote one record twice")
		}
		for _, bad := range []store.Batch{
			{Records: []store.Record{{Key: "kind/a", Version: 0}}},
			{Records: []store.Record{{Key: "no key", Version: 1}}},
			{Records: []store.Record{{Key: "kind/a", Version: 1, Value: make([]byte, store.MaxValueLength+1)}}},
			{Records: []store.Record{{Key: "kind/a", Version: 1, Expires: time.Unix(-1, 0)}}},
			{Counters: []store.Counter{{Key: "sms/a", Sum: 1}}},
			{Events: make([][]byte, store.MaxBatch+1)},
		} {
			if err := f.to.Import(f.Context(), bad, &mark, &next); err == nil {
				f.Errorf("Import() took a batch that no store exports: %d items", bad.Len())
			}
		}
		if got := f.mark(); got == nil || got.Reached != mark.Reached {
			f.Errorf("Mark() = %v after failed imports, want %v", got, mark)
		}
		if b := f.all(f.to); b.Len() != 0 {
			f.Errorf("failed imports left %d items", b.Len())
		}
	}},

	{"AStoreThatIsNotEmptyTakesNoCopy", func(f *moveFixture) {
		mark := store.Mark{Source: f.from.Name(), AsOf: f.clock.Now()}
		f.fixture.store = f.to
		f.putUntil("kind/a", "value", time.Minute)
		f.clock.advance(time.Hour) // expired, and yet somebody's
		f.wantImport(store.ErrNotEmpty, store.Batch{}, nil, &mark)
		f.expire(10)
		f.wantImport(nil, store.Batch{}, nil, &mark)
		f.wantImport(nil, store.Batch{}, &mark, nil)
		f.add("sms/a", 1, time.Minute)
		f.wantImport(store.ErrNotEmpty, store.Batch{}, nil, &mark)
		f.clock.advance(time.Hour)
		f.expire(10)
		f.remove("kind/a", "event")
		f.wantImport(store.ErrNotEmpty, store.Batch{}, nil, &mark)
		if got := f.mark(); got != nil {
			f.Errorf("Mark() = %v after a refusal, want none", got)
		}
	}},
}

// fill writes some of everything.
func (f *moveFixture) fill() {
	f.Helper()
	for i := range 7 {
		f.put(store.NewKey("kind", fmt.Sprint(i)), fmt.Sprintf("\x00value %d\xff", i), fmt.Sprintf("event %d\x00\xff", i))
		f.putUntil(store.NewKey("until", fmt.Sprint(i)), "", time.Duration(i+1)*time.Minute+time.Microsecond)
		f.add(store.NewKey("sms", fmt.Sprint(i)), int64(i-3)*1e15, time.Duration(i+1)*time.Hour)
	}
	f.put("kind/3", "again", "event 3 again", "")
	f.remove("kind/4", "event 4 again")
}

func (f *moveFixture) export(from store.Mover, after store.Cursor, limit int) store.Batch {
	f.Helper()
	b, err := from.Export(f.Context(), f.clock.Now(), after, limit)
	if err != nil {
		f.Fatalf("Export(%v) = %v", after, err)
	}
	return b
}

// all returns the whole contents of a store.
func (f *moveFixture) all(from store.Mover) (all store.Batch) {
	f.Helper()
	for all.Next.Part != store.PartEnd {
		b := f.export(from, all.Next, store.MaxBatch)
		all.Records = append(all.Records, b.Records...)
		all.Counters = append(all.Counters, b.Counters...)
		all.Events = append(all.Events, b.Events...)
		all.Next = b.Next
	}
	return all
}

func (f *moveFixture) wantEqual() {
	f.Helper()
	from, to := f.all(f.from), f.all(f.to)
	if from.Len() == 0 || !reflect.DeepEqual(from, to) {
		f.Errorf("the copy has %d records, %d counters and %d events, want those of the source: %d, %d and %d, to the byte",
			len(to.Records), len(to.Counters), len(to.Events), len(from.Records), len(from.Counters), len(from.Events))
	}
	if m := f.mark(); m != nil {
		f.Errorf("Mark() = %v after the copy, want none", m)
	}
}

func (f *moveFixture) mark() *store.Mark {
	f.Helper()
	m, err := f.to.Mark(f.Context())
	if err != nil {
		f.Fatalf("Mark() = %v", err)
	}
	return m
}

func (f *moveFixture) wantImport(want error, b store.Batch, before, after *store.Mark) {
	f.Helper()
	if err := f.to.Import(f.Context(), b, before, after); !errors.Is(err, want) {
		f.Fatalf("Import(%v, %v) = %v, want %v", before, after, err, want)
	}
}

func (f *moveFixture) move(limit int, between func() error) {
	f.Helper()
	if err := f.try(limit, between); err != nil {
		f.Fatal(err)
	}
}

// try copies from the mark on, and asks between batches whether to go on.
func (f *moveFixture) try(limit int, between func() error) error {
	mark := f.mark()
	if mark == nil {
		mark = &store.Mark{Source: f.from.Name(), AsOf: f.clock.Now()}
		if err := f.to.Import(f.Context(), store.Batch{}, nil, mark); err != nil {
			return err
		}
	}
	for mark.Reached.Part != store.PartEnd {
		if between != nil {
			if err := between(); err != nil {
				return err
			}
		}
		b := f.export(f.from, mark.Reached, limit)
		next := *mark
		next.Reached = b.Next
		if err := f.to.Import(f.Context(), b, mark, &next); err != nil {
			return err
		}
		mark = &next
	}
	return f.to.Import(f.Context(), store.Batch{}, mark, nil)
}
