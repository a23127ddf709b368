package gate

import (
	"context"
	"encoding/base64"
	"errors"
	"time"

	"github.com/stepgate/stepgate/challengepages"
	"github.com/stepgate/stepgate/identity"
	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/internal/courier"
	"github.com/stepgate/stepgate/internal/notify"
	"github.com/stepgate/stepgate/internal/seal"
	"github.com/stepgate/stepgate/internal/smsguard"
	"github.com/stepgate/stepgate/policy"
	"github.com/stepgate/stepgate/sms"
	"github.com/stepgate/stepgate/store"
)

// noticesPerNumber bounds what anybody can make a number be told. It is apart from
// the limits of codes: who uses those up must not silence the notices.
var noticesPerNumber = smsguard.Limit{Max: 10, Window: 24 * time.Hour}

// teller tells players of changes, on the channels that it is given.
type teller struct {
	backend *Backend
	sms     *courier.Courier // nil: no phone is told
	desk    courier.Desk
	pages   *challengepages.Renderer
	notify  func(ctx context.Context, n notify.Notice) error // nil: no operator is
	observe func(e audit.Event)
	failed  func(err error)
}

// tell tells the player whose identity is given, as far as it is known, of an alert.
// Each channel is an event; where none is, or none worked, that is one more.
func (t teller) tell(ctx context.Context, who identity.Identity, alert account.Alert, phones []sms.Number, link string) {
	told := false
	report := func(by string, err error) {
		event := audit.Event{Name: audit.AccountNotified, Subject: string(t.backend.Accounts.ID(who.Subject)), Factor: by, Reason: string(alert.Kind)}
		if err != nil {
			event.Name = audit.AccountNotNotified
		}
		told = told || err == nil
		t.observe(event)
	}
	if t.sms != nil {
		for _, phone := range phones {
			report(string(policy.SMS), t.send(ctx, phone, alert, link))
		}
	}
	if t.notify != nil {
		err := t.notify(ctx, notify.Notice{
			ID: noticeRef(t.backend, alert, ""), At: alert.At, Kind: string(alert.Kind),
			Subject: who.Subject, Login: who.Login, Email: who.Email, Link: link,
		})
		if err != nil {
			t.failed(err)
		}
		report("operator", err)
	}
	if !told {
		report("", errNotTold)
	}
}

var (
	errNotTold      = errors.New("no channel reaches the player")
	errNoticesSpent = errors.New("the number was told as often as it may be")
)

// send tells one phone of an alert.
func (t teller) send(ctx context.Context, phone sms.Number, alert account.Alert, link string) error {
	sum := t.backend.Ring.MAC(seal.Counter, "notice", phone.E164())
	key := store.NewKey("sms_notice", base64.RawURLEncoding.EncodeToString(sum[:16]))
	n, err := t.backend.Store.Add(ctx, key, 1, noticesPerNumber.Window)
	switch {
	case err != nil:
		t.failed(err)
		return err
	case n > noticesPerNumber.Max:
		return errNoticesSpent
	}
	// In the site's first language: that of the request may be the thief's.
	lang := t.pages.DefaultLang()
	return t.sms.Notify(ctx, t.desk, sms.Message{
		To: phone, Text: t.pages.NoticeText(lang, challengepages.NoticeText{Kind: challengepages.ActivityKind(alert.Kind), Link: link}),
		Ref: noticeRef(t.backend, alert, phone), Locale: string(lang), Validity: account.NoticeLifetime,
		Brand: t.pages.Brand(), Purpose: noticePurpose, Attempt: 1,
	})
}

// noticePurpose is the purpose of notices in [sms.Message], where codes have a rule's
// name.
const noticePurpose = "notice"

// noticeRef identifies a message to the provider, without giving the link away.
func noticeRef(b *Backend, alert account.Alert, phone sms.Number) string {
	sum := b.Ring.MAC(seal.Notice, "ref", alert.Token, phone.E164())
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}
