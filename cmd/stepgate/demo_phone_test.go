package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stepgate/stepgate/sms"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// look returns what the phone page answers.
func look(t *testing.T, p *phones, method, accept string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, "/.demo/phone", nil)
	r.Header.Set("Accept", accept)
	w := httptest.NewRecorder()
	if err := (&phonePage{phones: p}).ServeHTTP(w, r, nil); err != nil {
		t.Fatal(err)
	}
	return w
}

func receive(t *testing.T, p *phones, text, code string) {
	t.Helper()
	m := sms.Message{To: "+6281234567890", Text: text, Code: code, Ref: "r", Validity: time.Minute}
	if _, err := (&phoneSender{phones: p}).Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
}

func TestThePhoneShowsTheNewestMessageFirstAndForgetsTheOldest(t *testing.T) {
	p := newPhones(io.Discard, func() time.Time { return noon })
	if got := strings.TrimSpace(look(t, p, "GET", "*/*").Body.String()); got != "[]" {
		t.Errorf("a phone without messages shows %s, want []", got)
	}
	for i := range keptMessages + 1 {
		receive(t, p, "text", fmt.Sprintf("%06d", i))
	}
	var all []message
	if err := json.Unmarshal(look(t, p, "GET", "application/json").Body.Bytes(), &all); err != nil {
		t.Fatal(err)
	}
	want := message{To: "+6281234567890", Text: "text", Code: fmt.Sprintf("%06d", keptMessages), At: noon}
	if len(all) != keptMessages || all[0] != want || all[keptMessages-1].Code != "000001" {
		t.Errorf("the phone has %d messages from %+v to %+v, want %d, from %+v", len(all), all[0], all[len(all)-1], keptMessages, want)
	}
}

// The text can carry what a player typed, such as a payee.
func TestThePhonePageShowsAMessageAsText(t *testing.T) {
	p := newPhones(io.Discard, func() time.Time { return noon })
	receive(t, p, `to <script>alert("1")</script>`, "123456")
	w := look(t, p, "GET", "text/html,application/xhtml+xml")
	body := w.Body.String()
	if strings.Contains(body, "<script") || !strings.Contains(body, "to &lt;script&gt;") || !strings.Contains(body, "123456") {
		t.Errorf("the page is:\n%s", body)
	}
	if csp := w.Header().Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'; style-src 'sha256-") {
		t.Errorf("Content-Security-Policy = %q", csp)
	}
	if got := w.Header().Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control = %q", got)
	}
}

func TestThePhoneIsForReading(t *testing.T) {
	r := httptest.NewRequest("DELETE", "/.demo/phone", nil)
	w := httptest.NewRecorder()
	err := (&phonePage{phones: newPhones(io.Discard, time.Now)}).ServeHTTP(w, r, nil)
	if err == nil || w.Header().Get("Allow") != "GET, HEAD" || w.Body.Len() > 0 {
		t.Errorf("DELETE is answered %v, %v, %q", err, w.Header(), w.Body)
	}
	if w := look(t, newPhones(io.Discard, time.Now), http.MethodHead, ""); w.Code != http.StatusOK {
		t.Errorf("HEAD is answered %d", w.Code)
	}
}

func TestAMessageArrivesThoughNobodyReadsTheTerminal(t *testing.T) {
	terminal, gone := io.Pipe()
	_ = terminal.Close()
	p := newPhones(gone, time.Now)
	receive(t, p, "text", "123456")
	if all := p.all(); len(all) != 1 {
		t.Errorf("the phone has %d messages, want the one", len(all))
	}
}

// Whoever could configure the phone page in front of real players would publish
// their codes.
func TestPhonesAreUnknownOutsideTheDemo(t *testing.T) {
	out, err := stepgate(t, "list-modules").CombinedOutput()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(out), "stepgate.senders.console") {
		t.Errorf("list-modules does not list Stepgate's senders:\n%s", out)
	}
	if strings.Contains(string(out), "demo_phone") {
		t.Errorf("list-modules lists the demo's phone:\n%s", out)
	}
}

func TestTheDemosCaddyfileIsWrittenAsCaddyFormatsIt(t *testing.T) {
	g := gateway{Host: "localhost", Port: "9080", Site: "http://127.0.0.1:8080", Folder: "/a b", Phones: newPhones(io.Discard, time.Now)}
	g.Phones.register()
	config, warnings, err := g.adapt()
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range warnings {
		t.Errorf("line %d: %s", w.Line, w.Message)
	}
	for _, want := range []string{`"/a b/stepgate.db"`, `"/a b/storage"`, `"demo_phone"`, `"localhost","127.0.0.1"`} {
		if !strings.Contains(string(config), want) {
			t.Errorf("the configuration has no %s:\n%s", want, config)
		}
	}
}
