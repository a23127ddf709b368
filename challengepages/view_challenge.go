package challengepages

import (
	"html/template"
	"math"
	"strings"
	"time"
)

// field is the one field of a page that asks for a code.
type field struct {
	Label string
	Hint  template.HTML
	// Problem stands between hint and field; empty for none.
	Problem template.HTML
	// Described lists the ids of what belongs to the field, for screen readers: a
	// player who lands in the field first hears what they are about to confirm.
	Described string
	// Key is set for a recovery key: letters, and nothing a browser should fill in.
	Key bool
	// OTP lets the script wait for the code from the SMS.
	OTP bool
	// Focus puts the cursor into the field.
	Focus bool
}

// deadline is the sentence that says how long a page can be answered.
type deadline struct {
	Sentence template.HTML
	// Left is the number of seconds to go, for the script; 0 for no countdown.
	Left int
	// Over is what the script says at the end.
	Over string
}

type challengeView struct {
	Action, ID  string
	Heading     string
	Lead        string
	Details     []detailView
	Factor      string
	Field       *field        // nil where there is no code to enter yet
	Sending     template.HTML // said instead of the field
	Send        *resendView   // with Sending: the way to a code; nil where none can be sent
	SendProblem template.HTML // with Sending
	Safety      string
	Deadline    deadline
	Resend      *resendView
	// Next is Resend where the last SMS failed: it stands by the field.
	Next *resendView
	// Late is what to do when the SMS does not come; none where none was sent.
	Late       []template.HTML
	Others     []otherFactor
	CancelWhat string
	// Trust offers to trust the browser, or is empty.
	Trust template.HTML
	// Help is the path of the page for players who can confirm by nothing, or empty.
	Help string
}

type detailView struct {
	Label, Value string
	Amount       bool // shown large
	// Groups are the pieces of an amount that needs a smaller size, and may be
	// broken between them.
	Groups []string
	Empty  bool
}

// maxLargeAmount is how long an amount can be shown large at 320 pixels:
// "Rp999.999.999".
const maxLargeAmount = 13

type resendView struct {
	// Note says from when; empty where it can be done at once.
	Note template.HTML
	// Wait is the number of seconds until then, for the script.
	Wait int
}

type otherFactor struct{ Factor, Text string }

func (r *Renderer) fillChallenge(f *frame, c Challenge) {
	w := f.words
	v := challengeView{
		Action:   formAction(c.Action),
		ID:       c.ID,
		Heading:  w.text(w.ruleKey("rule", c.Rule)),
		Lead:     w.lead(c),
		Details:  w.details(c.Details),
		Factor:   c.Factor,
		Deadline: w.deadlineOf(c),
	}
	if c.Factor == "sms" && !c.Sent {
		w.fillSending(&v, c)
	} else {
		v.Field = w.codeField(c)
		v.Safety = w.text("safe.code")
		if v.Field.Key {
			v.Safety = w.text("safe.key")
		}
	}
	if c.Factor == "sms" && c.Sent {
		v.Resend = w.resend(c.ResendAt, c.Now)
		// Who has typed a code has one.
		if c.Problem != ProblemWrongCode {
			v.Late = w.late(v.Resend != nil, c.ways())
		}
		if c.Problem == ProblemUndelivered {
			v.Resend, v.Next = nil, v.Resend
		}
	}
	if c.Trust > 0 && v.Field != nil {
		v.Trust = w.html("trust", "days", int(c.Trust/(24*time.Hour)))
	}
	if c.Help != "" {
		v.Help = localPath(c.Help)
	}
	for _, o := range c.Others {
		v.Others = append(v.Others, otherFactor{Factor: o, Text: w.text("way." + o)})
	}
	if c.Held {
		v.CancelWhat = w.text("way.cancel.held")
	}
	f.Switch = r.formSwitch(f.Lang, v.Action, c.ID)
	f.Title = v.Heading
	if c.Problem != ProblemNone {
		f.Title = w.text("problem") + v.Heading
	}
	f.Help = false // it stands among the ways out
	f.assets = r.challengeAssets
	f.View = v
}

// fillSending fills what stands in the place of the field while the player has no
// code: that one can be sent, or why not now.
func (w *words) fillSending(v *challengeView, c Challenge) {
	phone := unbroken(c.Phone)
	if c.ResendAt.IsZero() && (c.Problem == ProblemNotSent || c.Problem == ProblemSendLater) {
		v.Sending = w.html(w.ruleKey("send.none", c.ways()), "phone", phone)
		return
	}
	v.Sending, v.Send = w.html("send.sms", "phone", phone), &resendView{}
	if c.Named {
		v.Sending = w.html("send.sms.named")
	}
	if next := w.resend(c.ResendAt, c.Now); next != nil {
		v.Send = next
	}
	v.SendProblem = w.problem(c.Problem, c.situation())
}

// ways names the variant of a message that tells the player what else to do: the
// general one speaks of another way to confirm, "only" of support.
func (c Challenge) ways() string {
	if len(c.Others) == 0 {
		return "only"
	}
	return ""
}

func (c Challenge) situation() situation {
	return situation{factor: c.Factor, ways: c.ways(), left: c.AttemptsLeft, resendAt: c.ResendAt, retryAt: c.RetryAt, now: c.Now}
}

// ruleKey gives the key of a message that a rule may have of its own.
func (w *words) ruleKey(prefix, rule string) string {
	if key := prefix + "." + rule; w.has(key) {
		return key
	}
	return prefix
}

// lead says what confirming does.
func (w *words) lead(c Challenge) string {
	switch {
	case w.has("lead.rule." + c.Rule):
		return w.text("lead.rule." + c.Rule)
	case c.Held && len(c.Details) > 0:
		return w.text("lead.held")
	case c.Held:
		return w.text("lead.held.plain")
	}
	return w.text("lead.open")
}

// details prepares what the player approves (R1). Values are shown as they will
// be sent, except for a plain amount, whose digits are grouped.
func (w *words) details(ds []Detail) []detailView {
	views := make([]detailView, 0, len(ds))
	for _, d := range ds {
		v := detailView{Label: shown(d.Label)}
		v.Value, v.Amount = w.format.detailValue(w.currency, d)
		if v.Amount && len(v.Value) > maxLargeAmount {
			v.Groups = strings.SplitAfter(v.Value, w.format.thousands)
		}
		if w.has("detail." + d.Label) {
			v.Label = w.text("detail." + d.Label)
		}
		if strings.TrimSpace(v.Value) == "" {
			v.Value, v.Empty = w.text("empty"), true
		}
		views = append(views, v)
	}
	return views
}

func (w *words) codeField(c Challenge) *field {
	f := &field{
		Label:   w.text("label." + c.Factor),
		Problem: w.problem(c.Problem, c.situation()),
		Key:     c.Factor == "recovery_key",
		OTP:     c.Factor == "sms",
		Focus:   true,
	}
	switch c.Factor {
	case "sms":
		if c.Named {
			f.Hint = w.html("hint.sms.named")
		} else {
			f.Hint = w.html("hint.sms", "phone", unbroken(c.Phone))
		}
	case "totp":
		f.Hint = w.html("hint.totp", "brand", w.brand)
	default:
		f.Hint = w.html("hint." + c.Factor)
	}
	f.describe(len(c.Details) > 0)
	return f
}

// describe names what belongs to the field in the order in which it should be
// heard: what is wrong, what is confirmed, where the code is.
func (f *field) describe(details bool) {
	var ids []string
	if f.Problem != "" {
		ids = append(ids, "e")
	}
	if details {
		ids = append(ids, "d")
	}
	if f.Hint != "" {
		ids = append(ids, "h")
	}
	f.Described = strings.Join(ids, " ")
}

// situation is what the words for a problem depend on.
type situation struct {
	factor string
	// ways is as in [Challenge.ways], or "setup" where the player can go back and
	// choose another way.
	ways                   string
	left                   int
	resendAt, retryAt, now time.Time
}

// problem says what was wrong and what to do; empty for none. What it says depends
// on the factor where the message has a variant for it.
func (w *words) problem(p Problem, s situation) template.HTML {
	key := w.ruleKey("problem."+string(p), s.factor)
	switch p {
	case ProblemNone:
		return ""
	case ProblemWrongCode:
		if s.left <= 1 {
			return w.html(key + ".last")
		}
		return w.html(key, "n", s.left)
	case ProblemNotSent, ProblemUndelivered, ProblemSendLater:
		return w.sendProblem(p, s)
	case ProblemTryLater:
		if s.retryAt.IsZero() {
			return w.html(key + ".none")
		}
		return w.html(key, "time", strong(w.exactClock(s.retryAt)))
	}
	return w.html(key)
}

// sendProblem says that the SMS did not go out, or failed later, and what to do now.
// It never says why: who asks for codes to be sent could find out from it which
// number, budget or provider is in what state (I11).
func (w *words) sendProblem(p Problem, s situation) template.HTML {
	key := "problem." + string(p)
	switch {
	case p == ProblemUndelivered && s.resendAt.IsZero():
		return w.html(w.ruleKey(key+".none", s.ways))
	case p == ProblemUndelivered:
		return w.html(w.ruleKey(key, s.ways))
	case s.resendAt.IsZero():
		return w.html(w.ruleKey("problem.send_later.none", s.ways))
	case p == ProblemNotSent && !s.now.IsZero() && !s.resendAt.After(s.now):
		return w.html(w.ruleKey(key+".now", s.ways))
	}
	return w.html(w.ruleKey(key, s.ways), "time", strong(w.exactClock(s.resendAt)))
}

// late lists what a player can do whose SMS does not come. resend tells that another
// can be asked for.
func (w *words) late(resend bool, ways string) []template.HTML {
	points := []template.HTML{w.html("late.wait"), w.html("late.phone")}
	if resend {
		points = append(points, w.html("late.resend"))
	}
	return append(points, w.html(w.ruleKey("late.number", ways)))
}

func (w *words) deadlineOf(c Challenge) deadline {
	if c.Held {
		return w.deadline("expires.held", "over.held", c.Expires, c.Now)
	}
	return w.deadline("expires.open", "over.open", c.Expires, c.Now)
}

// deadline tells the time of day at which expires is, rounded down to the minute,
// so that it never promises too much.
func (w *words) deadline(key, over string, expires, now time.Time) deadline {
	return deadline{
		Sentence: w.html(key, "time", strong(w.clock(expires)), "left", template.HTML("<span></span>")),
		Left:     secondsUntil(expires, now),
		Over:     w.text(over),
	}
}

// resend offers another SMS; nil where there can be none.
func (w *words) resend(at, now time.Time) *resendView {
	switch {
	case at.IsZero():
		return nil
	case !now.IsZero() && !at.After(now):
		return &resendView{}
	}
	return &resendView{
		Note: w.html("way.send.wait", "time", template.HTML(w.exactClock(at))),
		Wait: secondsUntil(at, now),
	}
}

// secondsUntil gives whole seconds from now to t, rounded up; 0 where now is not
// known or t has passed.
func secondsUntil(t, now time.Time) int {
	if now.IsZero() || t.IsZero() {
		return 0
	}
	return max(0, int(math.Ceil(t.Sub(now).Seconds())))
}
