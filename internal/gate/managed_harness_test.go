package gate_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stepgate/stepgate/challengepages"
	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/courier"
	"github.com/stepgate/stepgate/internal/smsguard"
	"github.com/stepgate/stepgate/sms"
	"github.com/stepgate/stepgate/sms/vonage"
	"github.com/stepgate/stepgate/sms/vonage/vonagetest"
)

// What the account at the fake of Vonage is made of.
const (
	vonageKey       = "abcd1234"
	vonageSecret    = "s3cr3t-of-the-account"
	vonageSignature = "a-signature-secret-of-more-than-32-characters"
	receiptsAt      = "https://casino.example/.stepgate/sms/receipts/"
)

// callbacks carries what a provider calls back into the gate.
type callbacks struct{ w *world }

func (c callbacks) RoundTrip(r *http.Request) (*http.Response, error) {
	in := httptest.NewRequest(r.Method, r.URL.RequestURI(), r.Body)
	in.Host, in.Header = r.URL.Host, r.Header.Clone()
	rec := httptest.NewRecorder()
	if err := c.w.gate.Serve(rec, in, next(c)); err != nil {
		return nil, err
	}
	return rec.Result(), nil
}

// newVonage returns a fake of Vonage whose callbacks come to a world's gate, under the
// name "vonage".
func newVonage(w *world) *vonagetest.Server {
	return vonagetest.New(vonagetest.Options{
		Key: vonageKey, Secret: vonageSecret, SignatureSecret: vonageSignature, Now: w.clock.now,
		StatusURL: receiptsAt + "vonage", VerifyURL: receiptsAt + "vonage", Transport: callbacks{w},
	})
}

func vonageConfig(t *testing.T, v *vonagetest.Server) vonage.Config {
	t.Helper()
	return vonage.Config{
		APIKey: vonageKey, APISecret: vonageSecret, SignatureSecret: vonageSignature, Transport: v.Client(t).Transport.(*http.Transport),
	}
}

func newGuard(t *testing.T, w *world, limits smsguard.Limits) *smsguard.Guard {
	t.Helper()
	guard, err := smsguard.New(smsguard.Config{Limits: limits, Conversion: smsguard.Conversion{Off: true}, Now: w.clock.now})
	if err != nil {
		t.Fatal(err)
	}
	return guard
}

// managed is a world whose codes Vonage makes.
type managed struct {
	*world
	vonage *vonagetest.Server
}

func newManaged(t *testing.T) managed {
	t.Helper()
	w := newWorld(t)
	v := newVonage(w)
	verify, err := vonage.NewVerify(vonageConfig(t, v))
	if err != nil {
		t.Fatal(err)
	}
	w.gate.SMS = &courier.Courier{
		Verifier: verify, VerifierName: "vonage", Guard: newGuard(t, w, smsguard.Limits{}),
		Receivers: map[string]sms.Receiver{"vonage": verify},
	}
	return managed{w, v}
}

// started returns the verifications that were started, the oldest first.
func (m managed) started() []vonagetest.Message { return m.vonage.Outbox() }

// lastCode is the code that Vonage sent last.
func (m managed) lastCode() string {
	m.t.Helper()
	all := m.started()
	if len(all) == 0 {
		m.t.Fatal("no code was sent")
	}
	return m.vonage.Code(all[len(all)-1].ID)
}

// asked counts the requests of a kind.
func (m managed) asked(api vonagetest.API) int {
	n := 0
	for _, r := range m.vonage.Requests() {
		if r.API == api {
			n++
		}
	}
	return n
}

// wants checks how many codes were started, checked and cancelled at Vonage.
func (m managed) wants(started, checked, cancelled int) {
	m.t.Helper()
	got := [3]int{m.asked(vonagetest.Verify), m.asked(vonagetest.VerifyCheck), m.asked(vonagetest.VerifyCancel)}
	if want := [3]int{started, checked, cancelled}; got != want {
		m.t.Errorf("Vonage was asked to start, check and cancel %v codes, want %v", got, want)
	}
}

// running reports whether a verification could still be completed.
func (m managed) running(id string) bool {
	code := m.vonage.Code(id)
	r := httptest.NewRequest(http.MethodPost, "/v2/verify/"+id, strings.NewReader(`{"code":"`+code+`"}`))
	r.Header.Set("Content-Type", "application/json")
	r.SetBasicAuth(vonageKey, vonageSecret)
	rec := httptest.NewRecorder()
	m.vonage.ServeHTTP(rec, r)
	return rec.Code == http.StatusOK
}

// wrongFor is a code that is not the given one.
func wrongFor(code string) string {
	if code == "000000" {
		return "111111"
	}
	return "000000"
}

// act sends one of the other forms of a challenge page.
func (b *browser) act(target, id, action string, pairs ...string) *http.Response {
	return b.post(target, append([]string{challengepages.FieldChallenge, id, challengepages.FieldAction, action}, pairs...)...)
}

// says checks that a page has a text.
func says(t *testing.T, page string, want ...string) {
	t.Helper()
	for _, text := range want {
		if !strings.Contains(page, text) {
			t.Errorf("the page does not say %q:\n%s", text, page)
		}
	}
}

// What the pages say of an SMS, in English.
const (
	saysExpired     = "This code is no longer valid. Ask for a new one."
	saysNotSent     = "The SMS could not be sent."
	saysUndelivered = "The mobile network reports that the SMS did not get through."
	saysDown        = "Confirming is not available right now"
)

// trust makes the browser of a session one that its player trusts.
func (w *world) trust(b *browser, name string, code func() string) {
	w.t.Helper()
	id := challengeID(w.t, text(w.t, b.get("/statement")))
	wantStatus(w.t, b.act("/statement", id, challengepages.ActionAnswer,
		challengepages.FieldFactor, "sms", challengepages.FieldCode, code(), challengepages.FieldTrust, "1"), http.StatusSeeOther)
	if !slices.ContainsFunc(w.account(name).Devices, func(d account.Device) bool { return d.Until.After(w.clock.now()) }) {
		w.t.Fatal("the browser is not trusted")
	}
	w.clock.add(time.Second)
}
