package gate_test

import (
	"errors"
	"net/http"
	"testing"

	"github.com/stepgate/stepgate/internal/audit"
)

// What a rule in report mode would have done is told under a name of its own, and
// nothing else happens.
func TestARuleInReportModeOnlyTells(t *testing.T) {
	for name, c := range map[string]struct {
		session string
		prepare func(w *world)
		alter   func(r *http.Request)
		want    audit.Name
	}{
		"a challenge":    {session: "budi", prepare: func(w *world) { w.enrolSMS("budi") }, want: "reported.challenged"},
		"no factor":      {session: "dewi", want: "reported.no_factor"},
		"nobody":         {want: "reported.anonymous"},
		"another site":   {session: "budi", alter: func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }, want: "reported.cross_site"},
		"two spellings":  {session: "budi", alter: func(r *http.Request) { r.URL.Path, r.URL.RawPath = "/reported/\x00", "/reported/%00" }, want: "reported.ambiguous"},
		"a store outage": {session: "budi", prepare: func(w *world) { w.down = errors.New("down for the test") }, want: "reported.unavailable"},
		"an upgrade": {
			session: "budi", prepare: func(w *world) { w.enrolSMS("budi") },
			alter: func(r *http.Request) { r.Header.Set("Upgrade", "websocket"); r.Header.Set("Connection", "Upgrade") }, want: "reported.unholdable",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			if c.prepare != nil {
				c.prepare(w)
			}
			b := w.browser(c.session)
			r := b.request("POST", "/reported/x", formType, "a=b")
			if c.alter != nil {
				c.alter(r)
			}
			res := b.do(r)
			wantStatus(t, res, http.StatusOK)
			wantHits(t, w, 1)
			if got := w.site.all()[0].body; got != "a=b" {
				t.Errorf("the site got %q", got)
			}
			if len(w.events) != 1 || w.events[0].Name != c.want {
				t.Errorf("events = %+v, want %s", w.events, c.want)
			}
			if len(res.Header["Set-Cookie"]) > 0 || w.phone.count() > 0 {
				t.Errorf("report mode set cookies %q and sent %d codes", res.Header["Set-Cookie"], w.phone.count())
			}
		})
	}
}

func TestAGrantIsReportedAsOne(t *testing.T) {
	w := newWorld(t)
	w.enrolSMS("budi")
	b := w.script("budi")
	p := decode(t, b.json("POST", "/account/email", "{}"))
	wantStatus(t, b.json("POST", p.Challenge.URL, answer("sms", w.phone.last(t).Code)), http.StatusOK)
	wantStatus(t, b.get("/reported/x"), http.StatusOK)
	if !w.saw("reported.challenged") || w.saw("reported.granted") {
		t.Errorf("a grant of another group was reported as one: %+v", w.events)
	}
}

// A rule that is enforced stays so beside one that reports.
func TestInvariantI1ARuleInReportModeOpensNoOther(t *testing.T) {
	w := newWorld(t)
	w.enrolSMS("budi")
	b := w.script("budi")
	p := decode(t, b.json("POST", "/reported/inside", "{}"))
	if p.Status != http.StatusUnauthorized || p.Rule != "inside" {
		t.Errorf("the answer is %+v, want a challenge of the rule inside alone", p)
	}
	wantHits(t, w, 0)
	wantStatus(t, b.json("POST", p.Challenge.URL, answer("sms", w.phone.last(t).Code)), http.StatusOK)
	wantStatus(t, b.json("POST", "/reported/inside", "{}"), http.StatusOK)
	wantHits(t, w, 1)
	r := b.request("POST", "/x", "application/json", "{}")
	r.URL.Path, r.URL.RawPath = "/reported/inside\x00", "/reported/inside%00"
	wantStatus(t, b.do(r), http.StatusBadRequest)
}
