package gate

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/stepgate/stepgate/challengepages"
	"github.com/stepgate/stepgate/identity"
	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/internal/courier"
	"github.com/stepgate/stepgate/internal/notify"
	"github.com/stepgate/stepgate/policy"
)

// SupportShow is the act that only looks; the others are account.SupportActs.
const SupportShow = "show"

// Errors of Support.Do, on which callers branch.
var (
	// ErrNothingToDo says that the account is not frozen, or has nothing disabled.
	ErrNothingToDo = account.ErrNothingToDo
	// ErrUnknownPlayer says that nothing is known of the subject.
	ErrUnknownPlayer = errors.New("nothing is known of this player")
	// ErrUnknownAct says that there is no such act.
	ErrUnknownAct = errors.New("unknown act: want show, lift, unlock or reset")
)

// Support is what a support agent's acts need beside the backend.
type Support struct {
	// SMS tells the player's phones of a change; nil tells none.
	SMS *courier.Courier
	// Pages has the words of notices. Required.
	Pages *challengepages.Renderer
	// Notify hands a notice to the operator, as in Config.
	Notify func(ctx context.Context, n notify.Notice) error
	// NoticeURL is what the links of notices begin with, before their token; empty
	// where no one site is known, and then notices have none.
	NoticeURL string
	// Observe is told of what happened, Failed of what could not be told. Required.
	Observe func(e audit.Event)
	Failed  func(err error)
}

// Player is what a support agent sees of a player. It has no secret, no key and no
// full number (invariant I8).
type Player struct {
	// Account is the keyed hash of the subject, as in the audit log.
	Account    string            `json:"account"`
	Enrolments []PlayerEnrolment `json:"enrolments"`
	// RecoveryKey is nil if there is none.
	RecoveryKey *PlayerRecoveryKey `json:"recovery_key,omitempty"`
	// Disabled are the factors that too many failures disabled, in any browser.
	Disabled []policy.Factor `json:"disabled"`
	// HeldUntil is the end of the cooling-off time after a first enrolment. What rules
	// hold after other causes is theirs, and not in it.
	HeldUntil   time.Time `json:"held_until,omitzero"`
	FrozenSince time.Time `json:"frozen_since,omitzero"`
	// TrustedBrowsers is how many there are.
	TrustedBrowsers int `json:"trusted_browsers"`
	// Activities are the last ones, from the newest.
	Activities []PlayerActivity `json:"activities"`
}

// PlayerEnrolment is a factor of a player.
type PlayerEnrolment struct {
	Factor policy.Factor `json:"factor"`
	Name   string        `json:"name,omitempty"`
	// Phone is masked.
	Phone string    `json:"phone,omitempty"`
	Since time.Time `json:"since"`
	Used  time.Time `json:"used,omitzero"`
}

// PlayerRecoveryKey says that there is a recovery key.
type PlayerRecoveryKey struct {
	Since time.Time `json:"since"`
	Saved bool      `json:"saved"`
}

// PlayerActivity is something that happened.
type PlayerActivity struct {
	Kind string    `json:"kind"`
	At   time.Time `json:"at"`
}

// Do does an act for a subject and returns the state after it. An error is one of
// those above, or the store's; then nothing was changed.
func (s *Support) Do(ctx context.Context, b *Backend, subject, act string) (*Player, error) {
	change := account.SupportAct(act)
	if act != SupportShow && !slices.Contains(account.SupportActs, change) {
		return nil, ErrUnknownAct
	}
	id := b.Accounts.ID(subject)
	a, err := b.Accounts.Get(ctx, id)
	switch {
	case err != nil:
		return nil, err
	case !everMet(a):
		return nil, ErrUnknownPlayer
	case act == SupportShow:
		return playerView(id, a), nil
	}
	a, alert, err := b.Accounts.Support(ctx, id, change)
	if err != nil {
		return nil, err
	}
	s.Observe(audit.Event{Name: audit.AccountSupported, At: alert.At, Subject: string(id), Reason: act})
	link := ""
	if s.NoticeURL != "" {
		link = s.NoticeURL + alert.Token
	}
	t := teller{
		backend: b, sms: s.SMS, pages: s.Pages, notify: s.Notify, observe: s.Observe, failed: s.Failed,
		desk: b.desk(s.Observe, s.Failed),
	}
	// The agent may give up waiting; the player is told all the same.
	t.tell(context.WithoutCancel(ctx), identity.Identity{Subject: subject}, alert, alert.Phones, link)
	return playerView(id, a), nil
}

// everMet reports whether anything was ever kept of the account.
func everMet(a *account.Account) bool {
	return a.Epoch > 0 || a.Enrolled() || a.Setup != nil || len(a.Pending)+len(a.Failures)+len(a.Changed)+len(a.Activities)+len(a.Devices) > 0
}

func playerView(id account.ID, a *account.Account) *Player {
	p := &Player{
		Account: string(id), Enrolments: []PlayerEnrolment{}, Disabled: []policy.Factor{}, HeldUntil: a.HeldUntil,
		TrustedBrowsers: len(a.Devices), Activities: []PlayerActivity{},
	}
	for _, e := range a.Enrolments {
		view := PlayerEnrolment{Factor: e.Factor, Name: e.Name, Since: e.Since, Used: e.Used}
		if e.Phone != "" {
			view.Phone = e.Phone.Mask()
		}
		p.Enrolments = append(p.Enrolments, view)
	}
	if a.Recovery != nil {
		p.RecoveryKey = &PlayerRecoveryKey{Since: a.Recovery.Since, Saved: a.Recovery.Saved}
	}
	for _, f := range []policy.Factor{policy.TOTP, policy.SMS, policy.RecoveryKey} {
		in := func(d account.Device) bool { return d.Failures[f] != nil && d.Failures[f].Disabled }
		if a.Disabled(f, account.Asker{}) || slices.ContainsFunc(a.Devices, in) {
			p.Disabled = append(p.Disabled, f)
		}
	}
	if a.Frozen != nil {
		p.FrozenSince = a.Frozen.At
	}
	for _, act := range slices.Backward(a.Activities) {
		p.Activities = append(p.Activities, PlayerActivity{Kind: string(act.Kind), At: act.At})
	}
	return p
}
