package htmlsite

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// browser has a cookie jar and follows no redirect by itself.
type browser struct {
	t    *testing.T
	base *url.URL
	http *http.Client
}

func open(t *testing.T) (*Site, *browser) {
	t.Helper()
	site := New()
	server := httptest.NewServer(site)
	t.Cleanup(server.Close)
	base, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return site, &browser{t, base, &http.Client{
		Jar:           jar,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// answer is a status, where a redirect goes, and a page.
type answer struct {
	status       int
	to, contents string
}

func (b *browser) read(res *http.Response, err error) answer {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header.Get("Location"), string(body)}
}

func (b *browser) get(path string) answer {
	b.t.Helper()
	return b.read(b.http.Get(b.base.String() + path))
}

var tokenField = regexp.MustCompile(`name="token" value="([^"]+)"`)

// submit fills in a form of a page, token and all.
func (b *browser) submit(page, path string, pairs ...string) answer {
	b.t.Helper()
	form := url.Values{}
	if m := tokenField.FindStringSubmatch(b.get(page).contents); m != nil {
		form.Set("token", m[1])
	}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	return b.read(b.http.PostForm(b.base.String()+path, form))
}

func (b *browser) logIn(username string) {
	b.t.Helper()
	b.submit("/login", "/login", "username", username, "password", password).want(b.t, 303, "/")
}

func (b *browser) session() string {
	for _, c := range b.http.Jar.Cookies(b.base) {
		if c.Name == SessionCookie {
			return c.Value
		}
	}
	return ""
}

func (a answer) want(t *testing.T, status int, to string, texts ...string) {
	t.Helper()
	if a.status != status || a.to != to {
		t.Errorf("answer is %d to %q, want %d to %q:\n%s", a.status, a.to, status, to, a.contents)
	}
	for _, text := range texts {
		if !strings.Contains(a.contents, text) {
			t.Errorf("the page lacks %q:\n%s", text, a.contents)
		}
	}
}

func TestPagesSayWhoIsLoggedIn(t *testing.T) {
	_, b := open(t)
	b.logIn("budi")
	for path, shows := range map[string]string{
		"/": "<h1>Poker Kenanga</h1>", "/wallet": "Rp10000000", "/transfers": "Belum ada penarikan.", "/profile": `data-name="budi">budi</span>`,
	} {
		b.get(path).want(t, 200, "", `<body data-player="17">`, "Halo, <b>budi</b>", shows)
	}
	b.get("/profile").want(t, 200, "", `name="email" type="email" value="budi@example.com"`, `name="phone" type="tel" value="&#43;6281234567800"`)
}

func TestStrangersAreSentToTheLogin(t *testing.T) {
	site, b := open(t)
	for _, path := range []string{"/profile", "/wallet", "/transfers"} {
		b.get(path).want(t, 303, "/login")
	}
	for _, path := range []string{"/profile/nickname", "/profile/contact", "/wallet/withdraw"} {
		b.submit("/login", path, "amount", "1000", "account", "BCA 1").want(t, 303, "/login")
	}
	b.get("/").want(t, 200, "", "<body>", `href="/login"`)
	b.get("/nowhere").want(t, 404, "")
	if site.transfers != 0 {
		t.Error("a stranger has moved money")
	}
}

func TestTheSessionIsAnotherOneAfterLoginAndAfterLogout(t *testing.T) {
	_, b := open(t)
	b.get("/login")
	seen := []string{b.session()}
	b.logIn("budi")
	seen = append(seen, b.session())
	b.submit("/", "/logout").want(t, 303, "/login")
	seen = append(seen, b.session())
	b.get("/profile").want(t, 303, "/login")
	if seen[0] == "" || seen[0] == seen[1] || seen[1] == seen[2] || seen[2] == seen[0] {
		t.Errorf("session ids are %q, want three", seen)
	}
	// Those that ended are worth nothing.
	for _, old := range seen[:2] {
		b.http.Jar.SetCookies(b.base, []*http.Cookie{{Name: SessionCookie, Value: old, Path: "/"}})
		b.get("/profile").want(t, 303, "/login")
	}
}

func TestAWrongPasswordLogsNobodyIn(t *testing.T) {
	_, b := open(t)
	for _, name := range []string{"budi", "nobody", ""} {
		b.submit("/login", "/login", "username", name, "password", "salah").want(t, 422, "", "kata sandi salah", "<body>")
	}
	b.submit("/login", "/login", "username", "nobody", "password", password).want(t, 422, "", "<body>")
}

func TestAFormWithoutTheTokenOfItsSessionIsRefused(t *testing.T) {
	site, b := open(t)
	b.logIn("budi")
	stale := tokenField.FindStringSubmatch(b.get("/wallet").contents)[1]
	b.submit("/", "/logout").want(t, 303, "/login")
	b.logIn("budi")
	for _, token := range []string{"", "made up", stale} {
		b.submit("/wallet", "/wallet/withdraw", "token", token, "amount", "1000", "account", "BCA 1").want(t, 403, "")
	}
	if got := site.Ledger("budi"); len(got) != 0 {
		t.Errorf("ledger = %v, want none", got)
	}
}

// Whoever asks a page who is logged in must not be answered by a player.
func TestWhatAPlayerTypesIsTextOnEveryPage(t *testing.T) {
	_, b := open(t)
	b.logIn("budi")
	const markup = `"><b id=me data-id=1>`
	b.submit("/profile", "/profile/nickname", "nickname", markup).want(t, 303, "/profile")
	b.submit("/profile", "/profile/contact", "email", `x@"><body data-player=18>`, "phone", "+6281200000000").want(t, 303, "/profile")
	b.submit("/wallet", "/wallet/withdraw", "amount", "1000", "account", markup).want(t, 303, "/transfers")
	for _, path := range []string{"/", "/wallet", "/transfers", "/profile"} {
		a := b.get(path)
		a.want(t, 200, "", `<b>&#34;&gt;&lt;b id=me data-id=1&gt;</b>`)
		if strings.Contains(a.contents, "<b id") || strings.Count(a.contents, "<body") != 1 {
			t.Errorf("%s has markup of the player:\n%s", path, a.contents)
		}
	}
}

func TestWithdrawalsAreListed(t *testing.T) {
	site, b := open(t)
	b.logIn("sari")
	for range 2 {
		b.submit("/wallet", "/wallet/withdraw", "amount", "2500000", "account", " BCA 1234567890 ").want(t, 303, "/transfers")
	}
	b.get("/transfers").want(t, 200, "", `<li value="1">Rp2500000 ke BCA 1234567890</li>`, `<li value="2">`)
	b.get("/wallet").want(t, 200, "", "Rp5000000")
	want := []Transfer{{1, 2_500_000, "BCA 1234567890"}, {2, 2_500_000, "BCA 1234567890"}}
	if got := site.Ledger("sari"); !reflect.DeepEqual(got, want) {
		t.Errorf("ledger = %v, want %v", got, want)
	}
	if site.Ledger("budi") != nil || site.Ledger("nobody") != nil {
		t.Error("others have transfers too")
	}
}

func TestWhatCannotBeTakenIsExplainedAndChangesNothing(t *testing.T) {
	site, b := open(t)
	b.logIn("budi")
	for _, tc := range []struct{ page, path, name, value, name2, value2, problem string }{
		{"/wallet", "/wallet/withdraw", "amount", "10000001", "account", "BCA 1", "Saldo Anda tidak cukup."},
		{"/wallet", "/wallet/withdraw", "amount", "0", "account", "BCA 1", "Jumlah tidak sah."},
		{"/wallet", "/wallet/withdraw", "amount", "-1", "account", "BCA 1", "Jumlah tidak sah."},
		{"/wallet", "/wallet/withdraw", "amount", "banyak", "account", "BCA 1", "Jumlah tidak sah."},
		{"/wallet", "/wallet/withdraw", "amount", "1", "account", " ", "Rekening tidak sah."},
		{"/profile", "/profile/nickname", "nickname", " ", "", "", "Nama panggilan"},
		{"/profile", "/profile/contact", "email", "budi", "phone", "+6281200000000", "Alamat email tidak sah."},
		{"/profile", "/profile/contact", "email", "b@c", "phone", "0812", "Nomor telepon tidak sah."},
	} {
		b.submit(tc.page, tc.path, tc.name, tc.value, tc.name2, tc.value2).want(t, 422, "", tc.problem)
	}
	b.submit("/wallet", "/wallet/withdraw?amount=1&account=BCA").want(t, 422, "")
	if p := site.find("budi"); p.Balance != 10_000_000 || p.Email != "budi@example.com" || p.Nickname != "budi" {
		t.Errorf("budi is %+v", p)
	}
}

func TestWithdrawalsAtOnceNeverOverdraw(t *testing.T) {
	site, b := open(t)
	b.logIn("budi")
	form := url.Values{"token": tokenField.FindStringSubmatch(b.get("/wallet").contents)[1:], "amount": {"1000000"}, "account": {"BCA 1"}}
	var all sync.WaitGroup
	for range 15 {
		all.Go(func() {
			if res, err := b.http.PostForm(b.base.String()+"/wallet/withdraw", form); err == nil {
				res.Body.Close()
			}
		})
	}
	all.Wait()
	if got := site.Ledger("budi"); len(got) != 10 {
		t.Errorf("%d transfers, want 10", len(got))
	}
}
