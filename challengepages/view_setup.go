package challengepages

import (
	"encoding/base64"
	"errors"
	"html/template"
	"strings"
	"time"
)

// setupProblem is problem where nothing has been sent that could still arrive, and
// no times are known.
func (w *words) setupProblem(p Problem, left int) template.HTML {
	if p == ProblemSendLater {
		return w.html("problem.send_later.setup")
	}
	return w.problem(p, "", left, time.Time{}, time.Time{})
}

type setupView struct {
	Base, SetupID string
	Field         *field
	Deadline      deadline
	Back          string
	// The rest is of TOTPSetup.
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
		Deadline: w.deadline("expires.setup", "over.open", s.Expires, s.Now),
		Back:     localPath(s.Back),
		Field: &field{
			Label:   w.text("label.totp"),
			Hint:    w.html("setup.totp.code"),
			Problem: w.problem(s.Problem, "totp", s.AttemptsLeft, time.Time{}, time.Time{}),
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
		Field: &field{
			Label:   w.text("label.sms"),
			Hint:    w.html("hint.sms", "phone", unbroken(s.Phone)),
			Problem: w.setupProblem(s.Problem, s.AttemptsLeft),
			OTP:     true,
			Focus:   true,
		},
	}
	// Also a message that could not be handed over may have been: the field stays.
	if !s.Sent {
		v.Field.Hint = w.html("setup.sms.unsent", "phone", unbroken(s.Phone))
	}
	r.finishSetup(f, v, "setup.sms", s.Problem)
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
	Action string
	Hidden []Hidden
	// Content is the heading of the saved file.
	Content string
}

func (r *Renderer) fillRecoveryKey(f *frame, k RecoveryKey) error {
	f.Title = f.words.text("key")
	f.View = recoveryKeyView{
		Key:     visible(k.Key),
		Used:    k.Used,
		Action:  formAction(k.Action),
		Hidden:  k.Hidden,
		Content: strings.ReplaceAll(f.words.text("key.content"), "{brand}", r.brand.Name),
	}
	return nil
}
