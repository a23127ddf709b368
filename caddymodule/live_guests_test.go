package caddymodule_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/stepgate/stepgate/caddymodule"
	"github.com/stepgate/stepgate/sms"
	"github.com/stepgate/stepgate/store"
)

// What a third party would register: a sender, a store, and an app that fails.

func init() {
	caddy.RegisterModule(inboxSender{})
	caddy.RegisterModule(new(frailStore))
	caddy.RegisterModule(new(faultApp))
}

// inbox holds the last SMS to each number.
var inbox sync.Map // of sms.Message, by E.164

// inboxSender is a sender that delivers to inbox.
type inboxSender struct{}

func (inboxSender) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "stepgate.senders.inbox", New: func() caddy.Module { return new(inboxSender) }}
}

func (inboxSender) Send(_ context.Context, m sms.Message) (sms.Receipt, error) {
	inbox.Store(m.To.E164(), m)
	if secrets := secretsNow.Load(); secrets != nil {
		secrets.AddNumber("the number of an SMS", m.To.E164())
		secrets.AddCode("the code of an SMS", m.Code)
		secrets.Add("the text of an SMS", m.Text)
	}
	return sms.Receipt{}, nil
}

func (*inboxSender) UnmarshalCaddyfile(*caddyfile.Dispenser) error { return nil }

// code returns the code of the last SMS to a number.
func code(t *testing.T, number string) string {
	t.Helper()
	m, ok := inbox.Load(number)
	if !ok {
		t.Fatalf("no SMS went to %s", number)
	}
	return m.(sms.Message).Code
}

// awaitCode is code where the SMS goes out beside the answer.
func awaitCode(t *testing.T, number string) string {
	t.Helper()
	for range 1000 {
		if _, ok := inbox.Load(number); ok {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	return code(t, number)
}

var errTestDown = errors.New("down for the test")

// storeDown makes every frailStore fail.
var storeDown atomic.Bool

// storeLasts is at which write from now on storeDown gets set; never if it is 0.
var storeLasts atomic.Int64

// frailStore is a bolt store that fails while storeDown is set.
type frailStore struct {
	caddymodule.BoltStore
}

func (*frailStore) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "stepgate.stores.frail", New: func() caddy.Module { return new(frailStore) }}
}

func (f *frailStore) Open() (store.Store, error) {
	s, err := f.BoltStore.Open()
	return frail{s}, err
}

type frail struct{ store.Store }

func (f frail) Get(ctx context.Context, key store.Key) (store.Record, error) {
	if storeDown.Load() {
		return store.Record{}, errTestDown
	}
	return f.Store.Get(ctx, key)
}

func (f frail) Update(ctx context.Context, key store.Key, change store.Change) error {
	if storeLasts.Load() > 0 && storeLasts.Add(-1) == 0 {
		storeDown.Store(true)
	}
	if storeDown.Load() {
		return errTestDown
	}
	return f.Store.Update(ctx, key, change)
}

func (f frail) Add(ctx context.Context, key store.Key, n int64, window time.Duration) (int64, error) {
	if storeDown.Load() {
		return 0, errTestDown
	}
	return f.Store.Add(ctx, key, n, window)
}

// faultApp fails at a stage of a configuration's life.
type faultApp struct {
	At string `json:"at"`
}

func (*faultApp) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "fault", New: func() caddy.Module { return new(faultApp) }}
}

func (f *faultApp) Provision(caddy.Context) error {
	if f.At == "provision" {
		return errors.New("provisioning fails for the test")
	}
	return nil
}

func (f *faultApp) Start() error {
	if f.At == "start" {
		return errors.New("starting fails for the test")
	}
	return nil
}

func (f *faultApp) Stop() error { return nil }

var (
	_ caddymodule.StoreOpener = (*frailStore)(nil)
	_ sms.Sender              = inboxSender{}
	_ caddy.App               = (*faultApp)(nil)
)
