package gate_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stepgate/stepgate/challengepages"
	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/alias"
	"github.com/stepgate/stepgate/policy"
	"github.com/stepgate/stepgate/store"
)

const reset = "/password/reset"

// newNamed is a world with a password reset, and with players who are known by name: sari
// has an authenticator, budi gets SMS, agus has a phone at the site only, dewi nothing.
func newNamed(t *testing.T, alter ...func(*policy.Rule)) (w *world, sari []byte) {
	t.Helper()
	rule := policy.Rule{
		Name: "password_reset", Paths: []string{reset}, Methods: []string{"POST"}, SingleUse: true,
		NamedBy:    []policy.Naming{{Source: policy.FromForm, Name: "email"}, {Source: policy.FromJSON, Name: "email"}},
		Unenrolled: policy.UnenrolledRegisteredPhone,
	}
	for _, change := range alter {
		change(&rule)
	}
	w = newWorldWith(t, rule)
	sari, _ = w.enrolTOTP("sari")
	w.enrolSMS("budi")
	for name, phone := range w.source.phones {
		n := alias.Names{Login: name, Email: name + "@example.com", Phone: phone}
		if err := w.back.Aliases.Import(context.Background(), "id-"+name, n); err != nil {
			t.Fatal(err)
		}
	}
	w.clock.add(time.Hour)
	return w, sari
}

func (b *browser) reset(email string) *http.Response { return b.post(reset, "email", email) }

// settled waits until no SMS is on its way any more: they are sent beside the answer.
func (w *world) sentSince(before, want int) {
	w.t.Helper()
	for range 2000 {
		if w.phone.count()-before >= want {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if got := w.phone.count() - before; got != want {
		w.t.Fatalf("%d SMS were sent, want %d", got, want)
	}
}

func TestAPasswordResetAsksForTheAccountsFactor(t *testing.T) {
	w, secret := newNamed(t)
	b := w.browser("")
	id := challengeID(t, text(t, b.reset("Sari@Example.com")))
	wantHits(t, w, 0)
	wantStatus(t, b.answer(reset, id, "totp", w.totp(secret)), http.StatusOK)
	hits := w.site.all()
	if len(hits) != 1 || hits[0].body != form("email", "Sari@Example.com") {
		t.Fatalf("the site got %+v", hits)
	}
	// By SMS, which is asked for: the first factor of the page is another.
	sent := w.phone.count()
	b = w.browser("")
	id = challengeID(t, text(t, b.reset("budi")))
	w.sentSince(sent, 0)
	page := text(t, b.post(reset, challengepages.FieldChallenge, id, challengepages.FieldAction, challengepages.ActionUse, challengepages.FieldFactor, "sms"))
	if strings.Contains(page, "7890") {
		t.Error("the page shows the phone")
	}
	w.sentSince(sent, 1)
	wantStatus(t, b.answer(reset, id, "sms", w.phone.last(t).Code), http.StatusOK)
	wantHits(t, w, 2)
	// A player without a factor: by the phone that the site knows.
	b = w.browser("")
	id = challengeID(t, text(t, b.reset("agus")))
	b.post(reset, challengepages.FieldChallenge, id, challengepages.FieldAction, challengepages.ActionUse, challengepages.FieldFactor, "sms")
	w.sentSince(sent, 2)
	wantStatus(t, b.answer(reset, id, "sms", w.phone.last(t).Code), http.StatusOK)
	wantHits(t, w, 3)
	// Over JSON.
	app := w.script("")
	ch := decode(t, app.json("POST", reset, `{"email":"sari"}`)).Challenge
	w.clock.add(time.Minute)
	wantStatus(t, app.json("POST", ch.URL, `{"factor":"totp","code":"`+w.totp(secret)+`"}`), http.StatusOK)
	r := app.request("POST", reset, "application/json", `{"email":"sari"}`)
	r.Header.Set("Step-Up-Challenge", ch.ID)
	wantStatus(t, app.do(r), http.StatusOK)
	wantHits(t, w, 4)
}

// alike replaces what differs from challenge to challenge.
var alike = regexp.MustCompile(`[A-Za-z0-9_-]{22}|\d\d:\d\d(:\d\d)?|nonce-[^']*`)

// I11: for every name each step looks alike: status, headers, what is said and how long it
// is.
func TestInvariantI11AttackResetEnumeration(t *testing.T) {
	w, _ := newNamed(t)
	type seen struct{ what, got string }
	walk := func(name string) []seen {
		var all []seen
		look := func(what string, res *http.Response) string {
			body := text(t, res)
			head := fmt.Sprint(res.StatusCode, res.Header.Get("Retry-After"), len(res.Cookies()), res.Header.Get("Content-Type"), res.Header.Get("Www-Authenticate"))
			all = append(all, seen{what, head + alike.ReplaceAllString(strings.ReplaceAll(body, url.QueryEscape(name), "NAME"), "X")})
			return body
		}
		b := w.browser("")
		id := challengeID(t, look("page", b.reset(name+"@example.com")))
		use := []string{challengepages.FieldChallenge, id, challengepages.FieldAction, challengepages.ActionUse, challengepages.FieldFactor}
		for _, f := range []string{"sms", "totp", "recovery_key"} {
			look("use "+f, b.post(reset, append(use, f)...))
		}
		look("state", b.get("/.stepgate/challenges/"+id))
		look("resend", b.post(reset, challengepages.FieldChallenge, id, challengepages.FieldAction, challengepages.ActionSend))
		look("wrong sms", b.answer(reset, id, "sms", "000000"))
		look("wrong totp", b.answer(reset, id, "totp", "000000"))
		look("wrong key", b.answer(reset, id, "recovery_key", "AAAA-AAAA-AAAA-AAAA-AAAA-AAAA-AA"))
		look("malformed", b.answer(reset, id, "totp", "1"))
		for range 3 {
			look("used up", b.answer(reset, id, "totp", "000000"))
		}
		app := w.script("")
		p := decode(t, app.json("POST", reset, `{"email":"`+name+`@example.com"}`))
		all = append(all, seen{"app", fmt.Sprint(p.Challenge.Factors, p.Challenge.SMS, p.Challenge.SentTo, p.Challenge.AttemptsLeft)})
		res := app.json("POST", p.Challenge.URL+"/send", "")
		look("app send", res)
		for range 12 {
			look("many", w.browser("").reset(name+"@example.com"))
		}
		return all
	}
	want := walk("nobody")
	for _, name := range []string{"sari", "budi", "agus", "dewi", "stranger"} {
		w.clock.add(2 * time.Hour) // the limit by address is another test's
		got := walk(name)
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("%s, %s:\n%s\nwhere nobody gets\n%s", name, got[i].what, got[i].got, want[i].got)
			}
		}
	}
	wantHits(t, w, 0)
}

// A reset is no SMS bomb: neither for one number, nor from one address; nor does it use up
// what the owner may have.
func TestAttackResetBombing(t *testing.T) {
	w, _ := newNamed(t, func(r *policy.Rule) { r.Factors = []policy.Factor{policy.SMS, policy.TOTP} })
	sent := w.phone.count()
	limited := 0
	for i := range 40 {
		b := w.browser("")
		r := b.request("POST", reset, formType, form("email", "budi", "n", fmt.Sprint(i)))
		r.RemoteAddr = fmt.Sprintf("198.51.100.%d:4711", i)
		if b.do(r).StatusCode == http.StatusTooManyRequests {
			limited++
		}
	}
	w.sentSince(sent, 10)
	if limited != 30 {
		t.Errorf("%d of 40 were refused, want 30", limited)
	}
	for i := range 100 {
		b := w.browser("")
		if b.reset(fmt.Sprintf("player%d@example.com", i)).StatusCode == http.StatusTooManyRequests {
			if i != 60 {
				t.Errorf("one address is refused after %d names, want 60", i)
			}
			return
		}
	}
	t.Error("one address asks for any number of names")
}

// A challenge for a name is answered in its own browser only, opens nothing else, and one of
// a session is not reached without it.
func TestAChallengeForANameIsItsBrowsersAlone(t *testing.T) {
	w, secret := newNamed(t)
	victim := w.browser("")
	id := challengeID(t, text(t, victim.reset("sari")))
	thief := w.browser("")
	thief.get(reset)
	thief.reset("budi") // gives him a browser's secret
	wantStatus(t, thief.answer(reset, id, "totp", w.totp(secret)), http.StatusForbidden)
	wantStatus(t, w.browser("sari").answer(reset, id, "totp", w.totp(secret)), http.StatusForbidden)
	wantHits(t, w, 1) // the GET
	// The other way round.
	player := w.browser("sari")
	mine := challengeID(t, text(t, player.get("/statement")))
	stolen := player.with("")
	wantStatus(t, stolen.get("/.stepgate/challenges/"+mine), http.StatusUnauthorized)
	wantStatus(t, stolen.answer("/statement", mine, "totp", w.totp(secret)), http.StatusUnauthorized)
	wantStatus(t, player.get("/statement"), http.StatusUnauthorized)
	// Answered by its own browser it opens this one request.
	wantStatus(t, victim.answer(reset, id, "totp", w.totp(secret)), http.StatusOK)
	wantHits(t, w, 2)
	wantStatus(t, victim.reset("sari"), http.StatusUnauthorized)
	wantStatus(t, victim.reset("budi"), http.StatusUnauthorized)
	wantStatus(t, victim.with("sari").get("/statement"), http.StatusUnauthorized)
}

// The session of one player does not speak for the account that is named.
func TestAttackTheSessionOfOneAndTheNameOfAnother(t *testing.T) {
	w, secret := newNamed(t)
	thief := w.browser("budi")
	id := challengeID(t, text(t, thief.reset("sari")))
	sent := w.phone.count()
	wantStatus(t, thief.answer(reset, id, "sms", "000000"), http.StatusUnprocessableEntity)
	w.sentSince(sent, 0)
	wantHits(t, w, 0)
	// Two names, or none, are refused for everybody.
	for _, body := range []string{form("email", "budi", "email", "sari"), form("email", "budi", "EMAIL", "sari"), form("email", " "), form("name", "sari"), form("email[]", "budi", "email", "sari")} {
		wantStatus(t, thief.do(thief.request("POST", reset, formType, body)), http.StatusBadRequest)
	}
	wantHits(t, w, 0)
	// Another name under the same approval is another request.
	app := w.script("")
	ch := decode(t, app.json("POST", reset, `{"email":"sari"}`)).Challenge
	wantStatus(t, app.json("POST", ch.URL, `{"factor":"totp","code":"`+w.totp(secret)+`"}`), http.StatusOK)
	r := app.request("POST", reset, "application/json", `{"email":"budi"}`)
	r.Header.Set("Step-Up-Challenge", ch.ID)
	wantStatus(t, app.do(r), http.StatusUnauthorized)
	wantHits(t, w, 0)
}

// From a browser that the account trusts the reset goes through.
func TestATrustedBrowserResetsThePassword(t *testing.T) {
	w, secret := newNamed(t)
	trusted := w.browser("sari")
	trusted.trust(secret)
	before := len(w.site.all())
	wantStatus(t, trusted.with("").reset("sari@example.com"), http.StatusOK)
	wantStatus(t, trusted.with("").reset("budi@example.com"), http.StatusUnauthorized)
	wantHits(t, w, before+1)
}

// Names are learned from what the site says of a session, and are nobody's once two
// players claim them.
func TestNamesAreLearnedFromSessions(t *testing.T) {
	w, secret := newNamed(t)
	w.source.phones["tono"] = ""
	w.enrolTOTP("tono")
	b := w.browser("")
	id := challengeID(t, text(t, b.reset("tono")))
	wantStatus(t, w.browser("tono").get("/statement"), http.StatusUnauthorized) // learned now
	if _, err := w.back.Aliases.Resolve(t.Context(), alias.Query{Text: "tono"}); err != nil {
		t.Errorf("Resolve = %v", err)
	}
	wantStatus(t, b.answer(reset, id, "totp", w.totp(secret)), http.StatusUnprocessableEntity)
	if a := w.account("tono"); len(a.Strangers) != 0 {
		t.Error("what was opened for nobody is counted for somebody")
	}
}

// A hundred wrong codes for a name close nothing to who has a session.
func TestGuessesForANameCloseNothingToTheOwner(t *testing.T) {
	w, secret := newNamed(t)
	for range account.DisableAfter {
		b := w.browser("")
		b.answer(reset, challengeID(t, text(t, b.reset("sari"))), "totp", "000000")
		w.clock.add(time.Hour)
	}
	b := w.browser("sari")
	id := challengeID(t, text(t, b.get("/totp-only")))
	wantStatus(t, b.answer("/totp-only", id, "totp", w.totp(secret)), http.StatusSeeOther)
}

// operations counts what a store is asked to do.
type operations struct {
	store.Store
	mu   sync.Mutex
	done map[string]int
}

func (o *operations) count(what string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.done[what]++
}

func (o *operations) Get(ctx context.Context, key store.Key) (store.Record, error) {
	o.count("get")
	return o.Store.Get(ctx, key)
}

func (o *operations) Update(ctx context.Context, key store.Key, change store.Change) error {
	o.count("update")
	return o.Store.Update(ctx, key, change)
}

func (o *operations) Add(ctx context.Context, key store.Key, n int64, window time.Duration) (int64, error) {
	o.count("add")
	return o.Store.Add(ctx, key, n, window)
}

// I11: how long an answer takes is what the store does for it, and that is the same for
// every name. (What an SMS costs comes beside the answer.)
func TestInvariantI11AttackResetEnumerationByTime(t *testing.T) {
	w, _ := newNamed(t)
	counted := &operations{Store: w.back.Store, done: map[string]int{}}
	w.attach(counted, w.back.Ring)
	steps := map[string]string{}
	for _, name := range []string{"nobody", "sari", "budi", "agus", "dewi"} {
		b := w.browser("")
		var got []string
		step := func(res *http.Response) string {
			counted.mu.Lock()
			defer counted.mu.Unlock()
			got = append(got, fmt.Sprint(res.StatusCode, counted.done))
			clear(counted.done)
			return text(t, res)
		}
		id := challengeID(t, step(b.reset(name)))
		step(b.answer(reset, id, "totp", "000000"))
		step(b.answer(reset, id, "sms", "000000"))
		step(b.reset(name))
		steps[name] = strings.Join(got, "; ")
	}
	for name, got := range steps {
		if got != steps["nobody"] {
			t.Errorf("%s costs %s\nnobody costs %s", name, got, steps["nobody"])
		}
	}
}
