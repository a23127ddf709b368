package gate

import (
	"context"
	"encoding/base64"
	"time"

	"github.com/stepgate/stepgate/challengepages"
	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/seal"
	"github.com/stepgate/stepgate/sms"
	"github.com/stepgate/stepgate/store"
)

// noticesPerNumber bounds what anybody can make a number be told. It is apart from
// the limits of codes: who uses those up must not silence the notices.
var noticesPerNumber = SMSLimit{Max: 10, Window: 24 * time.Hour}

// noticeSender tells phones of changes.
type noticeSender struct {
	backend *Backend
	sender  sms.Sender
	timeout time.Duration
	pages   *challengepages.Renderer
}

// send tells one phone of an alert, and reports whether it may have arrived.
func (s noticeSender) send(ctx context.Context, phone sms.Number, alert account.Alert, link string) bool {
	sum := s.backend.Ring.MAC(seal.Counter, "notice", phone.E164())
	key := store.NewKey("sms_notice", base64.RawURLEncoding.EncodeToString(sum[:16]))
	if n, err := s.backend.Store.Add(ctx, key, 1, noticesPerNumber.Window); err != nil || n > noticesPerNumber.Max {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	// In the site's first language: that of the request may be the thief's.
	lang := s.pages.DefaultLang()
	_, err := s.sender.Send(ctx, sms.Message{
		To: phone, Text: s.pages.NoticeText(lang, challengepages.NoticeText{Kind: challengepages.ActivityKind(alert.Kind), Link: link}),
		Ref: noticeRef(s.backend, alert, phone), Locale: string(lang), Validity: account.NoticeLifetime,
	})
	return err == nil || sms.ClassOf(err) == sms.Unknown
}

// noticeRef identifies a message to the provider, without giving the link away.
func noticeRef(b *Backend, alert account.Alert, phone sms.Number) string {
	sum := b.Ring.MAC(seal.Notice, "ref", alert.Token, phone.E164())
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}
