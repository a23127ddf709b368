package gate_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stepgate/stepgate/challengepages"
	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/alias"
	"github.com/stepgate/stepgate/internal/courier"
	"github.com/stepgate/stepgate/internal/notify"
	"github.com/stepgate/stepgate/internal/smsguard"
	"github.com/stepgate/stepgate/policy"
	"github.com/stepgate/stepgate/sms/vonage"
	"github.com/stepgate/stepgate/sms/vonage/vonagetest"
	"github.com/stepgate/stepgate/store"
)

// The thief sends the same reset in the seconds after the victim did, from a browser
// without cookies. What two clicks of one session share, two strangers must not: the thief
// would get the victim's challenge, the secret of the victim's browser, and the approval
// once the victim has answered.
func TestAttackADoubleClickOfTwoStrangers(t *testing.T) {
	w, secret := newNamed(t)
	victim, thief := w.browser(""), w.browser("")
	mine := challengeID(t, text(t, victim.reset("sari")))
	theirs := challengeID(t, text(t, thief.reset("sari")))
	if mine == theirs || thief.jar["__Host-stepgate-browser"] == victim.jar["__Host-stepgate-browser"] {
		t.Error("the thief got the victim's challenge and the secret of the victim's browser")
	}
	app, other := w.script(""), w.script("")
	ch := decode(t, app.json("POST", reset, `{"email":"sari"}`)).Challenge
	other.json("POST", reset, `{"email":"sari"}`)
	wantStatus(t, app.json("POST", ch.URL, `{"factor":"totp","code":"`+w.totp(secret)+`"}`), http.StatusOK)
	r := other.request("POST", reset, "application/json", `{"email":"sari"}`)
	r.Header.Set("Step-Up-Challenge", ch.ID)
	wantStatus(t, other.do(r), http.StatusUnauthorized)
	wantHits(t, w, 0)
}

// A request names the thief where the rule says, and the victim where the site may look as
// well: the query of a form's URL on Java, both merged on Rails and Laravel. The thief's
// factor would open the victim's account.
func TestAttackTheNameStandsInTwoPlaces(t *testing.T) {
	w, _ := newNamed(t)
	for _, tt := range []struct{ target, kind, body string }{
		{reset + "?email=sari", formType, form("email", "budi")},
		{reset + "?EMAIL=sari", formType, form("email", "budi")},
		{reset + "?email%5B%5D=sari", formType, form("email", "budi")},
		{reset + "?email=sari", "application/json", `{"email":"budi"}`},
		{reset + "?email=budi", formType, form("email", "Budi")},
		{reset, formType, form("email[$ne]", "budi")},
		{reset, formType, form("email[]", "budi")},
		{reset, "application/json", `{"email":{"$ne":"budi"}}`},
		{reset, "application/json", `{"email":["budi"]}`},
		{reset, formType, form("email", "budi", "email", "")},
		{reset, "application/json", `{"email":"budi","email":"sari"}`},
		{reset, "application/json", `{"email":["budi","sari"]}`},
		{reset, "application/json", `{"email":{"x":"sari"}}`},
		{reset, "application/json", `[{"email":"budi"},{"email":"sari"}]`},
		{reset, "text/plain", `{"email":"budi"}&email=sari`},
		{reset, "multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"email\"\r\n\r\nbudi\r\n--x\r\nContent-Disposition: form-data; name=\"email\"\r\n\r\nsari\r\n--x--\r\n"},
		{reset, formType, form("email", "budi", "email%5B%5D", "sari")},
		{reset, formType, form("email", "budi", "email\x00", "sari")},
		{reset, formType, form("email", "budi") + "&%65mail=sari"},
	} {
		b := w.browser("")
		if res := b.do(b.request("POST", tt.target, tt.kind, tt.body)); res.StatusCode != http.StatusBadRequest {
			t.Errorf("%s %s: status %d, want 400", tt.target, tt.body, res.StatusCode)
		}
	}
	wantHits(t, w, 0)
}

// A site that finds the name in the query though the rule says form is answered for the
// account that stands there, and the member of an object by whatever way it is written.
func TestANameIsFoundWhereverTheSiteMayLook(t *testing.T) {
	w, secret := newNamed(t, func(r *policy.Rule) {
		r.NamedBy = []policy.Naming{{Source: policy.FromJSON, Name: "user.email"}}
	})
	for i, tt := range []struct{ target, kind, body string }{
		{reset, "application/json", `{"user":{"email":"sari"}}`},
		{reset, formType, form("user[email]", "sari")},
		{reset + "?user%5Bemail%5D=sari", formType, form("x", "y")},
		{reset + "?user.email=sari", formType, form("x", "y")},
		{reset + "?user.email=sari", formType, form("user[email]", "sari")},
	} {
		b := w.browser("")
		res := b.do(b.request("POST", tt.target, tt.kind, tt.body))
		wantStatus(t, res, http.StatusUnauthorized)
		wantStatus(t, b.answer(tt.target, challengeID(t, text(t, res)), "totp", w.totp(secret)), http.StatusOK)
		wantHits(t, w, i+1)
		w.clock.add(time.Minute)
	}
}

// enrolUnproved binds an authenticator for which nothing but the session spoke, as a thief
// does: a cooling-off time follows (I6).
func (w *world) enrolUnproved(name string) (secret []byte) {
	w.t.Helper()
	ctx, id := w.t.Context(), w.back.Accounts.ID("id-"+name)
	c := account.Change{Proof: account.ProofNone, Epoch: w.epoch(id), Binding: "b", Browser: "b", Hold: 24 * time.Hour}
	s, err := w.back.Accounts.BeginTOTP(ctx, id, c)
	if err != nil {
		w.t.Fatal(err)
	}
	if done, err := w.back.Accounts.Confirm(ctx, id, c, s.ID, w.totp(s.Secret), ""); err != nil || done.Verdict != account.Right {
		w.t.Fatalf("Confirm = %v, %v", done.Verdict, err)
	}
	w.clock.add(30 * time.Second)
	return s.Secret
}

// I1, I6: a thief with dewi's session binds a first factor; protected routes are closed for
// a day then, and the password reset is one. So it is while an account is frozen. A right
// code is as wrong as any other, and a browser that is trusted is not.
func TestInvariantI1AttackAResetWhileTheAccountIsClosed(t *testing.T) {
	closed := func(t *testing.T, w *world, name string, secret []byte, trusted *browser) {
		t.Helper()
		b := w.browser("")
		id := challengeID(t, text(t, b.reset(name)))
		before := len(w.site.all())
		wantStatus(t, b.answer(reset, id, "totp", w.totp(secret)), http.StatusUnprocessableEntity)
		if trusted != nil {
			wantStatus(t, trusted.with("").reset(name), http.StatusUnauthorized)
		}
		wantHits(t, w, before)
	}
	t.Run("hold after a first factor", func(t *testing.T) {
		w, _ := newNamed(t)
		secret := w.enrolUnproved("dewi")
		closed(t, w, "dewi", secret, nil)
		w.clock.add(24 * time.Hour)
		b := w.browser("")
		wantStatus(t, b.answer(reset, challengeID(t, text(t, b.reset("dewi"))), "totp", w.totp(secret)), http.StatusOK)
	})
	t.Run("frozen", func(t *testing.T) {
		w, secret := newNamed(t)
		trusted := w.browser("sari")
		trusted.trust(secret)
		ctx, id := t.Context(), w.back.Accounts.ID("id-sari")
		_, alert, err := w.back.Accounts.IssueRecoveryKey(ctx, id, account.Change{Proof: account.ProofFactor, Epoch: w.epoch(id), Binding: "b", Browser: "b"})
		if err != nil {
			t.Fatal(err)
		}
		if _, ok, err := w.back.Accounts.Freeze(ctx, alert.Token, account.Client{}); err != nil || !ok {
			t.Fatalf("Freeze = %v, %v", ok, err)
		}
		closed(t, w, "sari", secret, trusted)
	})
}

// Whoever names an account may answer, and do nothing else to it: not say that the new
// recovery key is kept, which its owner has not seen yet.
func TestAttackAStrangerKeepsTheRecoveryKey(t *testing.T) {
	w, _ := newNamed(t)
	if k := w.account("budi").Recovery; k == nil || k.Saved {
		t.Fatal("budi has no recovery key that is not kept yet")
	}
	b := w.browser("")
	id := challengeID(t, text(t, b.reset("budi")))
	b.post(reset, challengepages.FieldChallenge, id, challengepages.FieldAction, challengepages.ActionContinue)
	if w.account("budi").Recovery.Saved {
		t.Error("a stranger said that the recovery key is kept")
	}
}

// Another site makes the victim's browser send the reset, or answer it.
func TestAttackAResetFromAnotherSite(t *testing.T) {
	w, secret := newNamed(t)
	b := w.browser("")
	id := challengeID(t, text(t, b.reset("sari")))
	evil := b.with("")
	evil.header = http.Header{"Accept": {"text/html"}, "Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Mode": {"navigate"}, "Origin": {"https://evil.example"}}
	sent := w.phone.count()
	wantStatus(t, evil.reset("budi"), http.StatusForbidden)
	wantStatus(t, evil.answer(reset, id, "totp", w.totp(secret)), http.StatusForbidden)
	wantStatus(t, evil.json("POST", "/.stepgate/challenges/"+id, `{"factor":"totp","code":"`+w.totp(secret)+`"}`), http.StatusForbidden)
	wantStatus(t, evil.post("/.stepgate/challenges/"+id+"/send"), http.StatusForbidden)
	w.sentSince(sent, 0)
	wantHits(t, w, 0)
}

// A flood of resets for names that nobody has fills neither the store with bodies nor
// one with addresses of one network.
func TestAttackAFloodOfResets(t *testing.T) {
	t.Run("large bodies", func(t *testing.T) {
		w, _ := newNamed(t)
		b := w.browser("")
		wantStatus(t, b.post(reset, "email", "sari", "filler", strings.Repeat("x", 65<<10)), http.StatusRequestEntityTooLarge)
		wantStatus(t, b.post(reset, "email", "sari", "filler", strings.Repeat("x", 60<<10)), http.StatusUnauthorized)
		wantHits(t, w, 0)
	})
	for name, address := range map[string]func(i int) string{
		"IPv6": func(i int) string { return fmt.Sprintf("[2001:db8:0:%x::1]:1", i) },
		"IPv4": func(i int) string { return fmt.Sprintf("203.0.113.%d:1", i) },
	} {
		t.Run(name, func(t *testing.T) {
			w, _ := newNamed(t)
			admitted := 0
			for i := range 400 {
				b := w.browser("")
				r := b.request("POST", reset, formType, form("email", fmt.Sprint("player ", i)))
				r.RemoteAddr = address(i % 250)
				if b.do(r).StatusCode == http.StatusUnauthorized {
					admitted++
				}
			}
			if admitted != 240 {
				t.Errorf("%d challenges were opened from one network, want 240", admitted)
			}
		})
	}
}

// I11: whoever knows a player's e-mail address and tries phone numbers must not find out
// which is the same player's: neither by the delay after wrong codes, nor by challenges
// that push each other out.
func TestInvariantI11AttackTwoNamesOfOnePlayer(t *testing.T) {
	w, _ := newNamed(t)
	first := w.browser("")
	open := challengeID(t, text(t, first.reset("sari@example.com")))
	for range 2 {
		b := w.browser("")
		id := challengeID(t, text(t, b.reset("sari@example.com")))
		for range account.AttemptsPerChallenge {
			b.answer(reset, id, "totp", "000000")
		}
	}
	delayed := w.browser("")
	id := challengeID(t, text(t, delayed.reset("sari@example.com")))
	says(t, text(t, delayed.answer(reset, id, "totp", "000000")), "Too many wrong codes")
	for _, name := range []string{"+6281298765432", "sari", "nobody"} {
		for range account.MaxPending {
			b := w.browser("")
			id := challengeID(t, text(t, b.reset(name)))
			wantStatus(t, b.answer(reset, id, "totp", "000000"), http.StatusUnprocessableEntity)
		}
	}
	wantStatus(t, first.get("/.stepgate/challenges/"+open), http.StatusOK)
}

// I11: where a provider makes the codes, it is asked about each answer, whether or not there
// is a phone that it has sent one to: it takes as long, and fails in the same way.
func TestInvariantI11AttackResetEnumerationByAProvider(t *testing.T) {
	w, _ := newNamed(t)
	v := newVonage(w)
	verify, err := vonage.NewVerify(vonageConfig(t, v))
	if err != nil {
		t.Fatal(err)
	}
	w.gate.SMS = &courier.Courier{Verifier: verify, VerifierName: "vonage", Guard: newGuard(t, w, smsguard.Limits{})}
	m := managed{w, v}
	counted := &operations{Store: w.back.Store, done: map[string]int{}}
	use := func(b *browser, id string) *http.Response {
		return b.act(reset, id, challengepages.ActionUse, challengepages.FieldFactor, "sms")
	}
	walk := func(name string, knows bool) (steps []string) {
		w.attach(w.back.Store, w.back.Ring)
		w.gate.SMS = &courier.Courier{Verifier: verify, VerifierName: "vonage", Guard: newGuard(t, w, smsguard.Limits{})}
		b := w.browser("")
		id := challengeID(t, text(t, b.reset(name)))
		started := m.asked(vonagetest.Verify)
		use(b, id)
		if knows {
			waitFor(t, func() bool { return m.asked(vonagetest.Verify) > started })
			waitFor(t, func() bool {
				ch, err := w.back.Challenges.Get(t.Context(), id)
				return err == nil && ch.Verification != ""
			})
		}
		courier := w.gate.SMS
		w.attach(counted, w.back.Ring)
		w.gate.SMS = courier
		clear(counted.done)
		for range account.AttemptsPerChallenge {
			checked := m.asked(vonagetest.VerifyCheck)
			res := b.answer(reset, id, "sms", "000000")
			page := alike.ReplaceAllString(text(t, res), "X")
			steps = append(steps, fmt.Sprint(res.StatusCode, m.asked(vonagetest.VerifyCheck)-checked, counted.done, page))
			clear(counted.done)
		}
		w.attach(counted.Store, w.back.Ring)
		return steps
	}
	want := walk("nobody", false)
	for name, knows := range map[string]bool{"budi": true, "sari": false, "agus": true} {
		for i, got := range walk(name, knows) {
			if got != want[i] {
				t.Errorf("%s, answer %d:\n%s\nwhere nobody gets\n%s", name, i, got, want[i])
			}
		}
	}
	v.Close()
	w.clock.add(7 * 24 * time.Hour) // so that the wrong answers are forgotten
	for _, name := range []string{"nobody", "budi"} {
		b := w.browser("")
		w.gate.SMS = &courier.Courier{Verifier: verify, VerifierName: "vonage", Guard: newGuard(t, w, smsguard.Limits{})}
		id := challengeID(t, text(t, b.reset(name)))
		if res := b.answer(reset, id, "sms", "000000"); res.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("%s: status %d while the provider is down, want 503", name, res.StatusCode)
		}
	}
}

// waitFor waits until something that happens beside an answer has happened.
func waitFor(t *testing.T, happened func() bool) {
	t.Helper()
	for range 5000 {
		if happened() {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatal("it did not happen")
}

// A player is told of guesses at a name of theirs, and who guesses does not wait for that.
// Of guesses at a name that nobody has nobody is told.
func TestAPlayerIsToldOfAStrangersGuesses(t *testing.T) {
	w, _ := newNamed(t)
	told, release := make(chan notify.Notice, 10), make(chan struct{})
	w.gate.Notify = func(_ context.Context, n notify.Notice) error {
		<-release
		told <- n
		return nil
	}
	guess := func(name string) {
		for range account.ManyFailures {
			b := w.browser("")
			wantStatus(t, b.answer(reset, challengeID(t, text(t, b.reset(name))), "totp", "000000"), http.StatusUnprocessableEntity)
			w.clock.add(2 * time.Hour)
		}
	}
	guess("nobody")
	guess("sari")
	close(release)
	if n := <-told; n.Subject != "id-sari" || n.Email != "sari@example.com" || n.Kind != string(account.KindFailures) {
		t.Errorf("told %+v, want sari of many failures", n)
	}
	select {
	case n := <-told:
		t.Errorf("told %+v of somebody's guesses at a name that nobody has", n)
	default:
	}
}

// Names that nobody has fill the store for a while only, and what is forgotten of them is
// forgotten of a player's names at the same moment (I11).
func TestAttackNamesThatNobodyHasAreForgottenAsAPlayers(t *testing.T) {
	w, _ := newNamed(t)
	accounts := func() int {
		t.Helper()
		if _, err := w.back.Store.Expire(t.Context(), 10_000); err != nil {
			t.Fatal(err)
		}
		all, err := w.back.Store.Scan(t.Context(), "account/", "", 10_000)
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	before := accounts()
	for i := range 20 {
		w.browser("").reset(fmt.Sprint("nobody ", i))
	}
	if n := accounts(); n != before+20 {
		t.Fatalf("%d accounts, want %d", n, before+20)
	}
	w.clock.add(10 * time.Minute)
	if n := accounts(); n != before {
		t.Errorf("%d accounts once the challenges are over, want %d", n, before)
	}
	// Seven wrong codes are remembered for seven days after the last.
	left := func(name string) string {
		b := w.browser("")
		return b.w.delay(b, name)
	}
	for _, name := range []string{"sari", "nobody"} {
		for range 7 {
			b := w.browser("")
			b.answer(reset, challengeID(t, text(t, b.reset(name))), "totp", "000000")
			w.clock.add(15 * time.Minute)
		}
	}
	w.clock.add(6 * 24 * time.Hour)
	if s, n := left("sari"), left("nobody"); s != n || s == "" {
		t.Errorf("after six days sari is delayed by %q and nobody by %q", s, n)
	}
	w.clock.add(9 * 24 * time.Hour)
	if s, n := left("sari"), left("nobody"); s != n || s != "" {
		t.Errorf("after two weeks sari is delayed by %q and nobody by %q", s, n)
	}
	w.clock.add(2 * 24 * time.Hour)
	if n := accounts(); n != before {
		t.Errorf("%d accounts at the end, want %d", n, before)
	}
}

// delay spends one attempt at a name and returns for how long the next one is not looked
// at; empty if it is at once.
func (w *world) delay(b *browser, name string) string {
	w.t.Helper()
	id := challengeID(w.t, text(w.t, b.reset(name)))
	b.answer(reset, id, "totp", "000000")
	res := b.with("").json("POST", "/.stepgate/challenges/"+id, `{"factor":"totp","code":"000000"}`)
	return res.Header.Get("Retry-After")
}

// I3, I4: fifty right answers at once release the reset once.
func TestInvariantI4FiftyAtOnceResetOnce(t *testing.T) {
	w, secret := newNamed(t)
	b := w.browser("")
	id := challengeID(t, text(t, b.reset("sari")))
	code := w.totp(secret)
	var wait sync.WaitGroup
	for range 50 {
		r := b.request("POST", reset, formType, form(challengepages.FieldChallenge, id, challengepages.FieldAction, challengepages.ActionAnswer,
			challengepages.FieldFactor, "totp", challengepages.FieldCode, code))
		wait.Go(func() {
			if err := w.gate.Serve(httptest.NewRecorder(), r, next{w}); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	wantHits(t, w, 1)
}

// A crash between the account's word and the challenge's, and a store that is down at any
// write, release nothing and give no code a second life.
func TestInvariantI4AResetOverACrash(t *testing.T) {
	w, secret := newNamed(t)
	b := w.browser("")
	id := challengeID(t, text(t, b.reset("sari")))
	down := &failing{Store: w.back.Store}
	w.attach(down, w.back.Ring)
	for n := 1; n <= 2; n++ {
		down.after = n
		wantStatus(t, b.answer(reset, id, "totp", w.totp(secret)), http.StatusServiceUnavailable)
		wantHits(t, w, 0)
		down.after = 0
		w.clock.add(time.Minute)
	}
	// The second write was lost after the first had used the code up: the challenge is over.
	wantStatus(t, b.answer(reset, id, "totp", w.totp(secret)), http.StatusGone)
	wantHits(t, w, 0)
	id = challengeID(t, text(t, b.reset("sari")))
	wantStatus(t, b.answer(reset, id, "totp", w.totp(secret)), http.StatusOK)
	wantHits(t, w, 1)
}

// failing is a store that fails from the nth update on; never for 0.
type failing struct {
	store.Store
	after, done int
}

func (f *failing) Update(ctx context.Context, key store.Key, change store.Change) error {
	if f.after > 0 {
		if f.done++; f.done >= f.after {
			f.done = 0
			return errDown
		}
	}
	return f.Store.Update(ctx, key, change)
}

// Two rules that have no factor in common close the reset, to every name alike.
func TestRulesWithoutACommonFactorCloseTheReset(t *testing.T) {
	rule := func(name string, f policy.Factor) policy.Rule {
		return policy.Rule{
			Name: name, Paths: []string{"/password/forgotten"}, Methods: []string{"POST"}, Factors: []policy.Factor{f},
			NamedBy: []policy.Naming{{Source: policy.FromForm, Name: "email"}},
		}
	}
	w := newWorldWith(t, rule("one", policy.TOTP), rule("other", policy.SMS))
	for _, name := range []string{"sari", "nobody"} {
		wantStatus(t, w.browser("").post("/password/forgotten", "email", name), http.StatusForbidden)
	}
	wantHits(t, w, 0)
}

// A request that only reads names its account in the query: who has passed is sent back to
// it, and passes by the grant, under this name alone.
func TestAGETThatNamesTheAccount(t *testing.T) {
	w := newWorldWith(t, policy.Rule{
		Name: "forgotten", Paths: []string{"/forgotten"}, NamedBy: []policy.Naming{{Source: policy.FromQuery, Name: "login"}},
	})
	secret, _ := w.enrolTOTP("sari")
	w.enrolTOTP("budi")
	for _, name := range []string{"sari", "budi"} {
		if err := w.back.Aliases.Import(t.Context(), "id-"+name, alias.Names{Login: name}); err != nil {
			t.Fatal(err)
		}
	}
	b := w.browser("")
	target := "/forgotten?login=sari"
	id := challengeID(t, text(t, b.get(target)))
	res := b.answer(target, id, "totp", w.totp(secret))
	wantStatus(t, res, http.StatusSeeOther)
	if to := res.Header.Get("Location"); to != target {
		t.Errorf("sent to %s, want %s", to, target)
	}
	wantStatus(t, b.get(target), http.StatusOK)
	wantStatus(t, b.get("/forgotten?login=budi"), http.StatusUnauthorized)
	wantStatus(t, b.with("sari").get("/statement"), http.StatusUnauthorized)
	wantStatus(t, b.get("/forgotten"), http.StatusBadRequest)
	wantHits(t, w, 1)
}

// The recovery key resets the password as well. The new one is shown first, and who has
// shown the old one says that it is kept.
func TestARecoveryKeyResetsThePassword(t *testing.T) {
	w, _ := newNamed(t)
	w.source.phones["rina"] = ""
	_, key := w.enrolTOTP("rina")
	if err := w.back.Aliases.Import(t.Context(), "id-rina", alias.Names{Login: "rina"}); err != nil {
		t.Fatal(err)
	}
	b := w.browser("")
	id := challengeID(t, text(t, b.reset("rina")))
	page := b.answer(reset, id, "recovery_key", key)
	wantStatus(t, page, http.StatusOK)
	says(t, text(t, page), id)
	wantHits(t, w, 0)
	if w.account("rina").Recovery.Saved {
		t.Error("the new key is kept before it was shown")
	}
	wantStatus(t, b.act(reset, id, challengepages.ActionContinue), http.StatusOK)
	if !w.account("rina").Recovery.Saved {
		t.Error("the new key is not kept")
	}
	wantHits(t, w, 1)
	wantStatus(t, b.act(reset, id, challengepages.ActionContinue), http.StatusGone)
	wantHits(t, w, 1)
}

// Where every route asks for a known device, a visitor resets a password all the same, and
// a player on a new device is asked about that first.
func TestAResetOnASiteThatAsksForKnownDevices(t *testing.T) {
	w := newWorldWith(t,
		policy.Rule{Name: "new_device", Kind: policy.NewDevice, Paths: []string{"/*"}},
		policy.Rule{
			Name: "password_reset", Paths: []string{reset}, Methods: []string{"POST"}, SingleUse: true,
			NamedBy: []policy.Naming{{Source: policy.FromForm, Name: "email"}},
		})
	secret, _ := w.enrolTOTP("sari")
	if err := w.back.Aliases.Import(t.Context(), "id-sari", alias.Names{Login: "sari"}); err != nil {
		t.Fatal(err)
	}
	b := w.browser("")
	wantStatus(t, b.answer(reset, challengeID(t, text(t, b.reset("sari"))), "totp", w.totp(secret)), http.StatusOK)
	wantHits(t, w, 1)
	w.clock.add(time.Minute)
	app := w.script("sari")
	if p := decode(t, app.json("POST", reset, `{"email":"sari"}`)); p.Rule != "new_device" {
		t.Errorf("a player on a new device meets %q", p.Rule)
	}
	wantHits(t, w, 1)
}

// A name that comes to be two players' while a challenge is open for it, or to be another's,
// lets nothing through: whose it is is asked again in the last moment.
func TestAttackANameChangesHandsWhileAChallengeIsOpen(t *testing.T) {
	w, secret := newNamed(t)
	thief := w.browser("")
	id := challengeID(t, text(t, thief.reset("sari@example.com")))
	if err := w.back.Aliases.Learn(t.Context(), "id-budi", alias.Names{Email: "sari@example.com"}); err != nil {
		t.Fatal(err)
	}
	// The operator's word is for sari still.
	wantStatus(t, thief.answer(reset, id, "totp", w.totp(secret)), http.StatusOK)
	wantHits(t, w, 1)
	w.clock.add(time.Minute)
	id = challengeID(t, text(t, thief.reset("sari@example.com")))
	if err := w.back.Aliases.Import(t.Context(), "id-budi", alias.Names{Email: "sari@example.com"}); err != nil {
		t.Fatal(err)
	}
	wantStatus(t, thief.answer(reset, id, "totp", w.totp(secret)), http.StatusUnauthorized)
	wantHits(t, w, 1)
}
