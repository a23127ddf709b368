package courier

import (
	"context"
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
	// failed is the error of the store that ended the sending, and last the provider that
	// was asked last.
	failed error
	last   string

	mu      sync.Mutex // guards charged
	charged map[string]smsguard.Charged
}

// refused is the guard's word against a hand-over.
type refused struct{ reason smsguard.Reason }

func (r *refused) Error() string { return "the guard refuses: " + string(r.reason) }

// Before pays for a hand-over.
func (a *attempts) Before(ctx context.Context, provider string) error {
	c, verdict, err := a.courier.Guard.Charge(ctx, a.desk.Store, a.desk.Ring, smsguard.Send{
		Provider: provider, To: a.to, Notice: a.notice,
	})
	if err != nil {
		a.failed = err
		return err
	}
	a.tell(verdict, provider)
	if !verdict.OK() {
		return &refused{verdict.Reason}
	}
	a.last = provider
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.charged == nil {
		a.charged = map[string]smsguard.Charged{}
	}
	a.charged[provider] = c
	return nil
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
	c := a.charged[provider]
	delete(a.charged, provider)
	a.mu.Unlock()
	if err := a.courier.Guard.Refund(ctx, a.desk.Store, a.desk.Ring, c); err != nil {
		a.desk.Failed(err)
	}
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
