package gate_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stepgate/stepgate/challengepages"
	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/policy"
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
