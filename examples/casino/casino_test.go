package casino

import (
	"bufio"
	"context"
	"errors"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

var opening = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// clock is a time that only moves when a test moves it.
type clock struct{ offset atomic.Int64 }

func (c *clock) Now() time.Time           { return opening.Add(time.Duration(c.offset.Load())) }
func (c *clock) advance(by time.Duration) { c.offset.Add(int64(by)) }

// browser is a client with a cookie jar that follows no redirect by itself.
type browser struct {
	t      *testing.T
	base   string
	client *http.Client
}

type answer struct {
	status   int
	body     string
	location string
	header   http.Header
}

func open(t *testing.T, o Options) (*Site, *browser) {
	t.Helper()
	if o.Now == nil {
		o.Now = new(clock).Now
	}
	site := New(o)
	server := httptest.NewServer(site)
	t.Cleanup(server.Close)
	return site, newBrowser(t, server.URL)
}

func newBrowser(t *testing.T, base string) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{t, base, &http.Client{
		Jar:           jar,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func (b *browser) do(method, path, body string, header ...string) answer {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), method, b.base+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := b.client.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return answer{res.StatusCode, string(text), res.Header.Get("Location"), res.Header}
}

func (b *browser) get(path string) answer {
	b.t.Helper()
	return b.do("GET", path, "")
}

// post sends a form whose fields are given as name, value, name, value.
func (b *browser) post(path string, fields ...string) answer {
	b.t.Helper()
	form := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		form.Add(fields[i], fields[i+1])
	}
	return b.do("POST", path, form.Encode(), "Content-Type", "application/x-www-form-urlencoded")
}

func (b *browser) logIn(username string) {
	b.t.Helper()
	if a := b.post("/login", "username", username, "password", "rahasia"); a.status != 303 || a.location != "/" {
		b.t.Fatalf("login of %s = %d to %q, want 303 to /", username, a.status, a.location)
	}
}

func (b *browser) sessionID() string {
	u, err := url.Parse(b.base)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, c := range b.client.Jar.Cookies(u) {
		if c.Name == SessionCookie {
			return c.Value
		}
	}
	return ""
}

func (a answer) want(t *testing.T, status int, texts ...string) {
	t.Helper()
	if a.status != status {
		t.Errorf("status = %d, want %d; body: %s", a.status, status, a.body)
	}
	for _, text := range texts {
		if !strings.Contains(a.body, text) {
			t.Errorf("body lacks %q: %s", text, a.body)
		}
	}
}

func TestSiteKnowsNothingOfWhatStandsInFrontOfIt(t *testing.T) {
	own := reflect.TypeFor[Site]().PkgPath()
	word := regexp.MustCompile(`(?i)step[-_ ]?(gate|up)`)
	files := 0
	err := fs.WalkDir(os.DirFS("."), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		// The site's own import path names the module; nothing else may.
		text := strings.ReplaceAll(string(source), strconv.Quote(own), "")
		if found := word.FindString(text); found != "" {
			t.Errorf("%s speaks of %q", path, found)
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), path, source, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, i := range parsed.Imports {
			imported, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return err
			}
			if first, _, _ := strings.Cut(imported, "/"); strings.Contains(first, ".") && imported != own {
				t.Errorf("%s imports %s, want the standard library only", path, imported)
			}
			if (imported == "log" || imported == "log/slog") && !strings.HasPrefix(path, "cmd/") {
				t.Errorf("%s imports %s, want a site that logs nothing", path, imported)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 15 {
		t.Errorf("looked into %d files, want all of them", files)
	}
}

func TestPagesAreServedToThoseWhoMaySeeThem(t *testing.T) {
	_, stranger := open(t, Options{})
	member := newBrowser(t, stranger.base)
	member.logIn("budi")
	for _, tc := range []struct {
		path     string
		stranger int
		member   int
		shows    []string // to the member
	}{
		{"/", 200, 200, []string{"<h1>Jackpot malam ini</h1>", "Rp1.250.000.000", `action="/game/spin"`, `action="/logout"`}},
		{"/login", 200, 200, []string{`action="/login"`, `name="username"`, `name="password"`}},
		{"/password/reset", 200, 200, []string{`action="/password/reset"`, `name="email"`}},
		{"/wallet", 303, 200, []string{
			"Rp10.000.000", "Belum ada transaksi", `action="/wallet/withdraw"`, `name="amount"`, `name="account" value="BCA 1234567890"`, `action="/wallet/deposit"`,
		}},
		{"/account", 303, 200, []string{
			"Akun budi", "u-1001", `action="/account/email"`, `action="/account/phone"`, `action="/account/bank"`,
			`value="budi@example.com"`, `value="&#43;6281234567890"`, `<a href="/account/security">Keamanan akun</a>`,
		}},
		{"/account/security", 404, 404, []string{"Halaman ini tidak ada."}},
		{"/wallet/withdraw", 404, 404, []string{"Halaman ini tidak ada.", `href="/wallet"`}},
		{"/nowhere", 404, 404, nil},
	} {
		t.Run(tc.path, func(t *testing.T) {
			a := stranger.get(tc.path)
			a.want(t, tc.stranger)
			if tc.stranger == 303 && a.location != "/login" {
				t.Errorf("a stranger is sent to %q, want /login", a.location)
			}
			a = member.get(tc.path)
			a.want(t, tc.member, append(tc.shows, `<html lang="id">`)...)
			if got := a.header.Get("Cache-Control"); got != "no-store" {
				t.Errorf("Cache-Control = %q, want no-store", got)
			}
			if got := a.header.Get("Content-Security-Policy"); !strings.Contains(got, "frame-ancestors 'none'") {
				t.Errorf("Content-Security-Policy = %q, want one that forbids framing", got)
			}
		})
	}
}

func TestAssetsAreServedAndCached(t *testing.T) {
	_, b := open(t, Options{})
	for path, kind := range map[string]string{
		"/assets/casino.css": "text/css", "/assets/live.js": "text/javascript", "/assets/logo.svg": "image/svg+xml",
	} {
		a := b.get(path)
		a.want(t, 200)
		if got := a.header.Get("Content-Type"); !strings.HasPrefix(got, kind) {
			t.Errorf("Content-Type of %s = %q, want %s", path, got, kind)
		}
		if got := a.header.Get("Cache-Control"); got != "public, max-age=3600" {
			t.Errorf("Cache-Control of %s = %q, want public, max-age=3600", path, got)
		}
	}
	for _, path := range []string{"/assets/", "/assets/none.css", "/assets/..%2fcasino.go"} {
		if a := b.get(path); a.status == 200 {
			t.Errorf("GET %s = 200, want a refusal", path)
		}
	}
}

func TestUnsafeRequestsFromAnotherSiteAreRefused(t *testing.T) {
	site, b := open(t, Options{})
	b.logIn("budi")
	host := strings.TrimPrefix(b.base, "http://")
	for _, tc := range []struct {
		name, header, value string
		status              int
	}{
		{"own origin", "Origin", b.base, 303},
		{"own origin behind TLS", "Origin", "https://" + host, 303},
		{"own referer", "Referer", b.base + "/wallet", 303},
		{"neither", "X-Nothing", "", 303},
		{"other origin", "Origin", "https://evil.example", 403},
		{"other port", "Origin", "http://127.0.0.1:1", 403},
		{"opaque origin", "Origin", "null", 403},
		{"unreadable origin", "Origin", "http://%zz", 403},
		{"other referer", "Referer", "https://evil.example/" + host, 403},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before := len(site.Ledger("budi"))
			b.do("POST", "/wallet/deposit", "amount=1000", "Content-Type", "application/x-www-form-urlencoded", tc.header, tc.value).want(t, tc.status)
			if booked := len(site.Ledger("budi")) - before; (booked == 1) != (tc.status == 303) {
				t.Errorf("booked %d entries with status %d", booked, tc.status)
			}
		})
	}
	b.do("GET", "/wallet", "", "Referer", "https://evil.example/").want(t, 200)
	b.do("POST", "/api/v1/withdrawals", `{}`, "Origin", "https://evil.example").want(t, 403, `"error":"cross_site"`)
}

func TestBodiesThatCannotBeReadChangeNothing(t *testing.T) {
	site, b := open(t, Options{})
	b.logIn("budi")
	const form, multi = "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"
	for _, tc := range []struct{ name, contentType, body string }{
		{"bad escape", form, "amount=%zz&account=BCA+1"},
		{"over the cap", form, "amount=1000&account=BCA+1&pad=" + strings.Repeat("x", maxBody)},
		{"broken multipart", multi, "--x\r\nno headers"},
	} {
		for _, path := range []string{"/login", "/password/reset", "/wallet/withdraw"} {
			t.Run(tc.name+" to "+path, func(t *testing.T) {
				b.do("POST", path, tc.body, "Content-Type", tc.contentType).want(t, 400, errBadBody.Message)
			})
		}
	}
	if got := site.Ledger("budi"); len(got) != 0 {
		t.Errorf("ledger = %v, want none", got)
	}
}

func TestFailingRandomnessIsAnErrorPageThatTellsNothing(t *testing.T) {
	_, b := open(t, Options{Rand: strings.NewReader("too short")})
	for _, a := range []answer{
		b.post("/login", "username", "budi", "password", "rahasia"),
		b.post("/password/reset", "email", "budi@example.com"),
	} {
		a.want(t, 500, errInternal.Message)
		if strings.Contains(a.body, "EOF") {
			t.Errorf("body tells the error: %s", a.body)
		}
	}
}

func TestLiveSendsTheJackpotAtOnceAndAtEveryTick(t *testing.T) {
	ticks, stopped := make(chan time.Time), make(chan struct{})
	_, b := open(t, Options{NewTicker: func() (<-chan time.Time, func()) { return ticks, func() { close(stopped) } }})
	res, err := b.client.Get(b.base + "/live")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if got := res.Header.Get("Content-Type"); got != "text/event-stream" {
		t.Errorf("Content-Type = %q, want text/event-stream", got)
	}
	lines := bufio.NewReader(res.Body)
	event := func() string {
		var text strings.Builder
		for range 3 {
			line, err := lines.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			text.WriteString(line)
		}
		return text.String()
	}
	if got, want := event(), "event: jackpot\ndata: Rp1.250.000.000\n\n"; got != want {
		t.Errorf("first event = %q, want %q", got, want)
	}
	ticks <- opening.Add(2 * time.Second)
	if got, want := event(), "event: jackpot\ndata: Rp1.250.002.500\n\n"; got != want {
		t.Errorf("second event = %q, want %q", got, want)
	}
	close(ticks)
	if _, err := lines.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("after the last tick: %v, want the end of the stream", err)
	}
	<-stopped
}

func TestLiveStopsItsTickerWhenTheBrowserLeaves(t *testing.T) {
	stopped := make(chan struct{})
	_, b := open(t, Options{NewTicker: func() (<-chan time.Time, func()) { return nil, func() { close(stopped) } }})
	ctx, leave := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, "GET", b.base+"/live", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := b.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	leave()
	<-stopped
}

func TestZeroOptionsMakeAWorkingSite(t *testing.T) {
	server := httptest.NewServer(New(Options{}))
	defer server.Close()
	one, two := newBrowser(t, server.URL), newBrowser(t, server.URL)
	one.logIn("budi")
	two.logIn("budi")
	if one.sessionID() == two.sessionID() {
		t.Error("two sessions have the same id")
	}
	one.post("/password/reset", "email", "budi@example.com").want(t, 200)
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	req, err := http.NewRequestWithContext(ctx, "GET", server.URL+"/live", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if line, err := bufio.NewReader(res.Body).ReadString('\n'); line != "event: jackpot\n" {
		t.Errorf("first line = %q, %v, want an event", line, err)
	}
}
