package storecopy

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stepgate/stepgate/internal/pgserver"
	"github.com/stepgate/stepgate/internal/pgserver/pgtest"
	"github.com/stepgate/stepgate/store"
	"github.com/stepgate/stepgate/store/bolt"
	"github.com/stepgate/stepgate/store/postgres"
)

func TestMain(m *testing.M) {
	copyChild()
	os.Exit(m.Run())
}

// An address is a file, or a schema and the address of a database behind "@".
type address string

// end says what a store is opened for.
type end int

const (
	gateway end = iota
	source
	target
)

func (a address) open(ctx context.Context, as end) (store.Mover, error) {
	schema, dsn, ok := strings.Cut(string(a), "@")
	if !ok {
		return bolt.Open(string(a), bolt.Options{Existing: as == source, Unfinished: as == target})
	}
	o := postgres.Options{Schema: schema, Timeout: 20 * time.Second, Existing: as == source, Unfinished: as == target}
	if as != gateway {
		o.Session = fmt.Sprintf("copy %d", os.Getpid())
	}
	return postgres.Open(ctx, dsn, o)
}

// mustOpen opens a store that the test closes.
func (a address) mustOpen(t *testing.T, as end) store.Mover {
	t.Helper()
	s, err := a.open(t.Context(), as)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// fill writes some of everything.
func (a address) fill(t *testing.T, n int) {
	t.Helper()
	s := a.mustOpen(t, gateway)
	for i := range n {
		key := store.NewKey("account", fmt.Sprint(i))
		for version := range i%3 + 1 {
			w := &store.Write{
				Value:  []byte(strings.Repeat(string(rune(i)), i*version)),
				Events: [][]byte{fmt.Appendf(nil, "event %d.%d", i, version)},
			}
			if i%4 == 0 {
				w.Expires = time.Now().Add(time.Duration(i+1) * time.Hour)
			}
			err := s.Update(t.Context(), key, func(*store.Record) (*store.Write, error) { return w, nil })
			if err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.Add(t.Context(), store.NewKey("sms", fmt.Sprint(i)), int64(i)+1, time.Duration(i+1)*time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// copyTo copies as the command does, and closes both stores.
func (a address) copyTo(t *testing.T, to address, o Options) (Sum, error) {
	t.Helper()
	f, err := a.open(t.Context(), source)
	if err != nil {
		return Sum{}, err
	}
	defer f.Close()
	s, err := to.open(t.Context(), target)
	if err != nil {
		return Sum{}, err
	}
	defer s.Close()
	return Copy(t.Context(), f, s, o)
}

// places makes addresses of new files and of schemas of one server.
func places(t *testing.T) (file func() address, schema func() address) {
	server := pgtest.Own(t, pgserver.Options{})
	n := 0
	return func() address { return address(filepath.Join(t.TempDir(), "stepgate.db")) },
		func() address { n++; return address(fmt.Sprintf("s%d@%s", n, server.DSN())) }
}

func TestARoundTripIsEqualByDigest(t *testing.T) {
	file, schema := places(t)
	way := []address{file(), schema(), schema(), file(), file()}
	way[0].fill(t, 60)
	var first Sum
	for i := range len(way) - 1 {
		sum, err := way[i].copyTo(t, way[i+1], Options{Batch: 7 + i})
		if err != nil {
			t.Fatalf("Copy() of stop %d = %v", i, err)
		}
		if i == 0 {
			first = sum
			if want := (Counts{60, 60, 120}); sum.Counts != want {
				t.Fatalf("Copy() = %v, want %v", sum, want)
			}
		}
		if sum != first {
			t.Errorf("Copy() of stop %d = %v, want %v", i, sum, first)
		}
		s := way[i+1].mustOpen(t, gateway)
		if r, err := s.Get(t.Context(), "account/59"); err != nil || r.Version != 3 {
			t.Errorf("Get() = version %d, %v in the copy, want 3", r.Version, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestACopyIsRefused(t *testing.T) {
	file, schema := places(t)
	full, other := file(), file()
	full.fill(t, 3)
	other.fill(t, 2)
	empty := file()
	if err := empty.mustOpen(t, gateway).Close(); err != nil {
		t.Fatal(err)
	}
	unfinished := file()
	if _, err := other.copyTo(t, unfinished, Options{Batch: store.MaxBatch + 1}); err == nil {
		t.Fatal("a copy of too large batches ended well")
	}
	filled := schema()
	filled.fill(t, 1)
	for _, c := range []struct {
		name     string
		from, to address
		want     error
	}{
		{"into a store that has been used", full, other, store.ErrNotEmpty},
		{"into a schema that has been used", full, filled, store.ErrNotEmpty},
		{"from nowhere", file(), file(), store.ErrNoStore},
		{"from a schema that is not there", schema(), file(), store.ErrNoStore},
		{"from an empty store", empty, file(), ErrEmpty},
		{"into an unfinished copy of another store", full, unfinished, ErrOtherSource},
		{"from an unfinished copy", unfinished, file(), store.ErrUnfinished},
	} {
		if sum, err := c.from.copyTo(t, c.to, Options{}); !errors.Is(err, c.want) {
			t.Errorf("Copy() %s = %v, %v, want %v", c.name, sum, err, c.want)
		}
	}
	s := full.mustOpen(t, source)
	if _, err := Copy(t.Context(), s, s, Options{}); !errors.Is(err, ErrSame) {
		t.Errorf("Copy() of a store to itself = %v, want %v", err, ErrSame)
	}
}

// I1: a gateway that had opened the target before the copy began does not know of the
// mark, and would serve from a half-copied store.
func TestInvariantI1NoCopyBesideARunningGateway(t *testing.T) {
	file, schema := places(t)
	full, database := file(), schema()
	full.fill(t, 3)
	running := database.mustOpen(t, gateway)
	o := Options{Wait: time.Nanosecond}
	if _, err := full.copyTo(t, database, o); !errors.Is(err, store.ErrInUse) {
		t.Fatalf("Copy() into a store that a gateway has open = %v, want ErrInUse", err)
	}
	if m, err := running.Mark(t.Context()); m != nil || err != nil {
		t.Errorf("Mark() = %v, %v after the refusal, want none", m, err)
	}
	if _, err := database.copyTo(t, file(), o); !errors.Is(err, store.ErrInUse) {
		t.Errorf("Copy() from a store that a gateway has open = %v, want ErrInUse", err)
	}
	if err := running.Close(); err != nil {
		t.Fatal(err)
	}
	// The default waits for the sessions that are ending.
	if _, err := full.copyTo(t, database, Options{}); err != nil {
		t.Errorf("Copy() after the gateway has ended = %v", err)
	}
}

// I1: a gateway that ran on the source between two attempts has written what the first
// attempt has passed. The copy would lack it.
func TestInvariantI1ACopyOfAChangedSourceStaysUnfinished(t *testing.T) {
	file, schema := places(t)
	full, to := file(), schema()
	full.fill(t, 9)
	ctx, stop := context.WithCancel(t.Context())
	interrupted := func() error {
		f, s := full.mustOpen(t, source), to.mustOpen(t, target)
		defer f.Close()
		defer s.Close()
		_, err := Copy(ctx, f, s, Options{Batch: 2, Progress: func(p Progress) {
			if p.Records == 6 {
				stop()
			}
		}})
		return err
	}
	if err := interrupted(); !errors.Is(err, context.Canceled) {
		t.Fatalf("Copy() = %v, want it interrupted", err)
	}
	s := full.mustOpen(t, gateway)
	err := s.Update(t.Context(), "account/0", func(*store.Record) (*store.Write, error) {
		return &store.Write{Value: []byte("a factor was enrolled")}, nil
	})
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if sum, err := full.copyTo(t, to, Options{}); !errors.Is(err, ErrDiffers) {
			t.Fatalf("Copy() = %v, %v, want ErrDiffers", sum, err)
		}
	}
	if _, err := to.open(t.Context(), gateway); !errors.Is(err, store.ErrUnfinished) {
		t.Errorf("Open() = %v, want ErrUnfinished", err)
	}
}

func TestLookingWritesNothing(t *testing.T) {
	file, schema := places(t)
	from, to := file(), schema()
	from.fill(t, 5)
	f, s := from.mustOpen(t, source), to.mustOpen(t, target)
	for range 2 {
		sum, err := Look(t.Context(), f, s, Options{})
		if want := (Counts{5, 5, 9}); err != nil || sum.Counts != want {
			t.Fatalf("Look() = %v, %v, want %v", sum, err, want)
		}
		if m, err := s.Mark(t.Context()); m != nil || err != nil {
			t.Fatalf("Look() left mark %v, %v", m, err)
		}
	}
	want, err := Look(t.Context(), f, nil, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Add(t.Context(), "sms/a", 1, time.Hour); err != nil {
		t.Fatal(err)
	}
	if _, err := Look(t.Context(), f, s, Options{}); !errors.Is(err, store.ErrNotEmpty) {
		t.Errorf("Look() = %v for a target that has been used, want ErrNotEmpty", err)
	}
	if _, err := Look(t.Context(), f, f, Options{}); !errors.Is(err, ErrSame) {
		t.Errorf("Look() = %v for one store, want ErrSame", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := from.copyTo(t, file(), Options{}); err != nil || got != want {
		t.Errorf("Copy() = %v, %v, want what Look has seen: %v", got, err, want)
	}
}
