package account_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/policy"
)

// ctx is that of all steps: no step waits for anything.
var ctx = context.Background()

// open opens a challenge, for which a code goes to the phone that is a factor or, where
// there is none, to the one that the site knows, which the owner holds.
func (d *drive) open(p *person) {
	d.ids++
	m := &d.model
	c := asked{id: fmt.Sprintf("challenge-%d", d.ids), by: p, passed: new(int)}
	switch {
	case m.has(policy.SMS):
		c.phone, c.code, c.enrolled = m.bound[0].phone, d.digits(), true
	case !m.guarded() && !m.frozen:
		c.phone, c.code = d.people[0].phones[0], d.digits()
	}
	in := account.Interruption{
		Rules: pick(d, []string{"withdrawal", "settings"}), Fingerprint: c.id, Binding: p.session, Browser: p.browser, Device: p.browser, ID: c.id,
		Exclusive: d.one(4), Lifetime: 10 * time.Minute,
	}
	o, err := d.book().Open(ctx, d.id, in)
	if err != nil || !o.New {
		d.bad("Open() = %v, %v", o.New, err)
	}
	c.generation, c.expires = m.generation, d.at.Add(in.Lifetime)
	m.open = kept(m.open, c)
	d.note(p, "opens %s", c.id)
}

func (d *drive) closeOne(p *person) {
	c := pick(d, d.model.open)
	if err := d.book().CloseChallenge(ctx, d.id, c.id, audit.ChallengeReported, account.Client{}); err != nil {
		d.bad("CloseChallenge() = %v", err)
	}
	d.note(p, "closes %s", c.id)
}

// code is what somebody types: what is right for all that they know, or something that
// was, or anything.
func (d *drive) code(p *person, c asked, f policy.Factor) string {
	if p == d.people[0] && d.one(8) || p != d.people[0] && d.one(3) {
		return pick(d, []string{d.digits(), pick(d, p.seen), pick(d, p.keys), c.code[:min(5, len(c.code))], pick(d, d.model.open).id, ""})
	}
	switch f {
	case policy.TOTP:
		mine := slices.DeleteFunc(slices.Clone(d.model.bound), func(b credential) bool { return b.holder != p || b.factor != policy.TOTP })
		if len(mine) > 0 {
			one := pick(d, mine)
			return one.code(d.at.Unix()/30 + int64(d.IntN(5)-2)/2)
		}
	case policy.SMS:
		if slices.Contains(p.phones, c.phone) {
			return c.code
		}
	case policy.RecoveryKey:
		return p.keys[max(0, len(p.keys)-1):][0]
	}
	return d.digits()
}

func (d *drive) answer(p *person) {
	m := &d.model
	c := pick(d, slices.DeleteFunc(slices.Clone(m.open), func(c asked) bool { return c.by != p }))
	f := pick(d, everyFactor)
	if f == policy.RecoveryKey && len(p.keys) == 0 {
		f = policy.TOTP
	}
	if f == policy.SMS && d.one(2) {
		d.attempt(p, c)
		return
	}
	in := account.Answer{
		Challenge: c.id, Factor: f, Purpose: pick(d, []account.Purpose{account.ForRequest, account.ForSettings}), Code: d.code(p, c, f),
		Expected: c.code, Skew: 1, Trust: d.trusting(p),
	}
	before := slices.Clone(m.bound)
	ok, grade, root := m.right(c, f, in.Code, d.at)
	results := copies(d, d.times(), func(b *account.Book) account.Result {
		r, err := b.Answer(ctx, d.id, in)
		if err != nil {
			panic(err)
		}
		return r
	})
	rights := slices.DeleteFunc(slices.Clone(results), func(r account.Result) bool { return r.Verdict != account.Right })
	d.note(p, "answers %s by %s with %q: %v, right %d times", c.id, f, in.Code, ok, len(rights))
	for _, r := range results {
		if r.Verdict == account.Right {
			d.tell(root, r.Alerts...)
		} else {
			d.tell(time.Time{}, r.Alerts...)
		}
	}
	if len(rights) == 0 {
		m.bound = before
		if v := results[0].Verdict; ok && v != account.TryLater && v != account.Disabled && v != account.Gone {
			d.bad("a right answer: verdict %d", v)
		}
		return
	}
	if !ok || len(rights) > 1 || c.generation != m.generation || !d.at.Before(c.expires) {
		d.bad("right %d times; by the model %v, in generation %d of %d", len(rights), ok, c.generation, m.generation)
	}
	d.passed(p, c, f, showing{grade: grade, phone: c.phone, root: root}, in.Code, rights[0])
}

// passed does what follows a right answer.
func (d *drive) passed(p *person, c asked, f policy.Factor, s showing, code string, r account.Result) {
	m := &d.model
	if *c.passed++; *c.passed > 1 {
		d.bad("%s was passed %d times", c.id, *c.passed)
	}
	for _, q := range d.people {
		q.seen = kept(q.seen, code) // whoever looks over a shoulder
	}
	if f == policy.RecoveryKey {
		s.root = first(d.at, s.root) // the use itself can be objected to
		since, root := d.at, s.root
		if m.frozen {
			since, root = m.keySince, m.keyRoot
		}
		d.learn(p, r.RecoveryKey, since, root)
		m.end()
	}
	if r.Epoch != m.generation {
		d.bad("Answer() in epoch %d, want %d", r.Epoch, m.generation)
	}
	s.generation = m.generation
	p.shown = kept(p.shown, s)
	if !r.Root.Equal(s.root) {
		d.bad("Answer() rests on %v, want %v", r.Root, s.root)
	}
	if s.grade == account.ProofPhone {
		d.done(p, "answer registered_phone")
		return
	}
	d.done(p, "answer "+string(f))
}

// wantErr compares the error of a change with what the model says of it. It reports
// whether the change was made.
func (d *drive) wantErr(p *person, what string, s showing, err, want error) bool {
	d.note(p, "%s under %q of generation %d: %v", what, s.grade, s.generation, err)
	if !errors.Is(err, want) || (err == nil) != (want == nil) {
		d.bad("%s = %v, want %v in generation %d", what, err, want, d.model.generation)
		return false
	}
	if err != nil {
		d.did["refused: "+what]++
		return false
	}
	d.done(p, what)
	return true
}

// permitted is the error of a change that a current factor permits.
func (d *drive) permitted(s showing, frozen bool) error {
	if d.model.frozen == frozen && d.model.current(s) {
		return nil
	}
	return account.ErrNotProved
}

func (d *drive) begin(p *person) {
	m := &d.model
	s, f := d.showingOf(p), pick(d, []policy.Factor{policy.TOTP, policy.TOTP, policy.SMS})
	var want error
	switch {
	case !m.mayBind(s):
		want = account.ErrNotProved
	case m.full(f, s.grade):
		want = account.ErrFull
	}
	b := &begun{grade: s.grade, root: s.root, generation: m.generation, by: p, expires: d.at.Add(account.SetupLifetime), from: d.at}
	if f == policy.TOTP {
		setup, err := d.book().BeginTOTP(ctx, d.id, d.change(p, s))
		if !d.wantErr(p, "begin totp", s, err, want) {
			return
		}
		b.setup, b.credential = setup.ID, newCredential(f, setup.Secret, "", p)
		m.setup = b
		return
	}
	to := pick(d, p.phones)
	if d.one(5) {
		to = pick(d, d.people[d.IntN(2)].phones)
	}
	managed := d.managed()
	send, err := d.book().BeginSMS(ctx, d.id, d.change(p, s), to, managed)
	if !d.wantErr(p, "begin sms", s, err, want) {
		return
	}
	b.setup, b.sends, b.credential = send.Setup.ID, send.Number, newCredential(f, nil, to, p)
	if b.managed = managed != ""; b.managed {
		d.verify(b, send)
	} else {
		b.codes = []string{send.Code}
	}
	m.setup = b
}

func (d *drive) resend(p *person) {
	b := d.model.setup
	if b == nil {
		return
	}
	managed := d.managed()
	send, err := d.book().ResendSetup(ctx, d.id, d.change(p, showing{}), b.setup, managed)
	d.note(p, "asks for another code: %v", send.Granted)
	if err != nil || send.Granted && (b.by != p || b.factor != policy.SMS || !d.at.Before(b.expires)) {
		d.bad("ResendSetup() = %v, %v", send.Granted, err)
	}
	if !send.Granted {
		return
	}
	d.done(p, "resend")
	b.sends = send.Number
	if b.managed = managed != ""; b.managed {
		d.verify(b, send)
	} else if send.Code != b.codes[len(b.codes)-1] {
		b.codes, b.from = append(b.codes, send.Code), d.at
	}
	if d.one(4) {
		if err := d.book().SetupNotSent(ctx, d.id, b.setup, send.Number); err != nil {
			d.bad("SetupNotSent() = %v", err)
		}
	}
}

// right decides whether a code confirms a set-up.
func (b *begun) right(code string, now time.Time) (step int64, ok bool) {
	if b.factor == policy.TOTP {
		step = b.match(code, now)
		return step, step >= 0
	}
	return 0, !b.managed && code == b.codes[len(b.codes)-1] && now.Before(b.from.Add(5*time.Minute))
}

func (d *drive) confirm(p *person) {
	m := &d.model
	b := m.setup
	if b == nil {
		if b = m.over; b == nil {
			return
		}
	}
	m.over = b
	code := d.digits()
	switch {
	case b.by != p && !d.one(8) || d.one(6):
	case b.factor == policy.TOTP:
		code = b.code(d.at.Unix()/30 + int64(d.IntN(7)-3)/2)
	case slices.Contains(p.phones, b.phone):
		code = b.codes[max(0, len(b.codes)-1-d.IntN(8)/7)]
	}
	step, right := b.right(code, d.at)
	there := d.there(b, p)
	may := there && m.mayBind(showing{grade: b.grade, generation: m.generation})
	full := may && m.full(b.factor, b.grade)
	outs := copies(d, d.times(), func(book *account.Book) confirmation {
		out, err := book.Confirm(ctx, d.id, d.change(p, showing{grade: account.ProofFactor, generation: m.generation}), b.setup, code, "")
		return confirmation{out, err}
	})
	d.note(p, "confirms %s with %q: there %v, may %v, right %v, full %v: %v", b.setup, code, there, may, right, full, outs)
	// In the order in which they can have come.
	slices.SortFunc(outs, func(a, b confirmation) int { return cmp.Compare(a.Verdict, b.Verdict) })
	bound := 0
	for _, c := range outs {
		switch {
		case c.err != nil:
			if !errors.Is(c.err, account.ErrFull) || !full || !right {
				d.bad("Confirm() = %v", c.err)
			}
		case c.Verdict == account.Wrong, c.Verdict == account.UsedUp:
			if !there || right {
				d.bad("Confirm() of a right code = %d", c.Verdict)
			}
			if b.wrong++; (b.wrong == account.AttemptsPerChallenge && !d.underWay(b)) != (c.Verdict == account.UsedUp) {
				d.bad("wrong code %d of a set-up: verdict %d", b.wrong, c.Verdict)
			}
			if c.Verdict == account.UsedUp {
				m.setup, there = nil, false
			}
		case c.Verdict == account.Right:
			bound++
			d.bind(p, b, step, c.Bound)
		}
	}
	if want := may && right && !full; bound > 1 || (bound == 1) != want {
		d.bad("Confirm() bound %d times, want %v", bound, want)
	}
}

// confirmation is what Confirm returned.
type confirmation struct {
	account.Bound
	err error
}

func (d *drive) bind(p *person, b *begun, step int64, out account.Bound) {
	c := b.credential
	c.last = step
	d.model.bind(c, b.grade, b.root, d.at)
	d.firstKey(p, out.RecoveryKey)
	d.tell(b.root, out.Alert)
	d.done(p, "confirm "+string(c.factor))
}

// firstKey keeps the recovery key that comes with a binding where there was none.
func (d *drive) firstKey(p *person, key string) {
	if d.model.key == "" {
		d.learn(p, key, d.at, d.model.bound[len(d.model.bound)-1].root)
	} else if key != "" {
		d.bad("a binding gave a new recovery key, and there was one")
	}
}

func (d *drive) bindPhone(p *person) {
	m := &d.model
	s := d.showingOf(p)
	if s.grade != account.ProofPhone {
		s.phone = pick(d, p.phones)
	}
	var want error
	if s.grade != account.ProofPhone || !m.mayBind(s) {
		want = account.ErrNotProved
	}
	out, err := d.book().BindPhone(ctx, d.id, d.change(p, s), s.phone)
	if d.wantErr(p, "bind phone", s, err, want) {
		m.bind(newCredential(policy.SMS, nil, s.phone, p), s.grade, s.root, d.at)
		d.firstKey(p, out.RecoveryKey)
		d.tell(s.root, out.Alert)
	}
}
