// Package phpsite tests the example site in PHP; site.php says what it is.
package phpsite

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// browser has a cookie jar and follows no redirect by itself.
type browser struct {
	t    *testing.T
	base string
	data string // the site's folder
	http *http.Client
}

// open runs the site under PHP's own server.
func open(t *testing.T) *browser {
	t.Helper()
	php, err := exec.LookPath("php")
	switch {
	case err == nil:
	case os.Getenv("CI") == "true":
		t.Fatal("no PHP: install it (Debian: apt-get install php-cli)")
	default:
		t.Skip("no PHP: install it (Debian: apt-get install php-cli)")
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address, data := free.Addr().String(), t.TempDir()
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(php, "-q", "-S", address, "-t", "public")
	cmd.Env = append(os.Environ(), "PHPSITE_DATA="+data)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // reports the kill
	})
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("PHP does not listen: %v", err)
		}
	}
	return (&browser{t: t, base: "http://" + address, data: data}).another()
}

// another returns another browser at the same site.
func (b *browser) another() *browser {
	b.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		b.t.Fatal(err)
	}
	return &browser{b.t, b.base, b.data, &http.Client{
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
	return b.read(b.http.Get(b.base + path))
}

func (b *browser) post(path string, pairs ...string) answer {
	b.t.Helper()
	form := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	return b.read(b.http.PostForm(b.base+path, form))
}

func (b *browser) logIn(username string) {
	b.t.Helper()
	b.post("/login.php", "username", username, "password", "rahasia").want(b.t, 303, "/withdraw.php")
}

// me returns whom the site takes the browser's session for, nil for a stranger.
func (b *browser) me() any {
	b.t.Helper()
	var me map[string]any
	if a := b.get("/me.php"); a.status != 200 || json.Unmarshal([]byte(a.contents), &me) != nil {
		b.t.Fatalf("/me.php answers %d: %s", a.status, a.contents)
	}
	return me["login"]
}

func (b *browser) session() string {
	at, err := url.Parse(b.base)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, c := range b.http.Jar.Cookies(at) {
		if c.Name == "PHPSESSID" {
			return c.Value
		}
	}
	return ""
}

// file returns what stands in a file of the site, nothing if there is none.
func (b *browser) file(name string) string {
	text, _ := os.ReadFile(filepath.Join(b.data, name))
	return string(text)
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
	if strings.Contains(a.contents, "Warning:") || strings.Contains(a.contents, "Fatal error:") {
		t.Errorf("PHP complains:\n%s", a.contents)
	}
}

func TestOneSessionIdIsAStrangersAndTwoPlayers(t *testing.T) {
	b := open(t)
	b.get("/login.php").want(t, 200, "")
	id := b.session()
	if id == "" || b.me() != nil {
		t.Fatalf("a stranger has session %q and is %v", id, b.me())
	}
	b.logIn("budi")
	if b.session() != id || b.me() != "budi" {
		t.Errorf("after login the session is %q of %v, want %q of budi", b.session(), b.me(), id)
	}
	b.get("/logout.php").want(t, 303, "/login.php")
	if b.session() != id || b.me() != nil {
		t.Errorf("after logout the session is %q of %v, want %q of nobody", b.session(), b.me(), id)
	}
	b.logIn("sari")
	b.logIn("agus") // without logging out
	if b.session() != id || b.me() != "agus" {
		t.Errorf("after two logins the session is %q of %v, want %q of agus", b.session(), b.me(), id)
	}
}

func TestTheSiteTakesASessionIdThatItNeverGave(t *testing.T) {
	b := open(t)
	at, err := url.Parse(b.base)
	if err != nil {
		t.Fatal(err)
	}
	b.http.Jar.SetCookies(at, []*http.Cookie{{Name: "PHPSESSID", Value: "chosenbyanattacker"}})
	b.logIn("budi")
	if b.session() != "chosenbyanattacker" || b.me() != "budi" {
		t.Errorf("session is %q of %v", b.session(), b.me())
	}
}

func TestMeTellsScriptsWhoIsLoggedIn(t *testing.T) {
	b := open(t)
	b.get("/me.php").want(t, 200, "", `{"id":null,"login":null,"email":null,"phone":null}`)
	b.logIn("budi")
	b.get("/me.php").want(t, 200, "", `{"id":31,"login":"budi","email":"budi@example.com","phone":"+6281234567821"}`)
}

func TestStrangersAreSentToTheLogin(t *testing.T) {
	b := open(t)
	for _, path := range []string{"/withdraw.php", "/email.php"} {
		b.get(path).want(t, 303, "/login.php")
		b.post(path, "amount", "1", "account", "BCA 1", "email", "x@example.com").want(t, 303, "/login.php")
	}
	for _, fields := range [][]string{{"budi", "salah"}, {"budi", ""}, {"nobody", "rahasia"}, {"nobody", ""}, {"", ""}} {
		b.post("/login.php", "username", fields[0], "password", fields[1]).want(t, 422, "", "kata sandi salah")
	}
	b.post("/login.php", "username[]", "budi", "password[]", "rahasia").want(t, 422, "")
	b.get("/").want(t, 200, "", `href="/login.php"`)
	if b.me() != nil || b.file("ledger-budi.txt") != "" {
		t.Error("a stranger got in")
	}
}

func TestWithdrawalsAreLines(t *testing.T) {
	b := open(t)
	b.logIn("budi")
	for range 2 {
		b.post("/withdraw.php", "amount", "2500000", "account", " <b>BCA 1 ").want(t, 303, "/withdraw.php")
	}
	if got, want := b.file("ledger-budi.txt"), "1\t2500000\t<b>BCA 1\n2\t2500000\t<b>BCA 1\n"; got != want {
		t.Errorf("ledger = %q, want %q", got, want)
	}
	b.get("/withdraw.php").want(t, 200, "", "Rp5000000", `<li value="2">Rp2500000 ke &lt;b&gt;BCA 1</li>`)
	for _, fields := range [][]string{{"5000001", "BCA 1"}, {"0", "BCA 1"}, {"-1", "BCA 1"}, {"1.5", "BCA 1"}, {"1", ""}, {"1", "BCA\t1\n2\t9\tx"}} {
		b.post("/withdraw.php", "amount", fields[0], "account", fields[1]).want(t, 422, "")
	}
	if got := strings.Count(b.file("ledger-budi.txt"), "\n"); got != 2 {
		t.Errorf("%d lines, want 2", got)
	}
}

func TestTheEmailAddressChanges(t *testing.T) {
	b := open(t)
	b.logIn("budi")
	b.post("/email.php", "email", "new@example.com").want(t, 303, "/email.php")
	b.get("/email.php").want(t, 200, "", `value="new@example.com"`)
	b.post("/email.php", "email", `"><b id=me>`).want(t, 422, "", "tidak sah", `value="new@example.com"`)
}

func TestANewPasswordIsMailedAndBeginsWithItsUse(t *testing.T) {
	b := open(t)
	known := b.post("/reset.php", "email", "BUDI@example.com")
	known.want(t, 200, "", "Jika alamat itu terdaftar")
	if unknown := b.post("/reset.php", "email", "nobody@example.com"); unknown != known {
		t.Errorf("an unknown address is answered\n%v\na known one\n%v", unknown, known)
	}
	b.logIn("budi") // locked out by nobody
	address, mailed, _ := strings.Cut(strings.TrimSpace(b.file("mail.txt")), ": ")
	if address != "budi@example.com" || len(mailed) != 20 {
		t.Fatalf("mail = %q, want one to budi", b.file("mail.txt"))
	}
	b.post("/reset.php", "email", "budi@example.com")
	_, mailed, _ = strings.Cut(strings.Split(b.file("mail.txt"), "\n")[1], ": ")
	other := b.another()
	other.post("/login.php", "username", "budi", "password", mailed).want(t, 303, "/withdraw.php")
	other.post("/login.php", "username", "budi", "password", "rahasia").want(t, 422, "")
	other.post("/login.php", "username", "budi", "password", mailed).want(t, 303, "/withdraw.php")
}
