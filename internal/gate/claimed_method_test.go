package gate_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stepgate/stepgate/identity"
)

// claims are targets and headers by which a GET is another method at sites that listen.
// WordPress does so for every method.
var claims = []struct{ name, query, header string }{
	{"in the query", "?_method=POST", ""}, {"in the query, encoded", "?%5Fmethod=p%4fst", ""}, {"in the query, after a semicolon", "?a=b;_method=POST", ""},
	{"in the query, second", "?_method=GET&_method=POST", ""}, {"in the query, as a list", "?_method[]=POST", ""},
	{"in a header", "", "X-HTTP-Method-Override"}, {"in another header", "", "X-Method-Override"},
}

func claiming(b *browser, target string, c struct{ name, query, header string }) *http.Request {
	r := b.request("GET", target+c.query, "", "")
	if c.header != "" {
		r.Header.Set(c.header, "POST")
	}
	return r
}

// A link on another site is a GET, and a browser sends the grant with it: where the site
// takes it for a POST it would change the player's e-mail (R41).
func TestAttackCrossSiteLinkThatClaimsToBeAForm(t *testing.T) {
	for _, c := range claims {
		w := newWorld(t)
		secret, _ := w.enrolTOTP("budi")
		b := w.browser("budi")
		b.stepUp(secret)
		before := len(w.site.all())
		r := claiming(b, "/account/email", c)
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		if got := b.do(r).StatusCode; got != http.StatusForbidden {
			t.Errorf("%s: the link is answered %d, want 403", c.name, got)
		}
		wantHits(t, w, before)
		// The site's own page may do so, and a link to a page stays a link.
		wantStatus(t, b.do(claiming(b, "/account/email", c)), http.StatusOK)
		r = b.request("GET", "/statement?method=POST", "", "")
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		wantStatus(t, b.do(r), http.StatusOK)
	}
}

// A thief logs in as sari over the session in which he passed a challenge as budi, where
// no gateway sees it, and has a GET change her e-mail while the answer about the session
// is remembered.
func TestAttackSessionSwapUnderAClaimedMethod(t *testing.T) {
	for _, c := range claims {
		w, site := newSharing(t)
		mine, _ := w.enrolTOTP("budi")
		w.enrolTOTP("sari")
		b := w.browser("shared")
		b.stepUp(mine)
		wantStatus(t, b.get("/statement"), http.StatusOK)
		before := len(w.site.all())
		site.player.Store("sari")
		if got := b.do(claiming(b, "/account/email", c)).StatusCode; got != http.StatusUnauthorized {
			t.Errorf("%s: it is answered %d, want 401", c.name, got)
		}
		wantHits(t, w, before)
	}
}

// What a GET may have changed, a login among it, is forgotten as after a POST.
func TestAClaimedMethodEndsWhatIsRememberedOfTheSession(t *testing.T) {
	for _, c := range claims {
		var remembers *forgetting
		w := newWorldBy(t, func(_ *world, s *source) identity.Source {
			remembers = &forgetting{source: s}
			return remembers
		})
		b := w.browser("budi")
		wantStatus(t, b.do(claiming(b, "/open", c)), http.StatusOK)
		if len(remembers.forgotten) == 0 || remembers.forgotten[0] != "budi" {
			t.Errorf("%s: forgot %q, want budi", c.name, remembers.forgotten)
		}
	}
}

// The same with a session pass, for a request that only the rule for new devices meets.
func TestAttackSessionSwapUnderAPassAndAClaimedMethod(t *testing.T) {
	for _, c := range claims {
		d := newDevices(t)
		mine, _ := d.enrolTOTP("budi")
		d.enrolTOTP("sari")
		d.site.player.Store("budi")
		thief := d.known("shared", mine, "1")
		kept := thief.with("shared")
		wantStatus(t, thief.do(claiming(thief, "/api/session", c)), http.StatusOK) // logs in as sari
		d.site.player.Store("sari")
		d.clock.add(time.Second)
		for _, b := range []*browser{thief, kept} {
			if got := b.get("/lobby").StatusCode; got != http.StatusUnauthorized {
				t.Errorf("%s: after the login the thief's pass is answered %d, want 401", c.name, got)
			}
		}
	}
}
