package challengepages

import (
	"encoding/base64"
	"errors"
	"html/template"
	"strings"
)

type setupView struct {
	Base, SetupID string
	Field         *field
	Deadline      deadline
	Back          string
	// Replaces says what ends with the set-up; empty for nothing.
	Replaces string
	// Resend is the way to another SMS, of SMSSetup.
	Resend *resendView
	// Late is as in challengeView, of SMSSetup.
	Late []template.HTML
	// The rest is of TOTPSetup.
	Name     string
	QR       template.URL
	URI      template.URL
	Key      string // in groups
	PlainKey string
}

func (r *Renderer) fillTOTPSetup(f *frame, s TOTPSetup) error {
	// The scheme is not among those that html/template lets through by itself, so
	// the value has to be one that cannot be another.
	if !strings.HasPrefix(s.URI, "otpauth://totp/") {
		return errors.New("the set-up URI does not begin with otpauth://totp/")
	}
	w := f.words
	v := setupView{
		Base:     formAction(s.Base),
		SetupID:  s.SetupID,
		QR:       template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(s.QRPNG)),
		URI:      template.URL(s.URI),
		Key:      visible(grouped(s.Key)),
		PlainKey: s.Key,
		Name:     visible(s.Name),
		Replaces: w.replaces("setup.totp", s.Replaces),
		Deadline: w.deadline("expires.setup", "over.open", s.Expires, s.Now),
		Back:     localPath(s.Back),
		Field: &field{
			Label:   w.text("label.totp"),
			Hint:    w.html("setup.totp.code"),
			Problem: w.problem(s.Problem, situation{factor: "totp", ways: "setup", left: s.AttemptsLeft}),
			// Without a problem the player has to scan first.
			Focus: s.Problem != ProblemNone,
		},
	}
	r.finishSetup(f, v, "setup.totp", s.Problem)
	return nil
}

func (r *Renderer) fillSMSSetup(f *frame, s SMSSetup) {
	w := f.words
	v := setupView{
		Base:     formAction(s.Base),
		SetupID:  s.SetupID,
		Deadline: w.deadline("expires.setup", "over.open", s.Expires, s.Now),
		Back:     localPath(s.Back),
		Replaces: w.replaces("setup.sms", s.Replaces),
		Resend:   w.resend(s.ResendAt, s.Now),
		Field: &field{
			Label: w.text("label.sms"),
			Hint:  w.html("hint.sms", "phone", unbroken(s.Phone)),
			Problem: w.problem(s.Problem, situation{
				factor: "sms", ways: "setup", left: s.AttemptsLeft, resendAt: s.ResendAt, now: s.Now,
			}),
			OTP:   true,
			Focus: true,
		},
	}
	// Also a message that could not be handed over may have been: the field stays.
	if !s.Sent {
		v.Field.Hint = w.html("setup.sms.unsent", "phone", unbroken(s.Phone))
	} else if s.Problem != ProblemWrongCode {
		v.Late = w.late(v.Resend != nil, "setup")
	}
	r.finishSetup(f, v, "setup.sms", s.Problem)
}

// replaces says what a set-up takes the place of; empty for nothing.
func (w *words) replaces(page, factor string) string {
	switch factor {
	case "totp", "sms":
		return w.text(page + ".replaces." + factor)
	default:
		return ""
	}
}

func (r *Renderer) finishSetup(f *frame, v setupView, title string, p Problem) {
	v.Field.describe(false)
	f.Title = f.words.text(title)
	if p != ProblemNone {
		f.Title = f.words.text("problem") + f.Title
	}
	f.View = v
}

type recoveryKeyView struct {
	Key    string
	Used   bool
	Held   bool
	Action string
	Hidden []Hidden
	// Content is the heading of the saved file and of the printed page, Made the day.
	Content string
	Made    template.HTML
	// Settings is the path of the security page, or empty.
	Settings string
}

func (r *Renderer) fillRecoveryKey(f *frame, k RecoveryKey) {
	w := f.words
	f.Title = w.text("key")
	v := recoveryKeyView{
		Key:     visible(k.Key),
		Used:    k.Used,
		Held:    k.Held,
		Action:  formAction(k.Action),
		Hidden:  k.Hidden,
		Content: w.message("key.content").other.fill(map[string]string{"brand": w.brand}),
	}
	if !k.Now.IsZero() {
		v.Made = w.html("key.made", "date", w.day(k.Now))
	}
	if k.Used && k.Settings != "" {
		v.Settings = localPath(k.Settings)
	}
	f.View = v
}
