package gate_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stepgate/stepgate/challengepages"
	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/internal/courier"
	"github.com/stepgate/stepgate/internal/delivery"
	"github.com/stepgate/stepgate/internal/gate"
	"github.com/stepgate/stepgate/internal/smsguard"
	"github.com/stepgate/stepgate/sms"
	"github.com/stepgate/stepgate/sms/failover"
	"github.com/stepgate/stepgate/sms/vonage"
	"github.com/stepgate/stepgate/sms/vonage/vonagetest"
	"github.com/stepgate/stepgate/store"
)

// reported is a world with two providers: Vonage, which says later what became of a
// message, and a backup, the world's phone, which does not.
type reported struct {
	*world
	vonage *vonagetest.Server
}

func newReported(t *testing.T) reported {
	t.Helper()
	w := newWorld(t)
	v := newVonage(w)
	c := vonageConfig(t, v)
	c.From, c.Callback = "Example", receiptsAt+"vonage"
	messages, err := vonage.NewMessages(c)
	if err != nil {
		t.Fatal(err)
	}
	w.gate.SMS = twoProviders(t, w, messages)
	return reported{w, v}
}

// twoProviders returns a courier by "vonage", and by the world's phone as "backup".
func twoProviders(t *testing.T, w *world, first interface {
	sms.Sender
	sms.Receiver
}) *courier.Courier {
	t.Helper()
	router, err := failover.New(failover.Config{Now: w.clock.now, Providers: []failover.Provider{
		{Name: "vonage", Sender: first, PerSecond: 1e6}, {Name: "backup", Sender: w.phone, PerSecond: 1e6},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return &courier.Courier{Carrier: router, Guard: newGuard(t, w, smsguard.Limits{}), Receivers: map[string]sms.Receiver{"vonage": first}}
}

// last is the message that Vonage took last.
func (r reported) last() vonagetest.Message {
	r.t.Helper()
	all := r.vonage.Outbox()
	if len(all) == 0 {
		r.t.Fatal("Vonage has sent nothing")
	}
	return all[len(all)-1]
}

// tells has Vonage report on a message, and checks the answer.
func (r reported) tells(m vonagetest.Message, report vonagetest.Report, want int) {
	r.t.Helper()
	if got, err := r.vonage.Report(r.t.Context(), m, report); err != nil || got != want {
		r.t.Errorf("the report %+v was answered %d, %v; want %d", report, got, err, want)
	}
}

var undeliverable = vonagetest.Report{Status: "undeliverable", Code: "1180"}

// challengePage is what a player sees who opens the challenge again.
func (b *browser) challengePage(id string) string {
	return text(b.w.t, b.get("/.stepgate/challenges/"+id))
}

// wantUndelivered checks whether a challenge page says that the SMS did not arrive.
func wantUndelivered(t *testing.T, page string, want bool) {
	t.Helper()
	if got := strings.Contains(page, saysUndelivered); got != want {
		t.Errorf("the page says that the SMS did not arrive: %v, want %v", got, want)
	}
}

func TestAReportThatAnSMSFailedAllowsTheNextAtOnceAndByAnotherProvider(t *testing.T) {
	w := newReported(t)
	w.enrolSMS("budi")
	b := w.browser("budi")
	id := challengeID(t, text(t, b.withdraw("100000")))
	first := w.last()
	wantUndelivered(t, b.challengePage(id), false)
	wantStatus(t, b.act(withdraw, id, challengepages.ActionSend), http.StatusUnprocessableEntity) // too soon

	w.tells(first, undeliverable, http.StatusOK)
	page := b.challengePage(id)
	wantUndelivered(t, page, true)
	if strings.Contains(page, `data-wait="`) {
		t.Errorf("the page makes the player wait:\n%s", page)
	}
	wantUndelivered(t, text(t, b.act(withdraw, id, challengepages.ActionSend)), false)
	if len(w.vonage.Outbox()) != 1 || w.phone.count() != 1 {
		t.Fatalf("Vonage sent %d SMS and the backup %d, want one each", len(w.vonage.Outbox()), w.phone.count())
	}
	// Once for each SMS: the same report again, or another one of it, unlocks nothing more.
	w.tells(first, undeliverable, http.StatusOK)
	w.tells(first, vonagetest.Report{Status: "rejected"}, http.StatusOK)
	wantUndelivered(t, b.challengePage(id), false)
	wantStatus(t, b.act(withdraw, id, challengepages.ActionSend), http.StatusUnprocessableEntity)
	if w.phone.count() != 1 {
		t.Error("a second report sent an SMS")
	}
	// What did not arrive may have arrived all the same: receipts lie.
	wantStatus(t, b.answer(withdraw, id, "sms", w.phone.last(t).Code), http.StatusOK)
	wantHits(t, w.world, 1)
	w.tells(first, undeliverable, http.StatusOK)
}

func TestReportsOfFailureGiveNoMoreSMSThanOtherwise(t *testing.T) {
	w := newReported(t)
	// Vonage carries all of them.
	w.gate.SMS.Carrier = onlyFirst(t, w.world, w.gate.SMS.Receivers["vonage"].(sms.Sender))
	w.enrolSMS("budi")
	b := w.browser("budi")
	id := challengeID(t, text(t, b.withdraw("100000")))
	for range 5 {
		w.tells(w.last(), undeliverable, http.StatusOK)
		b.act(withdraw, id, challengepages.ActionSend)
	}
	if n := len(w.vonage.Outbox()); n != delivery.MaxSends {
		t.Errorf("%d SMS were sent, want %d", n, delivery.MaxSends)
	}
	// Nothing more can be sent; the page still says why the player waits in vain.
	page := b.challengePage(id)
	wantUndelivered(t, page, true)
	if strings.Contains(page, `value="send"`) {
		t.Error("the page offers another SMS")
	}
}

// onlyFirst is a carrier of one provider under the name "vonage".
func onlyFirst(t *testing.T, w *world, by sms.Sender) courier.Carrier {
	t.Helper()
	router, err := failover.New(failover.Config{Now: w.clock.now, Providers: []failover.Provider{{Name: "vonage", Sender: by, PerSecond: 1e6}}})
	if err != nil {
		t.Fatal(err)
	}
	return router
}

func TestReportsThatAreNotOfFailureChangeNothing(t *testing.T) {
	for _, status := range []string{"submitted", "delivered", "accepted"} {
		t.Run(status, func(t *testing.T) {
			w := newReported(t)
			w.enrolSMS("budi")
			b := w.browser("budi")
			id := challengeID(t, text(t, b.withdraw("100000")))
			before := b.challengePage(id)
			w.tells(w.last(), vonagetest.Report{Status: status}, http.StatusOK)
			if b.challengePage(id) != before {
				t.Error("the page changed")
			}
			wantStatus(t, b.act(withdraw, id, challengepages.ActionSend), http.StatusUnprocessableEntity)
		})
	}
}

// A phone that has the code needs no other, whatever is reported later or was before.
func TestAnSMSThatArrivedIsNotSaidToHaveFailedLater(t *testing.T) {
	w := newReported(t)
	w.enrolSMS("budi")
	b := w.browser("budi")
	id := challengeID(t, text(t, b.withdraw("100000")))
	w.tells(w.last(), vonagetest.Report{Status: "delivered"}, http.StatusOK)
	w.tells(w.last(), undeliverable, http.StatusOK)
	wantUndelivered(t, b.challengePage(id), false)
}

func TestAReportThatBeatsTheAnswerOfItsSendCounts(t *testing.T) {
	w := newReported(t)
	w.enrolSMS("budi")
	b := w.browser("budi")
	w.vonage.Next(vonagetest.Behaviour{Before: []vonagetest.Report{undeliverable}})
	page := text(t, b.withdraw("100000"))
	if d := w.vonage.Deliveries(); len(d) != 1 || d[0].Status != http.StatusOK {
		t.Fatalf("the report was answered %+v", d)
	}
	wantUndelivered(t, page, true)
	wantStatus(t, b.act(withdraw, challengeID(t, page), challengepages.ActionSend), http.StatusUnauthorized)
	if w.phone.count() != 1 {
		t.Error("the next SMS did not go by the backup")
	}
}

func TestAReportUnlocksItsOwnChallengeOnly(t *testing.T) {
	w := newReported(t)
	w.enrolSMS("budi")
	w.enrolSMS("sari")
	b, other := w.browser("budi"), w.browser("sari")
	id := challengeID(t, text(t, b.withdraw("100000")))
	theirs := challengeID(t, text(t, other.withdraw("100000")))
	mine := challengeID(t, text(t, b.get("/statement"))) // another one of the same player
	w.tells(w.vonage.Outbox()[1], undeliverable, http.StatusOK)
	wantUndelivered(t, b.challengePage(id), false)
	wantUndelivered(t, b.challengePage(mine), false)
	wantUndelivered(t, other.challengePage(theirs), true)
}

func TestAReportAfterTheEndIsHarmless(t *testing.T) {
	for name, end := range map[string]func(w reported, b *browser, id string){
		"passed": func(w reported, b *browser, id string) {
			wantStatus(t, b.answer(withdraw, id, "sms", codeIn(w.last().Text)), http.StatusOK)
		},
		"cancelled":           func(w reported, b *browser, id string) { b.act(withdraw, id, challengepages.ActionCancel) },
		"expired":             func(w reported, _ *browser, _ string) { w.clock.add(15 * time.Minute) },
		"gone":                func(w reported, _ *browser, _ string) { w.clock.add(40 * time.Minute) },
		"the message is gone": func(w reported, _ *browser, _ string) { w.clock.add(2 * time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newReported(t)
			w.enrolSMS("budi")
			b := w.browser("budi")
			id := challengeID(t, text(t, b.withdraw("100000")))
			end(w, b, id)
			hits := len(w.site.all())
			w.tells(w.last(), undeliverable, http.StatusOK)
			wantHits(t, w.world, hits)
			page := b.challengePage(id)
			wantUndelivered(t, page, false)
		})
	}
}

// codeIn finds the code in the text of an SMS.
func codeIn(text string) string {
	i := strings.IndexAny(text, "0123456789")
	return text[i : i+6]
}

// A new challenge for a number goes another way for ten minutes, also of another player
// with the same number; another number does not.
func TestAProviderThatFailedForANumberIsAvoidedForIt(t *testing.T) {
	w := newReported(t)
	w.source.phones["sari"] = w.source.phones["agus"]
	w.enrolSMS("budi")
	w.enrolSMS("sari")
	b := w.browser("budi")
	b.withdraw("100000")
	w.tells(w.last(), undeliverable, http.StatusOK)

	b.withdraw("200000")
	if w.phone.count() != 1 {
		t.Error("a new challenge goes by the provider that has just failed")
	}
	w.browser("sari").withdraw("100000")
	if w.phone.count() != 1 || len(w.vonage.Outbox()) != 2 {
		t.Error("another number is kept from the provider as well")
	}
	w.clock.add(10*time.Minute + time.Second)
	b.withdraw("300000")
	if len(w.vonage.Outbox()) != 3 {
		t.Error("after ten minutes the provider is still avoided")
	}
	// It is the last choice, and not none.
	w.tells(w.last(), undeliverable, http.StatusOK)
	w.phone.err = &sms.Error{Class: sms.NotSent, Err: errDown}
	b.withdraw("400000")
	if len(w.vonage.Outbox()) != 4 {
		t.Error("the provider is not even tried where the other one is down")
	}
}

func TestForgedReportsChangeNothing(t *testing.T) {
	for name, forge := range map[string]func(r *http.Request) *http.Request{
		"unsigned": func(r *http.Request) *http.Request { r.Header.Del("Authorization"); return r },
		"another body": func(r *http.Request) *http.Request {
			body, _ := io.ReadAll(r.Body)
			r.Body = io.NopCloser(bytes.NewReader(append(body, ' ')))
			return r
		},
		"another token": func(r *http.Request) *http.Request {
			r.Header.Set("Authorization", r.Header.Get("Authorization")+"x")
			return r
		},
		"by GET": func(r *http.Request) *http.Request { r.Method = http.MethodGet; return r },
	} {
		t.Run(name, func(t *testing.T) {
			w := newReported(t)
			w.enrolSMS("budi")
			b := w.browser("budi")
			id := challengeID(t, text(t, b.withdraw("100000")))
			before := b.challengePage(id)
			request, err := w.vonage.Callback(w.last(), undeliverable)
			if err != nil {
				t.Fatal(err)
			}
			// Told to try again: a fault of the provider's own may have left the signature out.
			wantStatus(t, w.receipt(forge(request)), http.StatusServiceUnavailable)
			if b.challengePage(id) != before {
				t.Error("the page changed")
			}
			if !w.saw(audit.SMSForged) {
				t.Error("no event tells of it")
			}
		})
	}
}

// receipt sends a callback to the gate.
func (w *world) receipt(r *http.Request) *http.Response {
	w.t.Helper()
	res, err := callbacks{w}.RoundTrip(r)
	if err != nil {
		w.t.Fatal(err)
	}
	return res
}

func TestWhereReceiptsAreTaken(t *testing.T) {
	w := newReported(t)
	w.enrolSMS("budi")
	w.browser("budi").withdraw("100000")
	callback := func(target string) *http.Request {
		r, err := w.vonage.Callback(w.last(), undeliverable)
		if err != nil {
			t.Fatal(err)
		}
		r.URL.Path = target
		return r
	}
	const at = "/.stepgate/sms/receipts/"
	for _, c := range []struct {
		name   string
		target string
		change func(r *http.Request)
		want   int
	}{
		{"its name", at + "vonage", nil, http.StatusOK},
		{"a token that it needs not", at + "vonage/abc", nil, http.StatusOK},
		{"no content type", at + "vonage", func(r *http.Request) { r.Header.Del("Content-Type") }, http.StatusOK},
		{"a wrong content type", at + "vonage", func(r *http.Request) { r.Header.Set("Content-Type", "image/png") }, http.StatusOK},
		{"a foreign origin", at + "vonage", func(r *http.Request) {
			r.Header.Set("Origin", "https://evil.example")
			r.Header.Set("Sec-Fetch-Site", "cross-site")
		}, http.StatusOK},
		{"another name", at + "other", nil, http.StatusNotFound},
		{"one that takes none", at + "backup", nil, http.StatusNotFound},
		{"no name", at, nil, http.StatusNotFound},
		{"PUT", at + "vonage", func(r *http.Request) { r.Method = http.MethodPut }, http.StatusMethodNotAllowed},
		{"HEAD", at + "vonage", func(r *http.Request) { r.Method = http.MethodHead }, http.StatusMethodNotAllowed},
		{"a long body", at + "vonage", func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader(strings.Repeat("a", 64<<10+1))) }, http.StatusRequestEntityTooLarge},
		{"a body of just the length", at + "vonage", func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader(strings.Repeat("a", 64<<10))) }, http.StatusServiceUnavailable},
	} {
		r := callback(c.target)
		if c.change != nil {
			c.change(r)
		}
		if res := w.receipt(r); res.StatusCode != c.want {
			t.Errorf("%s: %d, want %d", c.name, res.StatusCode, c.want)
		}
	}
	w.gate.SMS = nil
	if res := w.receipt(callback(at + "vonage")); res.StatusCode != http.StatusNotFound {
		t.Errorf("without SMS: %d, want 404", res.StatusCode)
	}
}

// The provider repeats what was answered 503, and then it counts.
func TestAReportThatMetABrokenStoreCountsWhenItComesAgain(t *testing.T) {
	t.Run("down", func(t *testing.T) {
		w := newReported(t)
		w.enrolSMS("budi")
		b := w.browser("budi")
		id := challengeID(t, text(t, b.withdraw("100000")))
		w.down = errDown
		w.tells(w.last(), undeliverable, http.StatusServiceUnavailable)
		w.down = nil
		wantUndelivered(t, b.challengePage(id), false)
		w.tells(w.last(), undeliverable, http.StatusOK)
		wantUndelivered(t, b.challengePage(id), true)
	})
	// Each write that a report makes fails once.
	for _, kind := range []string{"sms_message", "sms_way", "challenge"} {
		t.Run(kind, func(t *testing.T) {
			w := newReported(t)
			w.enrolSMS("budi")
			b := w.browser("budi")
			id := challengeID(t, text(t, b.withdraw("100000")))
			sound := w.back
			w.back = w.failing(kind)
			w.tells(w.last(), undeliverable, http.StatusServiceUnavailable)
			w.back = sound
			wantUndelivered(t, b.challengePage(id), false)
			w.tells(w.last(), undeliverable, http.StatusOK)
			wantUndelivered(t, b.challengePage(id), true)
			b.withdraw("200000")
			if w.phone.count() != 1 {
				t.Error("the provider is not avoided")
			}
		})
	}
}

// failing is the world's backend over a store that writes no records of a kind.
func (w *world) failing(kind string) *gate.Backend {
	w.t.Helper()
	b, err := gate.NewBackend(failingStore{w.back.Store, kind}, w.back.Ring, rand.Reader, w.clock.now)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(b.Close)
	return b
}

func TestAReportOfASetUpAllowsTheNextSMSAtOnce(t *testing.T) {
	w := newReported(t)
	secret, _ := w.enrolTOTP("sari")
	b := w.browser("sari")
	b.get("/account/security")
	page := text(t, b.settle("/sms", "totp", w.totp(secret), challengepages.FieldPhone, secondNumber))
	setup := match(t, setupPattern, page)
	wantUndelivered(t, page, false)
	again := func() *http.Response { return b.post(security+"/sms/send", challengepages.FieldSetup, setup) }
	wantStatus(t, again(), http.StatusUnprocessableEntity) // too soon
	w.tells(w.last(), undeliverable, http.StatusOK)
	wantStatus(t, again(), http.StatusOK)
	if w.phone.count() != 1 {
		t.Error("the next SMS did not go by the backup")
	}
	wantStatus(t, again(), http.StatusUnprocessableEntity)
	w.tells(w.last(), undeliverable, http.StatusOK)
	wantStatus(t, again(), http.StatusUnprocessableEntity)

	// Of one that takes the place of it nothing was reported; one that was comes to its page.
	w.clock.add(10*time.Minute + time.Second)
	w.vonage.Next(vonagetest.Behaviour{Before: []vonagetest.Report{undeliverable}})
	page = text(t, b.settle("/sms", "totp", w.totp(secret), challengepages.FieldPhone, secondNumber))
	wantUndelivered(t, page, true)
	wantStatus(t, b.confirmSMS(match(t, setupPattern, page), codeIn(w.last().Text)), http.StatusSeeOther)
	w.wantPhone("sari", secondNumber)
	w.tells(w.last(), undeliverable, http.StatusOK) // it is bound, and the report is late
}

func TestAReportThatAManagedCodeFailedAllowsTheNextAtOnce(t *testing.T) {
	m := newManaged(t)
	m.enrolSMS("budi")
	b := m.browser("budi")
	id := challengeID(t, text(t, b.withdraw("100000")))
	first := m.started()[0]
	for _, harmless := range []vonagetest.Report{{Status: "failed"}, {Status: "expired", Summary: true}, {Status: "completed", Summary: false}} {
		if got, err := m.vonage.Report(t.Context(), first, harmless); err != nil || got != http.StatusOK {
			t.Errorf("the report %+v was answered %d, %v", harmless, got, err)
		}
	}
	wantUndelivered(t, b.challengePage(id), false)
	if got, err := m.vonage.Report(t.Context(), first, vonagetest.Report{Status: "blocked", Summary: true}); err != nil || got != http.StatusOK {
		t.Errorf("the report was answered %d, %v", got, err)
	}
	wantUndelivered(t, b.challengePage(id), true)
	wantUndelivered(t, text(t, b.act(withdraw, id, challengepages.ActionSend)), false)
	m.wants(2, 0, 1)
	wantStatus(t, b.answer(withdraw, id, "sms", m.lastCode()), http.StatusOK)
	wantHits(t, m.world, 1)
}

func TestAScriptIsToldOfAnSMSThatFailed(t *testing.T) {
	w := newReported(t)
	w.enrolSMS("budi")
	b := w.script("budi")
	p := decode(t, b.json("POST", api, body(100000)))
	if p.Challenge.SMS != "sent" {
		t.Errorf("sms = %q, want sent", p.Challenge.SMS)
	}
	w.tells(w.last(), undeliverable, http.StatusOK)
	if got := decode(t, b.get(p.Challenge.URL)).Challenge.SMS; got != "undelivered" {
		t.Errorf("sms = %q, want undelivered", got)
	}
	wantStatus(t, b.json("POST", p.Challenge.URL+"/send", "{}"), http.StatusAccepted)
	if got := decode(t, b.get(p.Challenge.URL)).Challenge.SMS; got != "sent" {
		t.Errorf("sms = %q, want sent", got)
	}
	wantStatus(t, b.json("POST", p.Challenge.URL+"/send", "{}"), http.StatusTooManyRequests)
	wantStatus(t, b.json("POST", p.Challenge.URL+"/cancel", "{}"), http.StatusOK)
	if got := decode(t, b.get(p.Challenge.URL)).Challenge.SMS; got != "" {
		t.Errorf("sms = %q of a challenge that has ended", got)
	}
}

// Receipts of the SMS API come unsigned to an address that nobody can guess.
func TestUnsignedReceiptsProveThemselvesByTheirAddress(t *testing.T) {
	const token = "0123456789abcdef0123456789abcdef"
	for _, shape := range []vonagetest.Shape{vonagetest.Query, vonagetest.Form, vonagetest.JSON} {
		t.Run(string(shape), func(t *testing.T) {
			w := newWorld(t)
			v := vonagetest.New(vonagetest.Options{Key: vonageKey, Secret: vonageSecret, Now: w.clock.now, ReceiptShape: shape, Transport: callbacks{w}})
			sender, err := vonage.NewSMS(vonage.Config{
				APIKey: vonageKey, APISecret: vonageSecret, From: "Example", Callback: receiptsAt + "vonage", ReceiptToken: token,
				Transport: v.Client(t).Transport.(*http.Transport),
			})
			if err != nil {
				t.Fatal(err)
			}
			w.gate.SMS = twoProviders(t, w, sender)
			r := reported{w, v}
			w.enrolSMS("budi")
			b := w.browser("budi")
			id := challengeID(t, text(t, b.withdraw("100000")))
			for _, wrong := range []string{"", "/", "/" + token[1:], "/" + token + "/", "/x/" + token} {
				request, err := v.Callback(r.last(), vonagetest.Report{Status: "failed", Code: "99"})
				if err != nil {
					t.Fatal(err)
				}
				request.URL.Path = "/.stepgate/sms/receipts/vonage" + wrong
				wantStatus(t, w.receipt(request), http.StatusServiceUnavailable)
			}
			wantUndelivered(t, b.challengePage(id), false)
			r.tells(r.last(), vonagetest.Report{Status: "failed", Code: "99"}, http.StatusOK)
			wantUndelivered(t, b.challengePage(id), true)
		})
	}
}

// Whoever asks for codes must not learn from the answers what is known of a number
// (invariant I11): limits, barred prefixes and dead providers look the same.
func TestInvariantI11AnSMSThatIsNotSentHasNoCause(t *testing.T) {
	limited := func(scope smsguard.Scope) func(w *world) {
		return func(w *world) {
			w.gate.SMS.Guard = newGuard(w.t, w, smsguard.Limits{scope: {{Max: 1, Window: time.Hour}}})
			w.browser("budi").withdraw("1") // uses it up
		}
	}
	failing := func(class sms.Class) func(w *world) {
		return func(w *world) { w.phone.err = &sms.Error{Class: class, Err: errDown} }
	}
	var said, by string
	for name, refuse := range map[string]func(w *world){
		"the number's limit": limited(smsguard.PerNumber), "the account's limit": limited(smsguard.PerAccount),
		"the address's limit": limited(smsguard.PerAddress), "the site's limit": limited(smsguard.PerAll),
		"a dead provider": failing(sms.NotSent), "a barred number": failing(sms.BadNumber),
		"a filter for fraud": failing(sms.Policy), "no credit": failing(sms.Account), "a defect": failing(sms.BadRequest),
	} {
		w := newWorld(t)
		w.enrolSMS("budi")
		refuse(w)
		script, page := w.script("budi"), w.browser("budi")
		var all strings.Builder
		opened := script.json("POST", api, body(100000))
		p := decode(t, opened)
		w.clock.add(time.Minute)
		for _, res := range []*http.Response{
			script.get(p.Challenge.URL), script.json("POST", p.Challenge.URL+"/send", "{}"), script.json("POST", p.Challenge.URL+"/send", "{}"),
		} {
			_, _ = fmt.Fprintln(&all, res.StatusCode, res.Header.Get("Retry-After"), strings.ReplaceAll(text(t, res), p.Challenge.ID, "ID"))
		}
		res := page.withdraw("100000")
		html := text(t, res)
		_, _ = fmt.Fprintln(&all, res.StatusCode, strings.ReplaceAll(html, challengeID(t, html), "ID"))
		says(t, html, saysNotSent)
		if !strings.Contains(all.String(), "urn:stepgate:problem:not-sent") {
			t.Errorf("%s: the answers are\n%s", name, all.String())
		}
		if said == "" {
			said, by = all.String(), name
		}
		if all.String() != said {
			t.Errorf("%s is told from %s:\n%s\n%s", name, by, all.String(), said)
		}
	}
}

// failingStore is a store that writes no records of one kind.
type failingStore struct {
	store.Store
	kind string
}

func (s failingStore) Update(ctx context.Context, key store.Key, change store.Change) error {
	if strings.HasPrefix(string(key), s.kind+"/") {
		return errDown
	}
	return s.Store.Update(ctx, key, change)
}
