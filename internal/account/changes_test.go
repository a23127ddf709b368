package account_test

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/stepgate/stepgate/internal/account"
)

// outcome is what a change returned.
type outcome struct {
	account.Alert
	err error
}

// once makes a change several times at once, of which one must be made: it ends what
// the others were shown for.
func (d *drive) once(p *person, what string, s showing, want error, do func(b *account.Book) (account.Alert, error)) bool {
	outs := copies(d, d.times(), func(b *account.Book) outcome {
		alert, err := do(b)
		return outcome{alert, err}
	})
	slices.SortFunc(outs, func(a, b outcome) int { return cmp.Compare(len(fmt.Sprint(a.err)), len(fmt.Sprint(b.err))) })
	if !d.wantErr(p, what, s, outs[0].err, want) {
		return false
	}
	for _, other := range outs[1:] {
		if !errors.Is(other.err, account.ErrNotProved) {
			d.bad("%s was made twice under one showing, or: %v", what, other.err)
		}
	}
	d.tell(s.root, outs[0].Alert)
	return true
}

func (d *drive) switchOff(p *person) {
	s := d.showingOf(p)
	want := d.permitted(s, false)
	if !d.model.guarded() {
		want = account.ErrNotProved
	}
	if d.once(p, "switch off", s, want, func(b *account.Book) (account.Alert, error) { return b.SwitchOff(ctx, d.id, d.change(p, s)) }) {
		d.model.bound, d.model.key = nil, ""
		d.model.end()
	}
}

func (d *drive) remove(p *person) {
	m := &d.model
	s, target := d.showingOf(p), pick(d, m.bound).id
	if d.one(8) {
		target = "none"
	}
	want := d.permitted(s, false)
	if want == nil && (target == "none" || len(m.bound) < 2) {
		want = account.ErrLast
	}
	if d.once(p, "remove", s, want, func(b *account.Book) (account.Alert, error) { return b.Remove(ctx, d.id, d.change(p, s), target) }) {
		m.bound = slices.DeleteFunc(m.bound, func(c credential) bool { return c.id == target })
		m.end()
	}
}

func (d *drive) issueKey(p *person) {
	s := d.showingOf(p)
	key, alert, err := d.book().IssueRecoveryKey(ctx, d.id, d.change(p, s))
	if d.wantErr(p, "issue key", s, err, d.permitted(s, false)) {
		d.learn(p, key, d.at, first(d.at, s.root))
		d.tell(s.root, alert)
	}
	if err := d.book().KeepRecoveryKey(ctx, d.id); err != nil {
		d.bad("KeepRecoveryKey() = %v", err)
	}
}

func (d *drive) unlock(p *person) {
	s := d.showingOf(p)
	alert, err := d.book().Unlock(ctx, d.id, d.change(p, s))
	if d.wantErr(p, "unlock", s, err, d.permitted(s, false)) {
		d.tell(s.root, alert)
	}
}

func (d *drive) forget(p *person) {
	s := d.showingOf(p)
	alert, err := d.book().ForgetDevice(ctx, d.id, d.change(p, s), pick(d, d.people).browser)
	if d.wantErr(p, "forget", s, err, d.permitted(s, false)) {
		d.model.end()
		d.tell(s.root, alert)
	}
}

func (d *drive) lift(p *person) {
	s := d.showingOf(p)
	if d.once(p, "lift", s, d.permitted(s, true), func(b *account.Book) (account.Alert, error) { return b.Lift(ctx, d.id, d.change(p, s)) }) {
		// The links from since then end; the one of lifting came after that.
		newest := d.people[0].links[len(d.people[0].links)-1]
		d.model.lift()
		d.model.links[newest].used = false
	}
}

// token is a link that somebody uses: one that they were sent, or something like it.
func (d *drive) token(p *person) string {
	token := pick(d, p.links)
	switch {
	case d.one(2) && token != "":
		return p.links[len(p.links)-1]
	case d.one(6) && token != "":
		raw := []byte(token)
		raw[d.IntN(len(raw))] ^= 1
		return string(raw)
	case d.one(6):
		return d.digits()
	default:
		return token
	}
}

// good decides whether a link can do anything.
func (d *drive) good(token string) bool {
	l := d.model.links[token]
	return l != nil && !l.used && d.at.Before(l.at.Add(account.NoticeLifetime))
}

func (d *drive) freeze(p *person) {
	m := &d.model
	token := d.token(p)
	good := d.good(token)
	frozen := copies(d, d.times(), func(b *account.Book) bool {
		_, ok, err := b.Freeze(ctx, token, account.Client{})
		return ok && err == nil
	})
	n := len(slices.DeleteFunc(frozen, func(ok bool) bool { return !ok }))
	d.note(p, "uses a link: good %v, froze %d times", good, n)
	if n > 1 || n == 1 && !good {
		d.bad("a link froze %d times; by the model %v", n, good)
	}
	if n == 0 { // a good one may have given way to newer ones
		d.did["refused: freeze"]++
		return
	}
	l := m.links[token]
	l.used = true
	if !m.frozen || l.root.Before(m.event) {
		m.event = l.root
	}
	m.frozen = true
	m.end()
	d.done(p, "freeze")
}

func (d *drive) look(p *person) {
	token := d.token(p)
	n, ok, err := d.book().Notice(ctx, token)
	d.note(p, "looks at a link: %v", ok)
	if err != nil || ok && (!d.good(token) || !n.At.Equal(d.model.links[token].at)) {
		d.bad("Notice() = %v, %v", ok, err)
	}
}
