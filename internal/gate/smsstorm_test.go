package gate_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stepgate/stepgate/challengepages"
	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/internal/courier"
	"github.com/stepgate/stepgate/internal/smsguard"
	"github.com/stepgate/stepgate/sms/failover"
	"github.com/stepgate/stepgate/sms/vonage"
	"github.com/stepgate/stepgate/sms/vonage/vonagetest"
	"github.com/stepgate/stepgate/sms/webhook"
	"github.com/stepgate/stepgate/store/bolt"
)

// weather is one way in which a provider treats a request.
type weather struct {
	name   string
	weight int
	// behaviour is that of the fake. Where it has an effect, the message is sent.
	behaviour vonagetest.Behaviour
	// hangs keeps the answer back for ever.
	hangs bool
	// free tells that the provider says for certain that it has not sent the message.
	free bool
}

// anyway makes a spoilt answer that of a message which was sent.
func anyway(b vonagetest.Behaviour) vonagetest.Behaviour {
	b.Anyway = true
	return b
}

var weathers = []weather{
	{name: "good", weight: 80},
	{name: "slow", weight: 10, behaviour: vonagetest.Behaviour{Latency: 3 * time.Second}},
	{name: "time-out of a message that was sent", weight: 6, behaviour: vonagetest.Behaviour{Latency: time.Minute}},
	{name: "time-out of a message that was not", weight: 6, behaviour: vonagetest.Behaviour{Answer: &vonagetest.Answer{Status: http.StatusOK}, Latency: time.Minute}},
	{name: "no answer ever", weight: 6, hangs: true},
	{name: "500", weight: 6, behaviour: vonagetest.InternalError()},
	{name: "500 to a message that was sent", weight: 6, behaviour: anyway(vonagetest.InternalError())},
	{name: "connection closed before the message was sent", weight: 6, behaviour: vonagetest.Lost()},
	{name: "connection closed after the message was sent", weight: 6, behaviour: vonagetest.Dropped()},
	{name: "half an answer", weight: 6, behaviour: vonagetest.Truncated()},
	{name: "HTML with 200", weight: 6, behaviour: vonagetest.HTML(http.StatusOK)},
	{name: "HTML with 200 to a message that was sent", weight: 6, behaviour: anyway(vonagetest.HTML(http.StatusOK))},
	{name: "429", weight: 6, behaviour: vonagetest.Throttled(), free: true},
}

// at returns the weather that a provider has for one of its requests, the same for the
// same seed whichever player comes first.
func at(seed, player, request uint64) weather {
	sum := 0
	for _, w := range weathers {
		sum += w.weight
	}
	n := rand.New(rand.NewPCG(seed, 100*player+request)).IntN(sum)
	for _, w := range weathers {
		if n -= w.weight; n < 0 {
			return w
		}
	}
	panic("unreachable")
}

// carrier is one provider in the storm.
type carrier struct {
	*vonagetest.Server
	name string

	mu       sync.Mutex // guards what follows
	over     bool       // all is good again
	requests map[string]uint64
	seen     map[string]int
	payable  int
}

func newCarrier(t *testing.T, name string, seed uint64, now func() time.Time) *carrier {
	c := &carrier{
		Server: vonagetest.New(vonagetest.Options{Key: "abcd1234", Secret: "secret-of-the-account", Now: now}),
		name:   name, requests: map[string]uint64{}, seen: map[string]int{},
	}
	never := make(chan struct{})
	c.Behave(func(r vonagetest.Request) vonagetest.Behaviour {
		player, err := strconv.ParseUint(r.To, 10, 64)
		if err != nil {
			t.Errorf("%s was asked to send to %q", name, r.To)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.requests[r.To]++
		w := weathers[0]
		if !c.over {
			w = at(seed, player, c.requests[r.To])
		}
		c.seen[w.name]++
		if !w.free {
			c.payable++
		}
		if w.hangs {
			w.behaviour.Hold = never
		}
		return w.behaviour
	})
	return c
}

// storm is a world whose SMS are carried over HTTP by two providers that do what they
// like: Vonage by our client, and another one that our generic client is configured for.
type storm struct {
	*world
	carriers [2]*carrier
	budget   int // messages that it pays for
}

const messagePrice = smsguard.Money(40_000)

// newStorm must be called in a bubble.
func newStorm(t *testing.T, budget int) *storm {
	t.Helper()
	w := newWorld(t)
	w.clock.run()
	dir, err := os.MkdirTemp("/dev/shm", "storm") // what survives a power cut is for the store's tests
	if err != nil {
		dir = t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	db, err := bolt.Open(filepath.Join(dir, "stepgate.db"), bolt.Options{Now: w.clock.now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	w.attach(db, nil)
	s := &storm{world: w, budget: budget, carriers: [2]*carrier{newCarrier(t, "main", 6, w.clock.now), newCarrier(t, "backup", 7, w.clock.now)}}
	main, err := vonage.NewMessages(vonage.Config{
		APIKey: "abcd1234", APISecret: "secret-of-the-account", From: "EXAMPLE", Transport: s.carriers[0].Client(t).Transport.(*http.Transport), Now: w.clock.now,
	})
	if err != nil {
		t.Fatal(err)
	}
	backup, err := webhook.New(webhook.Config{
		URL: "https://sms.example/sms/json", Auth: webhook.Auth{User: "abcd1234", Password: "secret-of-the-account"}, Body: webhook.BodyForm,
		Fields: []webhook.Field{
			{Name: "from", Value: "EXAMPLE"}, {Name: "to", Value: "{to.digits}"}, {Name: "text", Value: "{text}"}, {Name: "client-ref", Value: "{ref}"},
		},
		Success:   []webhook.Condition{{Of: "json", Path: "messages.0.status", Op: "==", Values: []string{"0"}}},
		ID:        "messages.0.message-id",
		Transport: s.carriers[1].Client(t).Transport, Now: w.clock.now,
	})
	if err != nil {
		t.Fatal(err)
	}
	router, err := failover.New(failover.Config{Providers: []failover.Provider{{Name: "main", Sender: main}, {Name: "backup", Sender: backup}}, Now: w.clock.now})
	if err != nil {
		t.Fatal(err)
	}
	w.gate.SMS = &courier.Courier{Carrier: router, Guard: s.guard(budget)}
	return s
}

// guard returns a guard whose budget is as many messages.
func (s *storm) guard(messages int) *smsguard.Guard {
	s.t.Helper()
	g, err := smsguard.New(smsguard.Config{
		Limits: smsguard.Limits{}, Price: messagePrice, Budgets: []smsguard.Budget{{Max: messagePrice * smsguard.Money(messages), Window: 24 * time.Hour}},
		Conversion: smsguard.Conversion{Off: true}, Now: s.clock.now,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return g
}

// paid returns how many messages are paid for: with a budget for one more, there is room.
func (s *storm) paid() int {
	s.t.Helper()
	return sort.Search(s.budget, func(n int) bool {
		g := s.guard(n + 1)
		c, v, err := g.Charge(s.t.Context(), s.back.Store, s.back.Ring, smsguard.Send{Provider: "probe", To: "+6281234567890", Notice: true})
		if err == nil && v.OK() {
			err = g.Refund(s.t.Context(), s.back.Store, s.back.Ring, c)
		}
		if err != nil {
			s.t.Fatal(err)
		}
		return v.OK()
	})
}

// message is an SMS on a player's phone.
type message struct{ carrier, ref, code string }

var sixDigits = regexp.MustCompile(`\b[0-9]{6}\b`)

// phoneOf returns what arrived at a number, by either provider.
func (s *storm) phoneOf(number string) []message {
	var got []message
	for _, c := range s.carriers {
		for _, m := range c.Outbox() {
			if "+"+m.To == number {
				got = append(got, message{c.name, m.ClientRef, sixDigits.FindString(m.Text)})
			}
		}
	}
	return got
}

// gambler is one player in the storm.
type gambler struct {
	*storm
	name, number, recovery string
	browser                *browser
	// impatient players ask for another message although the first one has arrived.
	impatient bool
	outcomes  map[string]int
}

func (s *storm) gambler(i int) *gambler {
	s.t.Helper()
	g := &gambler{storm: s, name: fmt.Sprintf("player%d", i), number: fmt.Sprintf("+6281%04d77%02d", 2000+i, i%100), outcomes: map[string]int{}}
	s.source.mu.Lock()
	s.source.phones[g.name] = g.number
	s.source.mu.Unlock()
	g.recovery = s.enrolSMS(g.name)
	g.browser = s.browser(g.name)
	return g
}

// timed makes a request, whose answer must come within the time that a player waits at
// most, and returns its page.
func (g *gambler) timed(status int, ask func() *http.Response) string {
	start := time.Now()
	res := ask()
	page := text(g.t, res)
	if took := time.Since(start); took > failover.DefaultTotalTimeout {
		g.t.Errorf("%s had to wait for %s, want %s at most", g.name, took, failover.DefaultTotalTimeout)
	}
	if res.StatusCode != status {
		g.t.Errorf("%s got the status %d, want %d:\n%s", g.name, res.StatusCode, status, page[strings.Index(page, "<main>")+1:])
	}
	return page
}

// look checks that a page says what the player can do, and reports whether it asks for
// the code of an SMS.
func (g *gambler) look(page string) bool {
	says := func(words string) bool { return strings.Contains(page, words) }
	sent := says("We sent a 6-digit code by SMS")
	failed := says("The SMS could not be sent. Use another way below") || says("are not available right now. Use another way below") ||
		says("No more SMS can be sent right now. Enter the last code you received, or use another way below")
	main := page[strings.Index(page, "<main>")+1:]
	switch {
	case !sent && !failed:
		g.t.Errorf("%s is told neither that a code was sent nor that it could not be:\n%s", g.name, main)
	case !says("Use your recovery key"):
		g.t.Errorf("%s is offered no other way:\n%s", g.name, main)
	case failed:
		g.outcomes["told that it could not be sent"]++
	}
	return sent
}

// withdraws wants to withdraw an amount, and asks for a code up to three times. It
// returns the challenge, and the code if one arrived.
func (g *gambler) withdraws(amount string) (id, code string) {
	before := g.phoneOf(g.number)
	page := g.timed(http.StatusUnauthorized, func() *http.Response { return g.browser.withdraw(amount) })
	id = challengeID(g.t, page)
	for sends := 1; ; sends++ {
		asks := g.look(page)
		arrived := slices.DeleteFunc(g.phoneOf(g.number), func(m message) bool { return slices.Contains(before, m) })
		if len(arrived) > 0 && !asks {
			g.t.Errorf("%s has a code, and no page asks for it", g.name)
		}
		g.oneCode(arrived, sends)
		if len(arrived) > 0 {
			code = arrived[0].code
		}
		if sends == 3 || code != "" && (!g.impatient || sends > 1) {
			return id, code
		}
		time.Sleep(time.Minute) // more than one has to wait for another SMS
		page = g.timed(http.StatusUnauthorized, func() *http.Response {
			return g.browser.post(withdraw, challengepages.FieldChallenge, id, challengepages.FieldAction, challengepages.ActionSend)
		})
	}
}

// oneCode checks that all messages of a challenge have the same code, and that no
// provider got one of them twice.
func (g *gambler) oneCode(arrived []message, sends int) {
	seen := map[message]bool{}
	refs := map[string]bool{}
	for _, m := range arrived {
		if m.code == "" || m.code != arrived[0].code {
			g.t.Errorf("%s has messages of one challenge with two codes", g.name)
		}
		if seen[m] {
			g.t.Errorf("%s has the message %s by %s twice", g.name, m.ref, m.carrier)
		}
		seen[m], refs[m.ref] = true, true
	}
	if len(refs) > 1 {
		g.outcomes["two messages with one code"]++
	}
	if len(refs) > sends {
		g.t.Errorf("%s asked for %d messages and has %d", g.name, sends, len(refs))
	}
	if len(arrived) > len(refs) {
		g.outcomes["one message by both providers"]++
	}
}

// passes answers a challenge with the code that arrived, or else by the other way.
func (g *gambler) passes(id, code string) {
	if code != "" {
		g.outcomes["passed by SMS"]++
		g.timed(http.StatusOK, func() *http.Response { return g.browser.answer(withdraw, id, "sms", code) })
		return
	}
	g.outcomes["passed by recovery key"]++
	g.timed(http.StatusOK, func() *http.Response { return g.browser.answer(withdraw, id, "recovery_key", g.recovery) })
	g.timed(http.StatusOK, func() *http.Response {
		return g.browser.post(withdraw, challengepages.FieldChallenge, id, challengepages.FieldAction, challengepages.ActionContinue)
	})
}

// changesMind opens another challenge, by which the first one's code is good no more.
func (g *gambler) changesMind(first, firstCode string) (id, code string) {
	id, code = g.withdraws("9900000")
	if firstCode == "" || firstCode == code {
		return id, code
	}
	g.outcomes["changed the amount"]++
	g.timed(http.StatusGone, func() *http.Response { return g.browser.answer(withdraw, first, "sms", firstCode) })
	g.timed(http.StatusUnprocessableEntity, func() *http.Response { return g.browser.answer(withdraw, id, "sms", firstCode) })
	return id, code
}

// Whatever the providers do, every player has an answer in time that says what to do, no
// message is sent with two codes, and no money is spent but for what may have been sent.
func TestInAStormEveryPlayerHasACodeOrAClearPageInTime(t *testing.T) {
	for _, c := range []struct {
		name            string
		players, budget int
		outcomes        []string // beside the codes that arrive
	}{
		{"money for all", 100, 1000, []string{"one message by both providers", "two messages with one code", "changed the amount", "told that it could not be sent"}},
		{"money for few", 60, 40, []string{"told that it could not be sent", "passed by recovery key"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { ride(t, c.players, c.budget, c.outcomes) })
		})
	}
}

// ride has players come through the storm.
func ride(t *testing.T, players, budget int, outcomes []string) {
	t.Helper()
	s := newStorm(t, budget)
	rng := rand.New(rand.NewPCG(6, 6))
	var wg sync.WaitGroup
	var all []*gambler
	for i := range players {
		g := s.gambler(i)
		g.impatient = i%3 == 1
		all = append(all, g)
		comes := time.Duration(rng.Int64N(int64(8 * time.Minute)))
		if i%5 == 0 {
			comes = time.Minute // many at once
		}
		wg.Go(func() {
			time.Sleep(comes)
			id, code := g.withdraws("2500000")
			if i%4 == 1 {
				id, code = g.changesMind(id, code)
			}
			g.passes(id, code)
		})
	}
	for _, c := range s.carriers { // nobody listens, at one provider and then at both
		wg.Go(func() {
			time.Sleep(45 * time.Second)
			if c.name == "main" {
				time.Sleep(5 * time.Second)
			}
			c.Refuse()
			time.Sleep(20 * time.Second)
			c.Accept()
		})
	}
	wg.Wait()
	time.Sleep(10 * time.Minute) // the hand-overs that hang have ended
	synctest.Wait()
	s.checkMoney()

	seen := map[string]int{}
	for _, g := range all {
		for outcome, n := range g.outcomes {
			seen[outcome] += n
		}
	}
	if hits := s.site.all(); len(hits) != players {
		t.Errorf("the site got %d requests, want one of each of %d players", len(hits), players)
	}
	for _, outcome := range append(outcomes, "passed by SMS") {
		if seen[outcome] == 0 {
			t.Errorf("no player was %q: the test proves less than it says", outcome)
		}
	}
	s.checkEvents(all)
	if budget < players {
		return
	}
	throttled := 0
	for _, w := range weathers {
		n := s.carriers[0].seen[w.name] + s.carriers[1].seen[w.name]
		if n == 0 {
			t.Errorf("the storm had no %q: the test proves less than it says", w.name)
		}
		if w.free {
			throttled += n
		}
	}
	if s.told()["sms.failed not_sent"] <= throttled {
		t.Error("nobody was refused a connection: the test proves less than it says")
	}
	// The sun comes out.
	for _, c := range s.carriers {
		c.mu.Lock()
		c.over = true
		c.mu.Unlock()
	}
	g := s.gambler(players)
	if id, code := g.withdraws("2500000"); code == "" || g.phoneOf(g.number)[0].carrier != "main" {
		t.Error("after the storm a player had no code by the first provider")
	} else {
		g.passes(id, code)
	}
	synctest.Wait()
	s.checkMoney()
}

// told counts what the operator was told of hand-overs.
func (s *storm) told() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	told := map[string]int{}
	for _, e := range s.events {
		if e.Name == audit.SMSAccepted || e.Name == audit.SMSFailed {
			told[strings.TrimSpace(string(e.Name)+" "+e.Reason)]++
		}
	}
	return told
}

// checkMoney checks that exactly the hand-overs are paid for by which a message may have
// been sent, and that each of them was told once.
func (s *storm) checkMoney() {
	s.t.Helper()
	payable, sent := 0, 0
	for _, c := range s.carriers {
		c.mu.Lock()
		payable += c.payable
		c.mu.Unlock()
		sent += len(c.Outbox())
	}
	paid := s.paid()
	if paid != payable || paid > s.budget || sent > paid {
		s.t.Errorf("%d messages are paid for, %d were sent and %d may have been; want those that may have been, at most %d", paid, sent, payable, s.budget)
	}
	told := s.told()
	if told["sms.accepted"]+told["sms.failed unknown"] != paid {
		s.t.Errorf("the operator was told %v, want %d accepted or unknown", told, paid)
	}
	for what := range told {
		if !slices.Contains([]string{"sms.accepted", "sms.failed unknown", "sms.failed not_sent"}, what) {
			s.t.Errorf("the operator was told of %q, which was none of the faults", what)
		}
	}
}

// checkEvents checks that the operator is told no number.
func (s *storm) checkEvents(all []*gambler) {
	s.t.Helper()
	s.mu.Lock()
	told := fmt.Sprintf("%+v", s.events)
	s.mu.Unlock()
	for _, g := range all {
		if strings.Contains(told, g.number[3:]) {
			s.t.Errorf("the events have the number of %s in them", g.name)
		}
	}
}
