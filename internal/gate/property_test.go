package gate_test

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stepgate/stepgate/challengepages"
	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/gate"
)

var (
	propertySeed     = flag.Uint64("seed", 1, "seed of the random requests of the property test")
	propertyRequests = flag.Int("requests", 3000, "how many random requests the property test makes")
)

// What a thief changes with nothing but sessions, whatever they and the owners do in
// whatever order (invariant I6, R2, R3, R7, R10): nothing. The thief has the sessions
// of all players, knows every id that the owners' pages show, their used codes and
// keys, and never a code that is good. That no sequence of steps does it is also shown
// on the account alone, over a million of them (package account).
func TestInvariantI6NoSequenceOfRequestsWithoutAFactorChangesOne(t *testing.T) {
	w := newWorld(t)
	w.gate.FirstEnrolment = gate.FirstEnrolment{Mode: gate.FirstEnrolmentSupport}
	w.gate.PublicURL = "https://casino.example"
	h := newHeist(w)
	for i := range *propertyRequests {
		h.clock()
		if h.rand.IntN(4) == 0 {
			h.owner()
			continue
		}
		before, hits := h.factors(), len(w.site.all())
		what := h.thief()
		if diff := cmp.Diff(before, h.factors()); diff != "" {
			t.Fatalf("-seed %d, request %d: the thief changed a factor by %s (-before +after):\n%s", *propertySeed, i, what, diff)
		}
		for _, hit := range w.site.all()[hits:] {
			if !strings.HasPrefix(hit.uri, "/harmless") {
				t.Fatalf("-seed %d, request %d: %s reached the site by %s", *propertySeed, i, hit.uri, what)
			}
		}
	}
	if h.changes < *propertyRequests/100 || h.passed < *propertyRequests/100 {
		t.Errorf("the owners made %d changes and passed %d challenges: the test proves little", h.changes, h.passed)
	}
}

// heist is what thief and owners know.
type heist struct {
	w      *world
	rand   *rand.Rand
	owners map[string]*browser
	// secrets are the owners' authenticators, keys their recovery keys.
	secrets map[string][]byte
	keys    map[string]string
	thieves []*browser
	// ids are those of challenges, set-ups, enrolments and devices; codes what was
	// used, or is wrong.
	ids, codes      []string
	changes, passed int
}

func newHeist(w *world) *heist {
	h := &heist{
		w: w, rand: rand.New(rand.NewPCG(*propertySeed, 0)), owners: map[string]*browser{}, secrets: map[string][]byte{}, keys: map[string]string{},
		ids: []string{"", "AAAAAAAAAAAAAAAAAAAAAA"}, codes: []string{"", "000000", "x"},
	}
	h.keys["budi"] = w.enrolSMS("budi")
	h.secrets["sari"], h.keys["sari"] = w.enrolTOTP("sari")
	for _, name := range []string{"budi", "sari", "agus", "dewi"} {
		h.owners[name] = w.browser(name)
		h.thieves = append(h.thieves, w.browser(name), w.script(name))
	}
	return h
}

func (h *heist) clock() {
	h.w.clock.add([]time.Duration{0, 0, time.Second, 31 * time.Second, 6 * time.Minute, 2 * time.Hour}[h.rand.IntN(6)])
}

func pick[T any](r *rand.Rand, all []T) T { return all[r.IntN(len(all))] }

// factors are those of all players, and what guards them.
func (h *heist) factors() string {
	var all bytes.Buffer
	for _, name := range []string{"budi", "sari", "agus", "dewi"} {
		a := h.w.account(name)
		fmt.Fprintf(&all, "%s: frozen %t, %d trusted\n", name, a.Frozen != nil, len(a.Devices))
		if a.Recovery != nil {
			fmt.Fprintf(&all, "\tkey %x\n", a.Recovery.MAC)
		}
		for _, e := range a.Enrolments {
			fmt.Fprintf(&all, "\t%s %s %x %s\n", e.ID, e.Factor, e.Secret, e.Phone.E164())
		}
	}
	return all.String()
}

var heistActions = []string{"totp", "sms", "remove", "off", "recovery-key", "forget", "unlock", "lift"}

// thief makes one request and says which.
func (h *heist) thief() string {
	b := pick(h.rand, h.thieves)
	id, code := pick(h.rand, h.ids), pick(h.rand, h.codes)
	action := security + "/" + pick(h.rand, heistActions)
	target := pick(h.rand, []string{action, action, withdraw, "/statement", "/.stepgate/challenges/" + id})
	fields := []string{
		challengepages.FieldPhone, newNumber, challengepages.FieldEnrolment, id, challengepages.FieldDevice, id,
		challengepages.FieldSetup, id, challengepages.FieldCode, code, challengepages.FieldName, "x",
	}
	switch h.rand.IntN(9) {
	case 0:
		h.learn(b.get(pick(h.rand, []string{security, "/statement", "/account/security", "/.stepgate/challenges/" + id, "/harmless"})))
		return "reading as " + b.session
	case 1, 2:
		h.learn(b.post(action, fields...))
		return "POST " + action
	case 3:
		step := pick(h.rand, []string{"/totp/confirm", "/sms/confirm", "/sms/send", "/recovery-key/saved"})
		h.learn(b.post(security+step, fields...))
		return "POST " + step
	case 4:
		h.learn(b.withdraw("1"))
		return "a withdrawal"
	case 5:
		h.learn(b.json("POST", "/.stepgate/challenges/"+id, fmt.Sprintf(`{"factor":%q,"code":%q,"trust_browser":true}`,
			pick(h.rand, []string{"totp", "sms", "recovery_key"}), code)))
		return "an answer as JSON"
	case 6:
		r := b.request("POST", withdraw, formType, form("amount", "1", "account", "2"))
		r.Header.Set("Step-Up-Challenge", id)
		h.learn(b.do(r))
		return "naming a challenge"
	case 7:
		h.learn(b.post("/.stepgate/n/" + id + strings.Repeat("A", 43-min(43, len(id)))))
		return "a made up link"
	default:
		do := pick(h.rand, []string{
			challengepages.ActionAnswer, challengepages.ActionAnswer, challengepages.ActionAnswer, challengepages.ActionContinue,
			challengepages.ActionSend, challengepages.ActionUse, challengepages.ActionCancel, challengepages.ActionNotMe,
		})
		h.learn(b.post(target, challengepages.FieldChallenge, id, challengepages.FieldAction, do, challengepages.FieldTrust, "1",
			challengepages.FieldFactor, pick(h.rand, []string{"totp", "sms", "recovery_key"}), challengepages.FieldCode, code))
		return do + " at " + target
	}
}

// learn keeps the ids that an answer shows.
func (h *heist) learn(res *http.Response) string {
	page := text(h.w.t, res)
	for _, p := range heistPatterns {
		for _, m := range p.FindAllStringSubmatch(page, -1) {
			h.ids = append(h.ids, m[1])
		}
	}
	if over := len(h.ids) - 40; over > 0 {
		h.ids = h.ids[over:]
	}
	return page
}

// owner does one thing whole, with the right codes, at times only its beginning.
func (h *heist) owner() {
	name := pick(h.rand, []string{"budi", "sari", "agus"})
	b, action := h.owners[name], pick(h.rand, heistActions)
	a := h.w.account(name)
	fields := []string{challengepages.FieldPhone, ""}
	if action == "sms" {
		fields[1] = pick(h.rand, []string{"", newNumber})
	}
	for _, e := range a.Enrolments {
		h.ids = append(h.ids, e.ID)
		if action == "remove" {
			fields = append(fields[:2:2], challengepages.FieldEnrolment, e.ID)
		}
	}
	target := pick(h.rand, []string{security + "/" + action, "/statement"})
	res := b.get("/statement")
	if target != "/statement" {
		res = b.post(target, fields...)
	}
	page := h.learn(res)
	if res.StatusCode != http.StatusUnauthorized || h.rand.IntN(4) == 0 {
		return
	}
	factor, code := h.code(name, page)
	if code == "" {
		return
	}
	// Seen over the owner's shoulder, once it was used.
	res = b.post(target, challengepages.FieldChallenge, challengeID(h.w.t, page), challengepages.FieldAction, challengepages.ActionAnswer,
		challengepages.FieldFactor, factor, challengepages.FieldCode, code, challengepages.FieldTrust, pick(h.rand, []string{"", "1"}))
	h.codes = append(h.codes[max(0, len(h.codes)-10):], code)
	if res.StatusCode == http.StatusUnprocessableEntity {
		return
	}
	h.passed++
	page = h.learn(res)
	if m := keyPattern.FindStringSubmatch(page); m != nil {
		h.keys[name] = m[1]
	}
	h.confirm(b, name, page)
	if now := h.w.account(name); now.Epoch != a.Epoch {
		h.changes++
	}
}

// code returns the right answer to an owner's challenge.
func (h *heist) code(name, page string) (factor, code string) {
	switch {
	case strings.Contains(page, `value="totp"`) && h.secrets[name] != nil:
		return "totp", h.w.totp(h.secrets[name])
	case strings.Contains(page, `value="sms"`) && h.w.phone.count() > 0:
		return "sms", h.w.phone.last(h.w.t).Code
	default:
		return "recovery_key", h.keys[name]
	}
}

// confirm ends the set-up that a page shows, if it shows one.
func (h *heist) confirm(b *browser, name, page string) {
	setup := setupPattern.FindStringSubmatch(page)
	if setup == nil || h.rand.IntN(4) == 0 {
		return
	}
	step, code := "/sms/confirm", h.w.phone.last(h.w.t).Code
	if m := uriPattern.FindStringSubmatch(page); m != nil {
		secret := fromBase32(h.w.t, m[1])
		step, code = "/totp/confirm", h.w.totp(secret)
		h.secrets[name] = secret
	} else {
		h.secrets[name] = nil
	}
	res := b.post(security+step, challengepages.FieldSetup, setup[1], challengepages.FieldCode, code)
	if m := keyPattern.FindStringSubmatch(h.learn(res)); m != nil {
		h.keys[name] = m[1]
	}
	h.codes = append(h.codes, code)
	h.w.clock.add(account.SetupLifetime)
}
