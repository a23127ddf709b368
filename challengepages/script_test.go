package challengepages

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/google/go-cmp/cmp"
)

// surroundings takes the place of what the script finds in a phone: a clock that
// the test moves, a clipboard, a code that arrives by SMS, a file that is saved.
const surroundings = `(() => {
	let clock = 0, due = [];
	Date.now = () => clock;
	window.setTimeout = (f, ms) => { due.push({at: clock + ms, f}) };
	window.advance = seconds => {
		const end = clock + seconds * 1000;
		for (;;) {
			due.sort((a, b) => a.at - b.at);
			if (!due.length || due[0].at > end) break;
			const next = due.shift();
			clock = next.at;
			next.f();
		}
		clock = end;
	};
	Object.defineProperty(navigator, 'clipboard', {value: {writeText: s => { window.copied = s; return Promise.resolve() }}});
	window.OTPCredential = function () {};
	Object.defineProperty(navigator, 'credentials', {value: {get: o => {
		window.asked = o.otp.transport[0];
		return Promise.resolve({code: '123456'});
	}}});
	URL.createObjectURL = blob => { window.saved = blob; return 'data:,' };
	HTMLAnchorElement.prototype.click = function () { window.savedAs = this.download };
	window.print = () => { window.printed = true };
	document.addEventListener('submit', () => { window.submitted = true });
})()`

func TestScriptOnlyAdds(t *testing.T) {
	b := openBrowser(t, site(t, newRenderer(t)), time.Minute)
	call(t, b, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: surroundings})
	text := func(selector string) string {
		t.Helper()
		return strings.ReplaceAll(evaluate[string](t, b, `document.querySelector('`+selector+`').textContent`), "\u00a0", " ")
	}

	b.open(t, "/en/challenge-sms")
	const left, wait = "[data-left]", "[data-wait]"
	if got, want := text(left), "Confirm by 14:10 WIB (10 min). After that the request is dropped and nothing is sent."; got != want {
		t.Errorf("at the beginning: %q, want %q", got, want)
	}
	if got := text(wait); got != "Resend the code in 28 s" || !evaluate[bool](t, b, `document.querySelector('`+wait+`').disabled`) {
		t.Errorf("at the beginning the resend button says %q", got)
	}
	evaluate[chromedp.Void](t, b, `advance(28)`)
	if got := text(wait); got != "Resend the code " || evaluate[bool](t, b, `document.querySelector('`+wait+`').disabled`) {
		t.Errorf("after 28 s the resend button says %q", got)
	}
	evaluate[chromedp.Void](t, b, `advance(600 - 28 - 45)`)
	if got := text(left); !strings.Contains(got, "(45 s)") {
		t.Errorf("45 s before the end: %q", got)
	}
	evaluate[chromedp.Void](t, b, `advance(45)`)
	if got, want := text(left+"[role=alert]"), "Time is up. The request was dropped and nothing was sent. Please start again."; got != want {
		t.Errorf("at the end: %q, want %q", got, want)
	}
	if got := evaluate[string](t, b, `asked + ' ' + document.getElementById('c').value`); got != "sms 123456" {
		t.Errorf("WebOTP: %q", got)
	}
	if evaluate[bool](t, b, `!!window.submitted`) {
		t.Error("the page sent the code by itself")
	}

	b.open(t, "/en/recovery-key")
	evaluate[chromedp.Void](t, b, `document.querySelectorAll('.tools button').forEach(button => button.click())`)
	const key = "ABCD-EFGH-JKMN-PQRS-TVWX-YZ23-4567"
	got := evaluate[[]string](t, b, `saved.text().then(text => [copied, text, savedAs, String(printed)])`)
	if diff := cmp.Diff([]string{key, "Recovery key for Example: " + key + "\r\n", "recovery-key.txt", "true"}, got); diff != "" {
		t.Errorf("copied, saved, saved as, printed (-want +got):\n%s", diff)
	}
	if got := text("[data-copy][role=status]"); got != "Copied" {
		t.Errorf("after copying the button says %q", got)
	}
	for _, c := range b.takeComplaints() {
		t.Errorf("the browser complains: %s", c)
	}
}

// On paper stands what still holds when it is found again: not what to do on the page.
func TestRecoveryKeyPrintsWithoutButtons(t *testing.T) {
	b := openBrowser(t, site(t, newRenderer(t)), time.Minute)
	b.open(t, "/en/recovery-key-used")
	call(t, b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Media: "print", Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}})
	if got := evaluate[string](t, b, `getComputedStyle(document.querySelector('.secret')).color`); got != "rgb(0, 0, 0)" {
		t.Errorf("in the dark the key is printed in %s, want black", got)
	}
	const seen = `['.secret', '.big .of', 'header b', 'button', 'a', 'footer', '.hint'].map(s => [...document.querySelectorAll(s)].some(e => e.checkVisibility()))`
	if diff := cmp.Diff([]bool{true, true, true, false, false, false, false}, evaluate[[]bool](t, b, seen)); diff != "" {
		t.Errorf("key, what it is for, name, buttons, links, footer, what to do next on paper (-want +got):\n%s", diff)
	}
}

// The player types the code and presses Enter, or Tab and Enter: the code is
// answered, and no other button of the page is pressed. The request says where it
// comes from, which the gate's protection against other sites looks at.
func TestChallengeIsAnsweredWithoutJavaScript(t *testing.T) {
	type post struct {
		form   url.Values
		origin string
	}
	posts := make(chan post, 1)
	r := newRenderer(t)
	b := openBrowser(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Method == http.MethodPost {
			if err := req.ParseForm(); err != nil {
				t.Error(err)
			}
			posts <- post{req.PostForm, req.Header.Get("Origin")}
			w.Header().Set("Content-Type", "text/html")
			_, _ = w.Write([]byte("<title>Sent</title>"))
			return
		}
		challenge, err := r.Render(Indonesian, withdrawal())
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", r.CSP(Challenge{}))
		_, _ = w.Write(challenge)
	}), time.Minute)
	call(t, b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	for _, test := range []struct {
		keys []string
		want string
	}{
		{[]string{"123 456", "\r"}, "answer 123 456"},
		{[]string{"654321", "\t", "\r"}, "answer 654321"},
		{[]string{"\t", "\t", "\r"}, "send "},
	} {
		b.open(t, "/wallet/withdraw?from=main&step=2")
		b.await(t, `document.activeElement.id == 'c'`)
		for _, keys := range test.keys {
			if err := chromedp.Do(b.ctx, chromedp.KeyEvent(keys)); err != nil {
				t.Fatal(err)
			}
		}
		b.await(t, `document.title == 'Sent'`)
		p := <-posts
		if got := p.form.Get(FieldAction) + " " + p.form.Get(FieldCode); got != test.want || p.form.Get(FieldChallenge) != withdrawal().ID {
			t.Errorf("keys %q sent %v, want %q", test.keys, p.form, test.want)
		}
		if p.origin != b.base {
			t.Errorf("the form says that it comes from %q, want %q", p.origin, b.base)
		}
	}
}
