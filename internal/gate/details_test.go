package gate_test

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"strings"
	"testing"
)

func TestDetailsThatStandTwiceAreRefused(t *testing.T) {
	w := newWorld(t)
	w.enrolSMS("budi")
	for _, twice := range []string{
		"amount=1&amount=999", "amount=1&AMOUNT=999", "amount=1&amount%5B%5D=999", "amount=1;amount=999", "x=1;amount=999&amount=1",
		"amount=1%00999", "amount=1&+amount=999", "amount=1%zz",
	} {
		b := w.browser("budi")
		wantStatus(t, b.do(b.request("POST", withdraw, formType, twice)), http.StatusBadRequest)
	}
	for _, twice := range []string{`{"amount":1,"amount":999}`, `{"amount":1,"Amount":999}`, `{"amount":[1]}`, `{"amount":{}}`, `{"amount":1}{"amount":2}`} {
		wantStatus(t, w.script("budi").json("POST", api, twice), http.StatusBadRequest)
	}
	wantHits(t, w, 0)
}

// What the page shows is what the player approves, so a body that may say more is
// not shown at all.
func TestDetailsOfABodyThatIsUnclearAreRefused(t *testing.T) {
	w := newWorld(t)
	w.enrolSMS("budi")
	for contentType, text := range map[string]string{
		"text/xml":                               "<amount>999</amount>",
		"multipart/form-data; boundary=a,b":      "--a--",
		formType + "; charset=utf-16":            "amount=1",
		"application/json":                       `{"amount":1,}`,
		"application/x-www-form-urlencoded; x=1": `{amount:1}`,
	} {
		b := w.browser("budi")
		if res := b.do(b.request("POST", withdraw, contentType, text)); res.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: status = %d, want 400", contentType, res.StatusCode)
		}
	}
	b := w.browser("budi")
	coded := b.request("POST", withdraw, formType, "amount=1")
	coded.Header.Set("Content-Encoding", "gzip")
	wantStatus(t, b.do(coded), http.StatusBadRequest)
	wantHits(t, w, 0)
}

func TestDetailsAreFoundUnderAnotherContentTypeAndInACodedBody(t *testing.T) {
	w := newWorld(t)
	w.enrolSMS("budi")
	var coded bytes.Buffer
	z := gzip.NewWriter(&coded)
	if _, err := z.Write([]byte("amount=2500000&account=BCA+1")); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	b := w.browser("budi")
	zipped := b.request("POST", withdraw, formType, coded.String())
	zipped.Header.Set("Content-Encoding", "gzip")
	for _, r := range []*http.Request{zipped, b.request("POST", withdraw, "text/plain", `{"amount":2500000,"account":"BCA 1"}`)} {
		res := b.do(r)
		wantStatus(t, res, http.StatusUnauthorized)
		if page := text(t, res); !strings.Contains(page, "Rp2,500,000") || !strings.Contains(page, "BCA 1") {
			t.Errorf("%v: the page does not show the details (R1)", r.Header)
		}
	}
	wantHits(t, w, 0)
}
