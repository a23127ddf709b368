package challengepages

import (
	"testing"
	"time"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// phone takes the place of a browser with WebOTP: the test lets the SMS come in, or
// the player refuse it.
const phone = `(() => {
	window.OTPCredential = function () {};
	Object.defineProperty(navigator, 'credentials', {value: {get: o => {
		window.asked = (window.asked || 0) + 1;
		window.transport = o.otp.transport.join();
		window.signal = o.signal;
		return new Promise((resolve, reject) => {
			window.comesIn = code => { resolve({code}) };
			window.refuse = () => { reject(new DOMException('no', 'NotAllowedError')) };
			o.signal.addEventListener('abort', () => { reject(new DOMException('stop', 'AbortError')) });
		});
	}}});
	document.addEventListener('submit', e => { window.submitted = true; e.preventDefault() });
})()`

// R76: the code of the SMS lands in the field of each page that waits for one. The
// player sends it, and what they typed stays.
func TestCodeOfTheSMSFillsTheFieldAndNothingElse(t *testing.T) {
	b := openBrowser(t, site(t, newRenderer(t)), time.Minute)
	call(t, b, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: phone})
	const value = `document.getElementById('c').value`
	for _, state := range []string{"challenge-sms", "challenge-sms-undelivered", "sms-setup"} {
		t.Run(state, func(t *testing.T) {
			b.open(t, "/id/"+state)
			if got := evaluate[string](t, b, `asked + ' ' + transport + ' ' + signal.aborted`); got != "1 sms false" {
				t.Errorf("asked, for, stopped: %q", got)
			}
			for attribute, want := range map[string]string{"autocomplete": "one-time-code", "inputmode": "numeric"} {
				if got := evaluate[string](t, b, `document.getElementById('c').getAttribute('`+attribute+`')`); got != want {
					t.Errorf("%s is %q, want %q", attribute, got, want)
				}
			}
			evaluate[chromedp.Void](t, b, `comesIn('123456')`)
			b.await(t, value+` == '123456'`)
			if evaluate[bool](t, b, `!!window.submitted`) {
				t.Error("the page sent the code by itself")
			}

			b.open(t, "/id/"+state)
			evaluate[chromedp.Void](t, b, value+` = '99'; comesIn('123456')`)
			if got := evaluate[string](t, b, `new Promise(done => setTimeout(() => done(`+value+`)))`); got != "99" {
				t.Errorf("what the player typed is now %q", got)
			}

			b.open(t, "/id/"+state)
			evaluate[chromedp.Void](t, b, value+` = '654321'; document.querySelector('.go').click()`)
			if !evaluate[bool](t, b, `submitted && signal.aborted`) {
				t.Error("the browser still waits for an SMS after the code is sent")
			}

			b.open(t, "/id/"+state)
			evaluate[chromedp.Void](t, b, `refuse()`)
			for _, c := range b.takeComplaints() {
				t.Errorf("the browser complains: %s", c)
			}
		})
	}
	for _, state := range []string{"challenge-totp", "challenge-key", "challenge-sms-unsent", "totp-setup"} {
		b.open(t, "/id/"+state)
		if evaluate[bool](t, b, `!!window.asked`) {
			t.Errorf("%s waits for an SMS", state)
		}
	}
}

// The next SMS can be asked for once the wait is over, also where the first could not
// be sent; without script the button says from when.
func TestSendButtonOfAFailedSMSCountsDown(t *testing.T) {
	b := openBrowser(t, site(t, newRenderer(t)), time.Minute)
	call(t, b, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: surroundings})
	for state, words := range map[string]string{"challenge-sms-failed": "Kirim kode SMS", "sms-setup-unsent": "Kirim ulang kode"} {
		b.open(t, "/id/"+state)
		const button = `document.querySelector('[data-wait]')`
		got := evaluate[string](t, b, `[`+button+`.textContent, `+button+`.disabled].join()`)
		if want := words + " dalam 28\u00a0dtk,true"; got != want {
			t.Errorf("%s: at the beginning %q, want %q", state, got, want)
		}
		evaluate[chromedp.Void](t, b, `advance(28)`)
		got = evaluate[string](t, b, `[`+button+`.textContent, `+button+`.disabled].join()`)
		if want := words + " ,false"; got != want {
			t.Errorf("%s: after the wait %q, want %q", state, got, want)
		}
	}
}
