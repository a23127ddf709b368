package gate_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stepgate/stepgate/identity"
	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/audit"
)

// vouching is a source of tokens whose issuer says how players logged in.
type vouching struct {
	*source
	mu   sync.Mutex // guards what follows
	says *identity.Authentication
	// binding is what tokens are bound to instead of their value.
	binding string
}

func (v *vouching) Identify(ctx context.Context, r *http.Request, c identity.Credential) (identity.Identity, error) {
	id, err := v.source.Identify(ctx, r, c)
	if err == nil {
		v.mu.Lock()
		defer v.mu.Unlock()
		id.Authentication, id.Binding = v.says, v.binding
	}
	return id, err
}

func (v *vouching) say(acr string, amr []string, at time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.says = &identity.Authentication{ACR: acr, AMR: amr, At: at}
}

func newVouching(t *testing.T) (*world, *vouching, *browser) {
	t.Helper()
	v := new(vouching)
	w := newWorldBy(t, func(_ *world, s *source) identity.Source {
		v.source = s
		return v
	})
	app := w.script("")
	app.header.Set("Authorization", "Bearer budi")
	return w, v, app
}

// RFC 9470 section 6: what a trusted issuer says of a second factor is enough for the
// rules that say so, for max_age from the login, and for nothing else.
func TestATrustedIssuerVouchesForASecondFactor(t *testing.T) {
	w, v, app := newVouching(t)
	login := w.clock.now()
	for _, c := range []struct {
		about  string
		acr    string
		amr    []string
		at     time.Time
		target string
		want   int
	}{
		{"what the rule trusts", "mfa", nil, login, "/bonus", 200},
		{"another class", "pwd", []string{"mfa"}, login, "/bonus", 403},
		{"no class", "", nil, login, "/bonus", 403},
		{"as old as may be", "mfa", nil, login.Add(-10 * time.Minute), "/bonus", 200},
		{"too old", "mfa", nil, login.Add(-10*time.Minute - time.Second), "/bonus", 403},
		{"class and method", "phr", []string{"pwd", "otp"}, login, "/limits", 200},
		{"the class alone", "phr", []string{"pwd"}, login, "/limits", 403},
		{"the method alone", "pwd", []string{"otp"}, login, "/limits", 403},
		{"a rule that trusts nobody", "mfa", []string{"otp"}, login, "/statement", 403},
		{"one rule of two", "mfa", []string{"otp"}, login, "/both", 403},
		{"the settings", "mfa", []string{"otp"}, login, "/.stepgate/security/totp", 403},
	} {
		t.Run(c.about, func(t *testing.T) {
			v.say(c.acr, c.amr, c.at)
			w.events = nil
			if res := app.get(c.target); res.StatusCode == 200 != (c.want == 200) {
				t.Errorf("%s: status %d, want %d", c.target, res.StatusCode, c.want)
			}
			if w.saw(audit.RequestVouched) != (c.want == 200) || w.saw(audit.RequestGranted) {
				t.Errorf("events are %+v", w.events)
			}
			if len(app.jar) != 0 {
				t.Errorf("it left %v", app.jar)
			}
		})
	}
	i := slices.IndexFunc(w.events, func(e audit.Event) bool { return e.Name == audit.RequestVouched })
	if i >= 0 && w.events[i].Factor != audit.ByIssuer {
		t.Errorf("the event is %+v", w.events[i])
	}
}

// A withdrawal shows the player what it is; a login at the issuer has shown nothing.
func TestAnIssuerVouchesForNoSingleRequest(t *testing.T) {
	w, v, app := newVouching(t)
	v.say("mfa", []string{"otp"}, w.clock.now())
	wantStatus(t, app.json("POST", "/api/v1/withdrawals", `{"amount":1,"account":"BCA 1"}`), http.StatusUnauthorized)
	wantHits(t, w, 0)
}

// A thief who holds a token whose player logged in before everything was ended.
func TestAttackIssuersWordFromBeforeARevocation(t *testing.T) {
	w, v, app := newVouching(t)
	v.say("mfa", []string{"otp"}, w.clock.now())
	wantStatus(t, app.get("/bonus"), http.StatusOK)
	w.clock.add(time.Second)
	w.enrolTOTP("budi") // a change of factors ends all grants
	if res := app.get("/bonus"); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("a login from before the change: status %d, want 401", res.StatusCode)
	}
	v.say("mfa", []string{"otp"}, w.clock.now())
	wantStatus(t, app.get("/bonus"), http.StatusOK)
	if res := app.get("/limits"); res.StatusCode == http.StatusOK {
		t.Error("a rule that holds after the change is open")
	}
	w.clock.add(5 * time.Minute)
	wantStatus(t, app.get("/limits"), http.StatusOK)
}

// Whoever follows the link of a notice has not done what it tells of: nothing opens until
// they have sorted it out, and nothing then by a login of before.
func TestAnIssuerVouchesForNoFrozenAccount(t *testing.T) {
	w, v, app := newVouching(t)
	ctx, id := t.Context(), w.back.Accounts.ID("id-budi")
	w.enrolTOTP("budi")
	_, alert, err := w.back.Accounts.IssueRecoveryKey(ctx, id, account.Change{Proof: account.ProofFactor, Epoch: w.epoch(id), Binding: "b", Browser: "b"})
	if err != nil {
		t.Fatal(err)
	}
	w.clock.add(time.Minute)
	v.say("mfa", nil, w.clock.now())
	wantStatus(t, app.get("/bonus"), http.StatusOK)
	w.clock.add(time.Second)
	if _, ok, err := w.back.Accounts.Freeze(ctx, alert.Token, account.Client{}); err != nil || !ok {
		t.Fatalf("Freeze = %v, %v", ok, err)
	}
	v.say("mfa", nil, w.clock.now().Add(time.Second)) // even of a login since
	wantStatus(t, app.get("/bonus"), http.StatusForbidden)
	w.clock.add(time.Second)
	before := w.clock.now()
	w.clock.add(time.Second)
	if _, _, err := w.back.Accounts.Support(ctx, id, account.SupportLift); err != nil {
		t.Fatal(err)
	}
	v.say("mfa", nil, before)
	if res := app.get("/bonus"); res.StatusCode == http.StatusOK {
		t.Error("a login from before the end of the freeze opens the rule")
	}
	v.say("mfa", nil, w.clock.now().Add(time.Second))
	wantStatus(t, app.get("/bonus"), http.StatusOK)
}

// An app whose tokens name no factor is told what its issuer can be asked for (RFC 9470
// section 3).
func TestAChallengeNamesWhatTheIssuerCanBeAskedFor(t *testing.T) {
	w, _, app := newVouching(t)
	w.enrolTOTP("budi")
	w.clock.add(5 * time.Minute)
	for target, want := range map[string]string{
		"/bonus": `acr_values="totp sms mfa", max_age="600"`, "/limits": `acr_values="totp sms phr mfa"`, "/both": `acr_values="totp sms", max_age="300"`,
	} {
		if got := app.get(target).Header.Get("WWW-Authenticate"); !strings.HasPrefix(got, "Bearer error=") || !strings.Contains(got, want) {
			t.Errorf("%s: WWW-Authenticate is %s, want %s", target, got, want)
		}
	}
}

// A token that is renewed keeps its step-up by the claim that stays, and no other
// session has it: not one whose claim is another, and not by a token whose value is what
// the claim says.
func TestAStepUpIsBoundToTheSessionOfTokensThatAreRenewed(t *testing.T) {
	w, v, app := newVouching(t)
	secret, _ := w.enrolTOTP("budi")
	v.binding = identity.BindClaim("sid", "s-1")
	ch := decode(t, app.get("/statement")).Challenge
	app.header.Set("Authorization", "Bearer budi.renewed")
	wantStatus(t, app.json("POST", ch.URL, `{"factor":"totp","code":"`+w.totp(secret)+`"}`), http.StatusOK)
	app.header.Set("Authorization", "Bearer budi.renewed.again")
	wantStatus(t, app.get("/statement"), http.StatusOK)
	for _, other := range []string{"", identity.BindClaim("sid", "s-2"), identity.BindClaim("si", "ds-1"), identity.BindSubject("s-1"), identity.BindSubject("id-budi")} {
		v.binding = other
		wantStatus(t, app.get("/statement"), http.StatusUnauthorized)
	}
}

// A token that was not renewed since the player logged out speaks for nobody.
func TestALogoutEndsAnIssuersWord(t *testing.T) {
	w, v, app := newVouching(t)
	v.binding = identity.BindClaim("sid", "s-1")
	v.say("mfa", nil, w.clock.now())
	wantStatus(t, app.get("/bonus"), http.StatusOK)
	w.clock.add(time.Second)
	wantStatus(t, app.json("POST", "/logout", "{}"), http.StatusOK)
	if res := app.get("/bonus"); res.StatusCode == http.StatusOK {
		t.Error("the session that has ended opens the rule")
	}
	v.say("mfa", nil, w.clock.now().Add(time.Second))
	wantStatus(t, app.get("/bonus"), http.StatusOK)
}
