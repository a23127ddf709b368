package courier_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stepgate/stepgate/internal/courier"
	"github.com/stepgate/stepgate/internal/smsguard"
	"github.com/stepgate/stepgate/sms"
)

// verifier is a provider that makes the codes itself. It notes what it is asked.
type verifier struct {
	start, cancel func(ctx context.Context) error // nil: nothing goes wrong
	checked       sms.Checked
	asked         []string
	message       sms.Message
}

func (v *verifier) Start(ctx context.Context, m sms.Message) (sms.Receipt, error) {
	v.asked, v.message = append(v.asked, "start"), m
	if v.start != nil {
		if err := v.start(ctx); err != nil {
			return sms.Receipt{}, err
		}
	}
	return sms.Receipt{ID: "v-2"}, nil
}

func (v *verifier) Check(ctx context.Context, id, code string) (sms.Checked, error) {
	v.asked = append(v.asked, "check "+id+" "+code)
	return v.checked, ctx.Err()
}

func (v *verifier) Cancel(ctx context.Context, id string) error {
	v.asked = append(v.asked, "cancel "+id)
	if v.cancel != nil {
		return v.cancel(ctx)
	}
	return nil
}

// fails is a step that fails with a class.
func fails(class sms.Class) func(context.Context) error {
	return func(context.Context) error { return &sms.Error{Class: class, Err: errAsTold} }
}

// hangs is a step that takes as long as it may.
func hangs(ctx context.Context) error {
	<-ctx.Done()
	return &sms.Error{Class: sms.Unknown, Err: ctx.Err()}
}

func newManaged(t *testing.T, change func(*smsguard.Config), v *verifier) *world {
	t.Helper()
	w := newWorld(t, change)
	w.courier.Verifier, w.courier.VerifierName = v, "verify"
	return w
}

// request is a parcel without a code: its provider makes one.
func request(n int, replaced string) courier.Parcel {
	p := parcel(n)
	p.Message.Code, p.Message.Text, p.Replaced = "", "", replaced
	return p
}

func TestWhatBecomesOfAManagedCode(t *testing.T) {
	for _, c := range []struct {
		name  string
		start func(context.Context) error
		want  courier.Sent
		paid  int
		told  []string
	}{
		{"accepted", nil, courier.Sent{Handed: true, Provider: "verify", Verification: "v-2"}, 1, []string{"sms.accepted verify"}},
		// Nobody could check a code without the name that its provider gave it.
		{"unknown", fails(sms.Unknown), courier.Sent{Reason: "unknown"}, 1, []string{"sms.failed verify unknown"}},
		{"not sent", fails(sms.NotSent), courier.Sent{Reason: "not_sent"}, 0, []string{"sms.failed verify not_sent"}},
		{"number", fails(sms.BadNumber), courier.Sent{Reason: "number"}, 0, []string{"sms.failed verify number"}},
		{"account", fails(sms.Account), courier.Sent{Reason: "account"}, 0, []string{"sms.failed verify account"}},
		{"bad request", fails(sms.BadRequest), courier.Sent{Reason: "bad_request"}, 0, []string{"sms.failed verify bad_request"}},
		{"policy", fails(sms.Policy), courier.Sent{Reason: "policy"}, 0, []string{"sms.failed verify policy"}},
		{"no class", func(context.Context) error { return errAsTold }, courier.Sent{Reason: "unknown"}, 1, []string{"sms.failed verify unknown"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := &verifier{start: c.start}
			w := newManaged(t, nil, v)
			if got := w.send(request(1, "")); got != c.want {
				t.Errorf("Send = %+v, want %+v", got, c.want)
			}
			if !w.courier.Managed() || v.message.Ref == "" || v.message.Attempt != 1 {
				t.Errorf("the verifier was given %v", v.message)
			}
			w.wantTold(c.told...)
			w.wantPaid(c.paid)
		})
	}
}

// Nobody asks for a code any more that another one was to replace: it must not stay good
// because the other one cannot be sent.
func TestAReplacedCodeEndsWhateverBecomesOfTheNext(t *testing.T) {
	for _, c := range []struct {
		name   string
		guard  func(*smsguard.Config)
		v      verifier
		handed bool
		asked  []string
	}{
		{"sent", nil, verifier{}, true, []string{"cancel v-1", "start"}},
		{"not sent", nil, verifier{start: fails(sms.NotSent)}, false, []string{"cancel v-1", "start"}},
		{"it cannot be ended", nil, verifier{cancel: fails(sms.Unknown)}, true, []string{"cancel v-1", "start"}},
		{"not admitted", func(c *smsguard.Config) { c.Denied = []string{"+62812"} }, verifier{}, false, []string{"cancel v-1"}},
	} {
		w := newManaged(t, c.guard, &c.v)
		if got := w.send(request(2, "v-1")); got.Handed != c.handed {
			t.Errorf("%s: Send = %+v, want handed: %v", c.name, got, c.handed)
		}
		if diff := cmp.Diff(c.asked, c.v.asked); diff != "" {
			t.Errorf("%s: the verifier was asked (-want +got):\n%s", c.name, diff)
		}
		if told := len(w.failed) == 1; told != (c.v.cancel != nil) {
			t.Errorf("%s: the operator was told %v", c.name, w.failed)
		}
	}
}

func TestAManagedCodeIsAskedForWithinTheTimeout(t *testing.T) {
	slow := func(d time.Duration) func(context.Context) error {
		return func(ctx context.Context) error {
			select {
			case <-time.After(d):
				return nil
			case <-ctx.Done():
				return &sms.Error{Class: sms.Unknown, Err: ctx.Err()}
			}
		}
	}
	for _, c := range []struct {
		name          string
		start, cancel func(context.Context) error
		handed        bool
		want          time.Duration
	}{
		{"asking hangs", hangs, nil, false, 9 * time.Second},
		{"ending the other one hangs", nil, hangs, true, 3 * time.Second},
		{"both hang", hangs, hangs, false, 9 * time.Second},
		{"both are slow", slow(5 * time.Second), slow(2 * time.Second), true, 7 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newManaged(t, nil, &verifier{start: c.start, cancel: c.cancel})
				start := time.Now()
				sent := w.send(request(2, "v-1"))
				if took := time.Since(start); took != c.want || sent.Handed != c.handed {
					t.Errorf("Send = %+v after %s, want handed %v after %s", sent, took, c.handed, c.want)
				}
				w.wantPaid(1) // nobody knows of the ones that hang
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		w := newManaged(t, nil, &verifier{cancel: hangs})
		w.courier.Timeout = time.Second
		start := time.Now()
		if err := w.courier.Cancel(t.Context(), "v-1"); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("Cancel = %v after %s, want that the second is over", err, time.Since(start))
		}
	})
}

func TestTheVerifierSaysWhetherACodeIsRight(t *testing.T) {
	for _, want := range []sms.Checked{sms.CheckedWrong, sms.CheckedRight, sms.CheckedOver} {
		v := &verifier{checked: want}
		w := newManaged(t, nil, v)
		if got, err := w.courier.Check(t.Context(), "v-2", "123456"); err != nil || got != want || v.asked[0] != "check v-2 123456" {
			t.Errorf("Check = %v, %v, want %v; asked %q", got, err, want, v.asked)
		}
	}
}

func TestManagedCodesKeepToTheBudgetAndTheConversion(t *testing.T) {
	v := &verifier{}
	w := newManaged(t, func(c *smsguard.Config) { c.Budgets = []smsguard.Budget{{Max: price, Window: time.Hour}} }, v)
	w.send(request(1, ""))
	if got, want := w.send(request(2, "v-1")), (courier.Sent{Reason: "budget"}); got != want {
		t.Errorf("Send = %+v, want %+v", got, want)
	}
	if got := strings.Join(v.asked, ", "); got != "start, cancel v-1" {
		t.Errorf("the verifier was asked: %s", got)
	}

	w = newManaged(t, watching, v)
	for range 3 {
		w.send(request(1, ""))
	}
	w.clock.add(3 * time.Minute)
	if got, want := w.send(request(2, "")), (courier.Sent{Reason: "conversion"}); got != want {
		t.Errorf("Send = %+v, want %+v", got, want)
	}
}

func TestNoManagedCodeIsAskedForWhereTheStoreFails(t *testing.T) {
	good := newManaged(t, watching, new(verifier))
	good.send(request(1, ""))
	for _, down := range good.store.calls {
		v := new(verifier)
		w := newManaged(t, watching, v)
		w.store.fails = func(call string) bool { return call == down }
		if sent, err := w.courier.Send(t.Context(), w.desk(), request(1, "")); !errors.Is(err, errDown) || sent != (courier.Sent{}) || len(v.asked) > 0 {
			t.Errorf("call %s fails: Send = %+v, %v, and the verifier was asked %q; want the error and nothing", down, sent, err, v.asked)
		}
	}
}

func TestAVerifierCarriesNoNotices(t *testing.T) {
	v := new(verifier)
	w := newManaged(t, nil, v)
	if err := w.courier.Notify(t.Context(), w.desk(), sms.Message{To: number, Text: text, Ref: "notice-1"}); err == nil || len(v.asked) > 0 {
		t.Errorf("Notify = %v, and the verifier was asked %q; want an error and nothing", err, v.asked)
	}
	w.wantPaid(0)
}

// Verifications of codes from before providers were kept count for nobody.
func TestAVerifiedCodeCountsForItsProvider(t *testing.T) {
	w := newWorld(t, watching, answers("main", accepted))
	if err := w.courier.Verified(t.Context(), w.desk(), "", number, w.clock.now()); err != nil || len(w.store.calls) > 0 {
		t.Errorf("Verified = %v with the calls %q, want nothing", err, w.store.calls)
	}
	for range 3 {
		w.send(parcel(1))
		if err := w.courier.Verified(t.Context(), w.desk(), "main", number, w.clock.now()); err != nil {
			t.Fatal(err)
		}
	}
	w.clock.add(3 * time.Minute)
	if got := w.send(parcel(2)); !got.Handed {
		t.Errorf("Send = %+v, want it handed over: every code came back", got)
	}
	w.store.fails = func(string) bool { return true }
	if err := w.courier.Verified(t.Context(), w.desk(), "main", number, w.clock.now()); !errors.Is(err, errDown) {
		t.Errorf("Verified = %v, want the store's error", err)
	}
}
