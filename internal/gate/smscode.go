package gate

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/stepgate/stepgate/challengepages"
	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/internal/challenge"
	"github.com/stepgate/stepgate/internal/courier"
	"github.com/stepgate/stepgate/internal/delivery"
	"github.com/stepgate/stepgate/internal/seal"
	"github.com/stepgate/stepgate/policy"
	"github.com/stepgate/stepgate/sms"
)

// managed returns the name of the provider that makes the codes; empty where they are
// made here.
func (g *Gate) managed() string {
	if g.SMS == nil || !g.SMS.Managed() {
		return ""
	}
	return g.SMS.VerifierName
}

// sendCode sends the challenge's SMS code, if one may be sent now, and returns
// the challenge as it is afterwards. first sends only the very first one.
func (g *Gate) sendCode(r *http.Request, who *caller, ch *challenge.Challenge, first bool) (*challenge.Challenge, error) {
	send, err := who.backend.Challenges.ReserveSend(r.Context(), ch.ID, delivery.Wanted{First: first, Managed: g.managed()})
	if err != nil {
		return nil, err
	}
	return g.deliver(r, who, send)
}

// deliver sends the code of a send that was granted, and returns the challenge as it
// is afterwards. That a code could not be sent is noted on the challenge; an error is
// the store's.
func (g *Gate) deliver(r *http.Request, who *caller, send challenge.Send) (*challenge.Challenge, error) {
	switch {
	case !send.Granted:
		return send.Challenge, nil
	case who.named():
		g.deliverAside(r, who, send)
		return send.Challenge, nil
	default:
		return g.deliverFrom(g.from(r, who), who, send)
	}
}

// deliverAside sends a code while the request goes on. Neither how long that takes nor what
// comes of it tells whether there is a phone to send it to.
func (g *Gate) deliverAside(r *http.Request, who *caller, send challenge.Send) {
	if send.Challenge.Phone == "" {
		return
	}
	from := g.from(r, who)
	from.request = nil // it may end before
	go func() {
		if _, err := g.deliverFrom(from, who, send); err != nil {
			g.Failed(nil, err)
		}
	}()
}

// sender is what a code's way depends on of the request that asks for it.
type sender struct {
	ctx           context.Context
	lang          challengepages.Lang
	host, address string
	// request is what events are about; nil for what happens beside one.
	request *http.Request
}

func (g *Gate) from(r *http.Request, who *caller) sender {
	return sender{
		// The player may give up waiting; the message is paid for all the same and its
		// outcome must be known.
		ctx:  context.WithoutCancel(r.Context()),
		lang: g.language(r, who.own), host: g.originHost(r), address: g.ClientIP(r), request: r,
	}
}

func (g *Gate) deliverFrom(from sender, who *caller, send challenge.Send) (*challenge.Challenge, error) {
	ch, ctx := send.Challenge, from.ctx
	text := challengepages.SMSText{Code: send.Code, Minutes: minutes(send.Validity), Rule: ch.Rules[0]}
	if ch.SingleUse {
		for _, d := range ch.Details {
			text.Details = append(text.Details, challengepages.Detail(d))
		}
	}
	sent, err := g.sendSMS(from, who, errand{
		purpose: courier.Purpose{Account: string(who.id), Challenge: ch.ID, Send: send.Number},
		to:      ch.Phone, text: text, validity: send.Validity, last: ch.Provider, replaced: send.Replaced,
	})
	if err != nil {
		return nil, err
	}
	if !sent.Handed {
		return who.backend.Challenges.MarkNotSent(ctx, ch.ID, send.Number)
	}
	ch, waits, err := who.backend.Challenges.MarkSent(ctx, ch.ID, send.Number, sent.Provider, sent.Verification)
	if err == nil && !waits {
		g.endCode(ctx, from.request, delivery.Running{Provider: sent.Provider, Verification: sent.Verification})
	}
	return ch, err
}

// errand is one SMS with a code.
type errand struct {
	purpose  courier.Purpose
	to       sms.Number
	text     challengepages.SMSText
	validity time.Duration
	// last is the provider that carried the one before, and replaced the code that this
	// one takes the place of, where a provider made it.
	last     string
	replaced delivery.Running
}

// sendSMS has the courier send a code. No transaction is open meanwhile. An error is the
// store's.
func (g *Gate) sendSMS(from sender, who *caller, e errand) (courier.Sent, error) {
	if g.SMS == nil {
		return courier.Sent{}, nil // the operator has taken it away since the code was asked for
	}
	ctx := from.ctx
	lane, err := who.countingLane(ctx)
	if err != nil {
		return courier.Sent{}, err
	}
	e.text.Region, e.text.Host = e.to.Region(), from.host
	if !g.checks(e.replaced) {
		e.replaced = delivery.Running{} // another provider's
	}
	m := sms.Message{
		To: e.to, Code: e.text.Code, Locale: string(from.lang), Validity: e.validity,
		Brand: g.Pages.Brand(), Purpose: e.text.Rule, Avoid: e.last,
	}
	if m.Code != "" {
		m.Text = g.Pages.SMSText(from.lang, e.text)
	}
	sent, err := g.SMS.Send(ctx, g.desk(who.backend), courier.Parcel{
		Purpose: e.purpose, Message: m, Lane: lane, Address: from.address, Replaced: e.replaced.Verification,
		Rank: rankOf(who, e.purpose, lane), Waits: func(ctx context.Context, p courier.Purpose) (bool, error) { return g.waits(ctx, who.backend, p) },
	})
	if err != nil {
		return courier.Sent{}, err
	}
	event := audit.Event{
		Name: audit.ChallengeSent, Subject: string(who.id), Challenge: e.purpose.Challenge, Factor: string(policy.SMS), Provider: sent.Provider,
	}
	if sent.Reason != "" {
		event.Name, event.Reason = audit.ChallengeSendError, sent.Reason
	}
	g.observe(from.request, event)
	return sent, nil
}

// rankOf returns which codes for a number a code may end at its provider.
func rankOf(who *caller, p courier.Purpose, lane string) courier.Rank {
	switch {
	case p.Challenge == "", who.named():
		return courier.Setup
	case lane == "":
		return courier.Challenge
	default:
		return courier.Trusted
	}
}

// waits reports whether the managed code of a challenge may still be typed in.
func (g *Gate) waits(ctx context.Context, b *Backend, p courier.Purpose) (bool, error) {
	ch, err := b.Challenges.Get(ctx, p.Challenge)
	if isNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	now := g.Now()
	if ch.State(now) != challenge.Pending || ch.Managed == "" || ch.NotSent || ch.CodeExpired(now) {
		return false, nil
	}
	a, err := b.Accounts.Get(ctx, account.ID(p.Account))
	if err != nil {
		return false, err
	}
	return a.AttemptsLeft(ch.ID) > 0, nil
}

// originHost is the host to which a code is bound: that under which players reach the
// site, and never what a Host header says. A browser fills the code in on that host.
func (g *Gate) originHost(r *http.Request) string {
	u, err := url.Parse(g.publicURL(r))
	if err != nil || u.Scheme != "https" {
		return "" // this machine, which anybody can be
	}
	return u.Hostname()
}

// desk is where the courier keeps its state. What it tells may come after the request
// has ended that caused it.
func (g *Gate) desk(b *Backend) courier.Desk {
	return b.desk(func(e audit.Event) { g.observe(nil, e) }, func(err error) { g.Failed(nil, err) })
}

// checks reports whether a code is one that the configured provider can be asked about:
// the operator may have changed providers since it was sent.
func (g *Gate) checks(code delivery.Running) bool {
	return code.Verification != "" && code.Provider == g.managed()
}

// askProvider settles what a player typed with the provider that made the code. The
// attempt is spent before the provider is asked, which no transaction waits for. An
// error says that the provider could not tell, or is the store's. over tells that the
// code is no longer good, whatever was typed.
func (g *Gate) askProvider(r *http.Request, who *caller, verification string, answer account.Answer) (result account.Result, over bool, err error) {
	result, ticket, err := who.backend.Accounts.Attempt(r.Context(), who.id, answer)
	if err != nil || ticket == nil {
		return result, false, err
	}
	ctx := context.WithoutCancel(r.Context())
	checked, asked := g.SMS.Check(ctx, verification, answer.Code)
	result, err = who.backend.Accounts.Settle(ctx, who.id, ticket, asked == nil && checked == sms.CheckedRight)
	if err == nil {
		err = asked
	}
	return result, checked == sms.CheckedOver, err
}

// endCode ends a code at the provider that made it, if there is one. Failing to is told
// to the operator only: nobody asks for the code any more, and it expires.
func (g *Gate) endCode(ctx context.Context, r *http.Request, code delivery.Running) {
	if !g.checks(code) {
		return
	}
	if err := g.SMS.Cancel(ctx, code.Verification); err != nil {
		g.Failed(r, err)
	}
}

// endCodeLater is endCode once the answer has been written, so that nobody waits for it.
// Whoever has named an account must not see by their connection that there was a code.
func (g *Gate) endCodeLater(w http.ResponseWriter, r *http.Request, who *caller, code delivery.Running) {
	if !g.checks(code) {
		return
	}
	if who.named() {
		ctx := context.WithoutCancel(r.Context())
		go g.endCode(ctx, nil, code)
		return
	}
	// Failing to flush means that the client is gone.
	_ = http.NewResponseController(w).Flush()
	g.endCode(context.WithoutCancel(r.Context()), r, code)
}

// decoyOf returns the name of a code that no provider has made, in the form of one that was:
// a UUID of version 4 (RFC 9562).
func decoyOf(ring *seal.Ring, challengeID string) string {
	id := ring.MAC(seal.Alias, "decoy", challengeID)
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[0:4], id[4:6], id[6:8], id[8:10], id[10:16])
}

// verified tells the courier that a code came back, by which it knows the messages that
// are read.
func (g *Gate) verified(r *http.Request, who *caller, to sms.Number, s *delivery.Sending) {
	if g.SMS == nil {
		return
	}
	if err := g.SMS.Verified(context.WithoutCancel(r.Context()), g.desk(who.backend), s.Provider, to, s.LastSend); err != nil {
		g.Failed(r, err)
	}
}

// problemOf is what a page says of the last SMS where it has nothing else to say. Whether
// a limit, a budget or a provider kept it from going out is not told (invariant I11).
func problemOf(s *delivery.Sending) challengepages.Problem {
	switch {
	case s.NotSent:
		return challengepages.ProblemNotSent
	case s.Failed:
		return challengepages.ProblemUndelivered
	default:
		return challengepages.ProblemNone
	}
}

// minutes tells a validity in whole minutes, rounded down but for the seconds
// that sending takes.
func minutes(d time.Duration) int { return max(1, int((d+5*time.Second)/time.Minute)) }
