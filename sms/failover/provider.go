package failover

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/stepgate/stepgate/sms"
)

// maxStragglers is how many hand-overs to one provider may outlive their time before it
// gets no more. It bounds the goroutines that a broken sender costs.
const maxStragglers = 100

// provider is one provider with what this process has learnt of it.
type provider struct {
	name    string
	sender  sms.Sender
	alarm   func(provider string, e Event, err error)
	now     func() time.Time
	breaker breaker
	turns   *rate.Limiter
	// stragglers counts the hand-overs whose caller has given up waiting.
	stragglers atomic.Int64
}

var (
	errOpen  = errors.New("it is left out for a while, because it has failed")
	errStuck = errors.New("it is left out, because hand-overs to it do not end")
	errBusy  = errors.New("it has as many messages waiting as it can take in time")
	errHangs = fmt.Errorf("its sender does not return: %w", context.DeadlineExceeded)
)

// admit waits until the provider may be handed a message. Without an error the ticket
// must be released afterwards.
func (p *provider) admit(ctx context.Context) (ticket, error) {
	if p.stragglers.Load() >= maxStragglers {
		return 0, errStuck
	}
	t, ok := p.breaker.admit(p.now())
	if !ok {
		return 0, errOpen
	}
	if err := p.turn(ctx); err != nil {
		p.breaker.release(t)
		return 0, err
	}
	return t, nil
}

// turn waits until the provider's rate allows another message, but for half of the time
// at most: one that is handed over at the last moment only times out, and in a flood all
// of them would, and open the breaker of a provider that works.
func (p *provider) turn(ctx context.Context) error {
	turn := p.turns.Reserve()
	wait := turn.Delay()
	if end, ok := ctx.Deadline(); ok && wait > time.Until(end)/2 {
		turn.Cancel()
		return errBusy
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		turn.Cancel()
		return ctx.Err()
	}
}

type result struct {
	receipt sms.Receipt
	err     error
}

// hand hands the message over and waits until ctx is done and grace is over, but no
// longer, even if the sender does. What a straggler ends with at last is told to a.
func (p *provider) hand(ctx context.Context, grace time.Duration, t ticket, m sms.Message, a sms.Attempts) (sms.Receipt, error) {
	// Each result has one taker: nobody receives from results once abandoned is closed.
	results, abandoned := make(chan result), make(chan struct{})
	lasting := context.WithoutCancel(ctx)
	go func() {
		res := p.send(ctx, m)
		select {
		case results <- res:
		case <-abandoned:
			p.stragglers.Add(-1)
			p.learnLate(t, res.err)
			a.After(lasting, p.name, res.receipt, res.err)
		}
	}()
	res, ok := await(ctx, grace, results)
	if !ok {
		if p.stragglers.Add(1) == maxStragglers {
			p.alarm(p.name, Stuck, errHangs)
		}
		res.err = &sms.Error{Class: sms.Unknown, Err: errHangs}
		p.learn(ctx, t, res.err)
		close(abandoned)
		return sms.Receipt{}, res.err
	}
	p.learn(ctx, t, res.err)
	a.After(lasting, p.name, res.receipt, res.err)
	return res.receipt, res.err
}

// await waits for a result until ctx is done, and a little longer: a sender that keeps to
// ctx needs a moment to say what it knows.
func await(ctx context.Context, grace time.Duration, results <-chan result) (result, bool) {
	select {
	case res := <-results:
		return res, true
	case <-ctx.Done():
	}
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case res := <-results:
		return res, true
	case <-timer.C:
		return result{}, false
	}
}

// send calls the sender. Outside of the server's goroutine, a sender that panics would
// take the gateway down; it may have sent the message before. What it panics with may
// hold the message, and is not repeated.
func (p *provider) send(ctx context.Context, m sms.Message) (res result) {
	defer func() {
		if v := recover(); v != nil {
			res.err = &sms.Error{Class: sms.Unknown, Err: fmt.Errorf("its sender panicked with a %T", v)}
		}
		res.receipt.Provider = p.name
	}()
	res.receipt, res.err = p.sender.Send(ctx, m)
	return res
}

// learn tells the breaker how a hand-over ended.
func (p *provider) learn(ctx context.Context, t ticket, err error) {
	now := p.now()
	if err == nil {
		if p.breaker.succeeded(t, now) {
			p.alarm(p.name, Closed, nil)
		}
		return
	}
	switch sms.ClassOf(err) {
	case sms.Account:
		if p.breaker.refused(t, now) {
			p.alarm(p.name, AccountRefused, err)
		}
	case sms.BadNumber, sms.Policy, sms.BadRequest:
		// These are about the message, and whoever chooses numbers must not be able to
		// switch a provider off.
	default:
		// Nor must who sends requests and goes away.
		if !errors.Is(ctx.Err(), context.Canceled) && p.breaker.failed(t, now) {
			p.alarm(p.name, Opened, err)
		}
	}
}

// learnLate tells the breaker how a hand-over ended that has counted as Unknown already.
// A message that was accepted too late is still a failure: its player had no answer. That
// the account does not work is news.
func (p *provider) learnLate(t ticket, err error) {
	if err != nil && sms.ClassOf(err) == sms.Account && p.breaker.refused(t, p.now()) {
		p.alarm(p.name, AccountRefused, err)
	}
}
