package gate_test

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

var (
	againAction = regexp.MustCompile(`<form method="?post"? action="?([^" >]+)"?>`)
	againField  = regexp.MustCompile(`<input type="?hidden"? name="?([^" >]*)"? value="([^"]*)">`)
)

// again reads the form of an outage's page as a browser does.
func againForm(t *testing.T, page string) (action, body string) {
	t.Helper()
	m := againAction.FindStringSubmatch(page)
	if m == nil {
		t.Fatalf("the page has no form:\n%s", page)
	}
	var pairs []string
	for _, f := range againField.FindAllStringSubmatch(page, -1) {
		pairs = append(pairs, url.QueryEscape(html.UnescapeString(f[1]))+"="+url.QueryEscape(html.UnescapeString(f[2])))
	}
	return html.UnescapeString(m[1]), strings.Join(pairs, "&")
}

// What the player entered is on the page that says that the database is down, and its
// button sends it again.
func TestAFormThatMetAnOutageIsSentAgainByItsPage(t *testing.T) {
	w := newWorld(t)
	w.enrolSMS("budi")
	b := w.browser("budi")
	const entered = "amount=2500000&account=BCA+1234567890&note=%22%3E%3Cscript%3Ealert(1)%3C%2Fscript%3E&note=two"
	for name, fail := range map[string]func(down error){
		"the store is down": func(down error) { w.down = down },
		"the site is down":  func(down error) { w.source.err = down },
	} {
		fail(errDown)
		res := b.do(b.request("POST", withdraw+"?from=main", formType, entered))
		page := text(t, res)
		wantStatus(t, res, http.StatusServiceUnavailable)
		if strings.Contains(page, "<script>alert") {
			t.Fatalf("%s: what was entered is not escaped:\n%s", name, page)
		}
		action, body := againForm(t, page)
		if action != withdraw+"?from=main" || body != strings.ReplaceAll(entered, "(1)", "%281%29") {
			t.Errorf("%s: the page sends %q to %q, want what was entered", name, body, action)
		}
		fail(nil)
		res = b.do(b.request("POST", action, formType, body))
		wantStatus(t, res, http.StatusUnauthorized)
		if page := text(t, res); !strings.Contains(page, "2.500.000") && !strings.Contains(page, "2,500,000") {
			t.Errorf("%s: the challenge does not show the amount:\n%s", name, page)
		}
	}
	wantHits(t, w, 0)
}

// An answer that met an outage is not lost either.
func TestAnAnswerThatMetAnOutageIsSentAgainByItsPage(t *testing.T) {
	w := newWorld(t)
	w.enrolSMS("budi")
	b := w.browser("budi")
	id := challengeID(t, text(t, b.withdraw("100000")))
	w.down = errDown
	res := b.answer(withdraw, id, "sms", w.phone.last(t).Code)
	page := text(t, res)
	wantStatus(t, res, http.StatusServiceUnavailable)
	w.down = nil
	action, body := againForm(t, page)
	wantStatus(t, b.do(b.request("POST", action, formType, body)), http.StatusOK)
	wantHits(t, w, 1)
}

// What a page cannot repeat as it was is not repeated at all, and neither is what
// another site made the browser send.
func TestAnOutageRepeatsNothingButAPlainForm(t *testing.T) {
	w := newWorld(t)
	b := w.browser("budi")
	w.down = errDown
	for name, tt := range map[string]struct{ kind, body, site string }{
		"JSON":            {"application/json", `{"amount":1}`, "same-origin"},
		"a file":          {"multipart/form-data; boundary=x", "--x--", "same-origin"},
		"another charset": {formType + "; charset=utf-16", "amount=1", "same-origin"},
		"bytes":           {formType, "amount=%ff", "same-origin"},
		"a NUL":           {formType, "amount=%00", "same-origin"},
		"a broken escape": {formType, "amount=%zz", "same-origin"},
		"a long form":     {formType, "amount=" + strings.Repeat("1", 64<<10), "same-origin"},
		"another site's":  {formType, "amount=1", "cross-site"},
	} {
		r := b.request("POST", withdraw, tt.kind, tt.body)
		r.Header.Set("Sec-Fetch-Site", tt.site)
		if page := text(t, b.do(r)); againField.MatchString(page) {
			t.Errorf("%s is repeated:\n%s", name, page)
		}
	}
}
