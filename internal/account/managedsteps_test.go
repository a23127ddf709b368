package account_test

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/policy"
)

// The steps of codes that a provider has made: it is asked, and its word comes when it
// comes, or never.

// inquiry is an answer of which a provider is asked.
type inquiry struct {
	by   *person
	code string
	at   time.Time
	// settled tells that its word has come.
	settled bool
	// ticket and about go with a challenge, setup and of with a set-up.
	ticket *account.Ticket
	about  asked
	setup  *account.SetupTicket
	of     *begun
	send   int
}

// live reports whether the provider's word would count.
func (q *inquiry) live(now time.Time) bool {
	return !q.settled && now.Before(q.at.Add(account.SettleWithin))
}

// underWay reports whether a set-up waits for a provider's word.
func (d *drive) underWay(b *begun) bool {
	return slices.ContainsFunc(d.model.inquiries, func(q *inquiry) bool { return q.of == b && q.live(d.at) })
}

// ask keeps what will be settled later.
func (d *drive) ask(q *inquiry) {
	q.at = d.at
	d.model.inquiries = append(d.model.inquiries, q)
}

// attempt answers a challenge by a code that the provider judges.
func (d *drive) attempt(p *person, c asked) {
	in := account.Answer{
		Challenge: c.id, Factor: policy.SMS, Purpose: pick(d, []account.Purpose{account.ForRequest, account.ForSettings}),
		Code: d.code(p, c, policy.SMS), Trust: d.trusting(p),
	}
	tickets := copies(d, d.times(), func(b *account.Book) *account.Ticket {
		r, ticket, err := b.Attempt(ctx, d.id, in)
		if err != nil || r.Verdict == account.Right {
			panic(fmt.Sprint(r.Verdict, err))
		}
		return ticket
	})
	tickets = slices.DeleteFunc(tickets, func(t *account.Ticket) bool { return t == nil })
	d.note(p, "attempts %s with %q: asked %d times", c.id, in.Code, len(tickets))
	for _, ticket := range tickets {
		d.ask(&inquiry{by: p, code: in.Code, ticket: ticket, about: c})
	}
}

// attemptSetup types a code for a set-up that the provider judges.
func (d *drive) attemptSetup(p *person) {
	b := cmp.Or(d.model.setup, d.model.over)
	if b == nil {
		return
	}
	code := d.digits()
	if slices.Contains(p.phones, b.phone) && len(b.codes) > 0 && !d.one(6) {
		code = b.codes[len(b.codes)-1]
	}
	type attempt struct {
		account.Bound
		ticket *account.SetupTicket
	}
	outs := copies(d, d.times(), func(book *account.Book) attempt {
		out, ticket, err := book.AttemptSetup(ctx, d.id, d.change(p, showing{}), b.setup)
		if err != nil {
			panic(err)
		}
		return attempt{out, ticket}
	})
	there := d.there(b, p)
	d.note(p, "attempts set-up %s with %q: there %v, managed %v", b.setup, code, there, b.managed)
	for _, out := range outs {
		if out.ticket == nil && out.Verdict == account.Gone {
			continue
		}
		b.wrong++
		switch {
		case !there || b.wrong > account.AttemptsPerChallenge:
			d.bad("AttemptSetup() = verdict %d, ticket %v, for attempt %d", out.Verdict, out.ticket != nil, b.wrong)
		case out.ticket != nil:
			if !b.managed || out.ticket.Running.Verification == "" {
				d.bad("to be asked about %v", out.ticket.Running)
			}
			d.ask(&inquiry{by: p, code: code, setup: out.ticket, of: b, send: b.sends})
		case out.Verdict == account.UsedUp:
			d.model.setup = nil
		case out.Verdict != account.Wrong:
			d.bad("AttemptSetup() = verdict %d", out.Verdict)
		}
	}
}

// there reports whether somebody may confirm a set-up.
func (d *drive) there(b *begun, p *person) bool {
	m := &d.model
	return b == m.setup && b.by == p && d.at.Before(b.expires) && b.generation == m.generation && b.wrong < account.AttemptsPerChallenge
}

// settle lets the provider's word come.
func (d *drive) settle(*person) {
	m := &d.model
	q := pick(d, m.inquiries)
	if q == nil {
		return
	}
	if q.setup != nil {
		d.settleSetup(q)
	} else {
		d.settleAnswer(q)
	}
	q.settled = true
	m.inquiries = slices.DeleteFunc(m.inquiries, func(q *inquiry) bool { return !q.live(d.at) && !d.one(4) })
}

func (d *drive) settleAnswer(q *inquiry) {
	m, c := &d.model, q.about
	ok, grade, root := m.right(c, policy.SMS, q.code, d.at)
	may := ok && q.live(d.at) && c.generation == m.generation && d.at.Before(c.expires) && *c.passed == 0
	says := c.code != "" && c.code == q.code
	results := copies(d, d.times(), func(b *account.Book) account.Result {
		r, err := b.Settle(ctx, d.id, q.ticket, says)
		if err != nil {
			panic(err)
		}
		return r
	})
	d.note(q.by, "hears of %s that %q is %v: may %v: %v", c.id, q.code, says, may, results)
	rights := 0
	for _, r := range results {
		switch {
		case r.Verdict == account.Right && may:
			rights++
			d.tell(root, r.Alerts...)
			d.passed(q.by, c, policy.SMS, showing{grade: grade, phone: c.phone, root: root}, q.code, r)
			d.done(q.by, "settle "+string(grade))
		case r.Verdict == account.Right, says && r.Verdict != account.Gone:
			d.bad("Settle(%v) = verdict %d", says, r.Verdict)
		default:
			d.tell(time.Time{}, r.Alerts...)
		}
	}
	if rights > 1 {
		d.bad("an attempt was right %d times", rights)
	}
}

func (d *drive) settleSetup(q *inquiry) {
	m, b := &d.model, q.of
	may := q.live(d.at) && b == m.setup && d.at.Before(b.expires) && b.generation == m.generation
	right := may && d.verified[q.setup.Running.Verification] == q.code && q.send == b.sends && m.mayBind(showing{grade: b.grade, generation: m.generation})
	outs := copies(d, d.times(), func(book *account.Book) account.Bound {
		out, err := book.SettleSetup(ctx, d.id, q.setup, d.verified[q.setup.Running.Verification] == q.code)
		if err != nil {
			panic(err)
		}
		return out
	})
	q.settled = true
	d.note(q.by, "hears of set-up %s that %q is right: %v, there %v: %v", b.setup, q.code, right, may, outs)
	told := 0
	for _, out := range outs {
		switch {
		case out.Verdict == account.Gone:
			continue
		case out.Verdict == account.Right && right:
			d.bind(q.by, b, 0, out)
			d.done(q.by, "settle set-up")
		case !may || right || (out.Verdict == account.UsedUp) != (b.wrong >= account.AttemptsPerChallenge && !d.underWay(b)):
			d.bad("SettleSetup() = verdict %d after %d attempts", out.Verdict, b.wrong)
		case out.Verdict == account.UsedUp:
			m.setup = nil
		}
		told++
	}
	if want := may; (told == 1) != want || told > 1 {
		d.bad("SettleSetup() settled %d times, want %v", told, want)
	}
}

// verify lets the provider make and send the code of a set-up; mostly its answer
// arrives.
func (d *drive) verify(b *begun, send account.SetupSend) {
	name := fmt.Sprintf("%s/%d", b.setup, send.Number)
	d.verified[name] = d.digits()
	b.codes, b.from = append(b.codes, d.verified[name]), d.at
	if d.one(8) {
		return
	}
	if waits, err := d.book().SetupSent(ctx, d.id, b.setup, send.Number, "verify", name); err != nil || !waits {
		d.bad("SetupSent() = %v, %v", waits, err)
	}
}

// managed is the provider that makes a code, or none.
func (d *drive) managed() string { return pick(d, []string{"", "verify"}) }
