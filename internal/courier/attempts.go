package courier

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/internal/smsguard"
	"github.com/stepgate/stepgate/policy"
	"github.com/stepgate/stepgate/sms"
)

// attempts pays for the hand-overs of one message, and reports them.
type attempts struct {
	courier *Courier
	desk    Desk
	purpose Purpose
	to      sms.Number
	notice  bool

	mu sync.Mutex // guards what follows
	// failed is the error of the store that ended the sending.
	failed error
	// standing are the hand-overs by which the message may have been sent, in their
	// order: those that are paid for.
	standing []handOver
}

type handOver struct {
	provider string
	charged  smsguard.Charged
}

// refused is the guard's word against a hand-over.
type refused struct{ reason smsguard.Reason }

func (r *refused) Error() string { return "the guard refuses: " + string(r.reason) }

// Before pays for a hand-over.
func (a *attempts) Before(ctx context.Context, provider string) error {
	c, verdict, err := a.courier.Guard.Charge(ctx, a.desk.Store, a.desk.Ring, smsguard.Send{
		Provider: provider, To: a.to, Notice: a.notice,
	})
	// An alert is given once, and must not be lost with an error of the store.
	a.tell(verdict, provider)
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case err != nil:
		a.failed = err
		return err
	case verdict.OK():
		a.standing = append(a.standing, handOver{provider, c})
		return nil
	case verdict.Reason == smsguard.ReasonConversion:
		// The codes of this provider are not read there; another one's may be.
		return fmt.Errorf("%w: %w", sms.ErrPassOver, &refused{verdict.Reason})
	default:
		return &refused{verdict.Reason}
	}
}

// After reports how a hand-over ended, and takes the money back for what was certainly
// not sent.
func (a *attempts) After(ctx context.Context, provider string, _ sms.Receipt, err error) {
	event := a.event(audit.SMSAccepted, provider)
	if err != nil {
		class := sms.ClassOf(err)
		event.Name, event.Reason = audit.SMSFailed, class.String()
		if class != sms.Unknown {
			a.refund(ctx, provider)
		}
	}
	a.desk.Observe(event)
}

func (a *attempts) refund(ctx context.Context, provider string) {
	a.mu.Lock()
	i := slices.IndexFunc(a.standing, func(h handOver) bool { return h.provider == provider })
	if i < 0 {
		a.mu.Unlock()
		return
	}
	c := a.standing[i].charged
	a.standing = slices.Delete(a.standing, i, i+1)
	a.mu.Unlock()
	if err := a.courier.Guard.Refund(ctx, a.desk.Store, a.desk.Ring, c); err != nil {
		a.desk.Failed(err)
	}
}

// storeError returns the error of the store that ended the sending, if one did.
func (a *attempts) storeError() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.failed
}

// carrier returns the last provider that may have sent the message.
func (a *attempts) carrier() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.standing) == 0 {
		return ""
	}
	return a.standing[len(a.standing)-1].provider
}

// tell reports what the guard says beside yes.
func (a *attempts) tell(v smsguard.Verdict, provider string) {
	for _, alert := range v.Alerts {
		event := a.event(audit.SMSAlert, alert.Provider)
		event.Reason, event.Note = string(alert.Kind), alert.String()
		a.desk.Observe(event)
	}
	if v.Reason == "" {
		return
	}
	event := a.event(audit.SMSLimited, provider)
	if v.Reported {
		event.Name = audit.Reported(event.Name)
	}
	event.Reason = string(v.Reason)
	a.desk.Observe(event)
}

func (a *attempts) event(name audit.Name, provider string) audit.Event {
	return audit.Event{
		Name: name, Subject: a.purpose.Account, Challenge: a.purpose.Challenge, Factor: string(policy.SMS), Provider: provider,
	}
}
