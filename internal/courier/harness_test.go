package courier_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/internal/courier"
	"github.com/stepgate/stepgate/internal/seal"
	"github.com/stepgate/stepgate/internal/smsguard"
	"github.com/stepgate/stepgate/sms"
	"github.com/stepgate/stepgate/sms/failover"
	"github.com/stepgate/stepgate/store"
	"github.com/stepgate/stepgate/store/bolt"
)

const (
	number  sms.Number = "+6281234567890"
	code               = "418273"
	text               = "Kode Example Anda: 418273."
	price              = smsguard.Money(50_000)
	maxPaid            = 20 // messages that fit into the budget
)

// world is a courier with its store on disk, its guard, and providers that do what a
// test says.
type world struct {
	*testing.T
	clock   *clock
	store   *outage
	ring    *seal.Ring
	guard   *smsguard.Guard
	courier *courier.Courier

	mu     sync.Mutex // guards events, failed
	events []audit.Event
	failed []error
}

type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// provider is a sender that answers as a test says, and keeps what it is given.
type provider struct {
	name   string
	answer func(ctx context.Context, m sms.Message) error

	mu  sync.Mutex // guards got
	got []sms.Message
}

func (p *provider) Send(ctx context.Context, m sms.Message) (sms.Receipt, error) {
	p.mu.Lock()
	p.got = append(p.got, m)
	p.mu.Unlock()
	if err := p.answer(ctx, m); err != nil {
		return sms.Receipt{}, err
	}
	return sms.Receipt{ID: p.name + "-id"}, nil
}

func (p *provider) last(t *testing.T) sms.Message {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.got) == 0 {
		t.Fatalf("%s was handed nothing", p.name)
	}
	return p.got[len(p.got)-1]
}

// accepted stands for no error in tables of classes.
const accepted sms.Class = -1

var errAsTold = errors.New("as told")

// answers is a provider that always does the same.
func answers(name string, class sms.Class) *provider {
	return &provider{name: name, answer: func(context.Context, sms.Message) error {
		if class == accepted {
			return nil
		}
		return &sms.Error{Class: class, Err: errAsTold}
	}}
}

// silent is a receiver: what providers say is put to the courier by the tests.
type silent struct{}

func (silent) Receive(sms.Callback) ([]sms.Report, error) { return nil, nil }

// newWorld returns a courier whose providers are tried in this order and call back. The
// guard has no limits and watches no conversion unless change says so.
func newWorld(t *testing.T, change func(*smsguard.Config), providers ...*provider) *world {
	t.Helper()
	w := &world{T: t, clock: &clock{at: time.Date(2026, 3, 1, 5, 0, 0, 0, time.UTC)}}
	dir, err := os.MkdirTemp("/dev/shm", "courier") // what survives a power cut is for the store's tests
	if err != nil {
		dir = t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	s, err := bolt.Open(filepath.Join(dir, "stepgate.db"), bolt.Options{Now: w.clock.now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	w.store = &outage{Store: s}
	if w.ring, err = seal.NewRing(rand.Reader, w.clock.now()); err != nil {
		t.Fatal(err)
	}
	w.ring.Clock = w.clock.now
	c := smsguard.Config{
		Limits: smsguard.Limits{}, Price: price, Budgets: []smsguard.Budget{{Max: maxPaid * price, Window: 24 * time.Hour}},
		Conversion: smsguard.Conversion{Off: true}, Now: w.clock.now,
	}
	if change != nil {
		change(&c)
	}
	if w.guard, err = smsguard.New(c); err != nil {
		t.Fatal(err)
	}
	w.courier = &courier.Courier{Guard: w.guard, Receivers: map[string]sms.Receiver{"main": silent{}}}
	if len(providers) > 0 {
		w.courier.Carrier = w.router(providers...)
	}
	t.Cleanup(w.checkNothingLeaks)
	return w
}

func (w *world) router(providers ...*provider) *failover.Router {
	w.Helper()
	c := failover.Config{Now: w.clock.now}
	for _, p := range providers {
		c.Providers = append(c.Providers, failover.Provider{Name: p.name, Sender: p, PerSecond: 1e6})
	}
	r, err := failover.New(c)
	if err != nil {
		w.Fatal(err)
	}
	return r
}

func (w *world) desk() courier.Desk {
	return courier.Desk{
		Store: w.store, Ring: w.ring, Rand: rand.Reader, Now: w.clock.now,
		Observe: func(e audit.Event) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.events = append(w.events, e)
		},
		Failed: func(err error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.failed = append(w.failed, err)
		},
	}
}

// parcel is the nth message of a challenge.
func parcel(n int) courier.Parcel {
	return courier.Parcel{
		Purpose: courier.Purpose{Account: "account-1", Challenge: "challenge-1", Send: n},
		Message: sms.Message{To: number, Code: code, Text: text, Locale: "id", Validity: 5 * time.Minute, Brand: "Example", Purpose: "withdrawal"},
		Lane:    "", Address: "192.0.2.7",
	}
}

// send sends a parcel, and ends the test where the store says no.
func (w *world) send(p courier.Parcel) courier.Sent {
	w.Helper()
	sent, err := w.courier.Send(w.Context(), w.desk(), p)
	if err != nil {
		w.Fatal(err)
	}
	return sent
}

// told returns what was observed since it was last called, as name, provider and reason.
func (w *world) told() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var told []string
	for _, e := range w.events {
		w.wantNoSecret(e)
		told = append(told, strings.Join(slices.DeleteFunc([]string{string(e.Name), e.Provider, e.Reason}, func(s string) bool { return s == "" }), " "))
	}
	w.events = nil
	return told
}

func (w *world) wantTold(want ...string) {
	w.Helper()
	if diff := cmp.Diff(want, w.told()); diff != "" {
		w.Errorf("events (-want +got):\n%s", diff)
	}
}

// wantPaid checks for how many messages money is spent, by spending the rest of it.
func (w *world) wantPaid(want int) {
	w.Helper()
	for n := maxPaid; ; n-- {
		_, v, err := w.guard.Charge(w.Context(), w.store.Store, w.ring, smsguard.Send{Provider: "rest", To: number, Notice: true})
		switch {
		case err != nil:
			w.Fatal(err)
		case !v.OK():
			if n != want {
				w.Errorf("%d messages are paid for, want %d", n, want)
			}
			return
		}
	}
}

// checkNothingLeaks looks for the player's secrets in all that the operator is told.
func (w *world) checkNothingLeaks() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.events {
		w.wantNoSecret(e)
	}
	for _, err := range w.failed {
		w.wantNoSecret(err)
	}
}

func (w *world) wantNoSecret(v any) {
	w.Helper()
	for _, printed := range []string{fmt.Sprint(v), fmt.Sprintf("%+v", v), fmt.Sprintf("%#v", v)} {
		for _, secret := range []string{number.Digits(), number.Digits()[2:], code, "Kode"} {
			if strings.Contains(printed, secret) {
				w.Errorf("%T is printed with %q in it", v, secret)
			}
		}
	}
}

// outage is a store of which some calls fail.
type outage struct {
	store.Store
	// fails says which; nil for none.
	fails func(call string) bool

	mu    sync.Mutex // guards calls
	calls []string   // the kind of key of each call
}

var errDown = errors.New("down for the test")

func (o *outage) call(name string, key store.Key) error {
	kind, _, _ := strings.Cut(string(key), "/")
	o.mu.Lock()
	defer o.mu.Unlock()
	call := fmt.Sprintf("%d %s %s", len(o.calls)+1, name, kind)
	o.calls = append(o.calls, call)
	if o.fails != nil && o.fails(call) {
		return errDown
	}
	return nil
}

func (o *outage) Get(ctx context.Context, key store.Key) (store.Record, error) {
	if err := o.call("get", key); err != nil {
		return store.Record{}, err
	}
	return o.Store.Get(ctx, key)
}

func (o *outage) Update(ctx context.Context, key store.Key, change store.Change) error {
	if err := o.call("update", key); err != nil {
		return err
	}
	return o.Store.Update(ctx, key, change)
}

func (o *outage) Add(ctx context.Context, key store.Key, n int64, window time.Duration) (int64, error) {
	if err := o.call("add", key); err != nil {
		return 0, err
	}
	return o.Store.Add(ctx, key, n, window)
}
