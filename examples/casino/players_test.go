package casino

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestApiMeDescribesEachPlayer(t *testing.T) {
	_, b := open(t, Options{})
	for username, want := range map[string]string{
		"budi": `{"id":"u-1001","username":"budi","email":"budi@example.com","phone":"+6281234567890"}`,
		"sari": `{"id":"u-1002","username":"sari","email":"sari@example.com","phone":"+6281298765432"}`,
		"agus": `{"id":"u-1003","username":"agus","email":"agus@example.com","phone":"+628111222333"}`,
		"dewi": `{"id":"u-1004","username":"dewi","email":"dewi@example.com","phone":""}`,
	} {
		t.Run(username, func(t *testing.T) {
			b := newBrowser(t, b.base)
			b.logIn(username)
			a := b.get("/api/me")
			a.want(t, 200)
			if got := strings.TrimSpace(a.body); got != want {
				t.Errorf("/api/me = %s, want %s", got, want)
			}
			if got := a.header.Get("Content-Type"); got != "application/json" {
				t.Errorf("Content-Type = %q, want application/json", got)
			}
		})
	}
}

func TestApiMeRefusesStrangersInJSON(t *testing.T) {
	_, b := open(t, Options{})
	for _, header := range [][]string{
		{}, {"Cookie", SessionCookie + "=made-up"}, {"Cookie", SessionCookie + "="}, {"Authorization", "Bearer made-up"}, {"Authorization", "Bearer"},
	} {
		a := b.do("GET", "/api/me", "", header...)
		a.want(t, 401, `"error":"unauthenticated"`)
		if got := a.header.Get("WWW-Authenticate"); got != `Bearer realm="casino"` {
			t.Errorf("WWW-Authenticate = %q, want a Bearer challenge", got)
		}
	}
}

func TestSessionCookieIsHttpOnlyLaxAndForTheWholeSite(t *testing.T) {
	_, b := open(t, Options{})
	a := b.post("/login", "username", " Budi ", "password", "rahasia")
	a.want(t, 303)
	cookies := (&http.Response{Header: a.header}).Cookies()
	if len(cookies) != 1 {
		t.Fatalf("login set %d cookies, want 1", len(cookies))
	}
	c := cookies[0]
	if c.Name != "casino_session" || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || len(c.Value) != 32 {
		t.Errorf("cookie = %v, want casino_session, HttpOnly, SameSite=Lax, Path=/ and 32 characters", c)
	}
}

func TestWrongCredentialsOpenNoSessionAndLookAlike(t *testing.T) {
	_, b := open(t, Options{})
	wrong := b.post("/login", "username", "budi", "password", "rahasia1")
	wrong.want(t, 401, errWrongPassword.Message, `action="/login"`)
	for _, fields := range [][]string{{"username", "nobody", "password", "rahasia"}, {"username", "budi"}, {}} {
		if a := b.post("/login", fields...); a.status != wrong.status || a.body != wrong.body {
			t.Errorf("login with %v answers otherwise than with a wrong password: %d %s", fields, a.status, a.body)
		}
	}
	b.do("POST", "/login?username=budi&password=rahasia", "").want(t, 401)
	b.do("POST", "/api/login", `{"username":"budi","password":"no"}`, "Content-Type", "application/json").want(t, 401, `"error":"wrong_password"`)
	if id := b.sessionID(); id != "" {
		t.Errorf("session id = %q, want none", id)
	}
}

func TestLoginNeverAdoptsAndAlwaysReplacesTheOldSession(t *testing.T) {
	_, b := open(t, Options{})
	form := "username=sari&password=rahasia"
	a := b.do("POST", "/login", form, "Content-Type", "application/x-www-form-urlencoded", "Cookie", SessionCookie+"=planted")
	a.want(t, 303)
	b.do("GET", "/api/me", "", "Authorization", "Bearer planted").want(t, 401)
	old := b.sessionID()
	b.logIn("budi")
	b.do("GET", "/api/me", "", "Authorization", "Bearer "+old).want(t, 401)
	b.get("/api/me").want(t, 200, `"username":"budi"`)
}

func TestLogoutEndsTheSessionOnTheServer(t *testing.T) {
	_, b := open(t, Options{})
	b.logIn("budi")
	id := b.sessionID()
	if a := b.post("/logout"); a.status != 303 || a.location != "/login" {
		t.Errorf("logout = %d to %q, want 303 to /login", a.status, a.location)
	}
	if got := b.sessionID(); got != "" {
		t.Errorf("the browser still has the cookie %q", got)
	}
	b.do("GET", "/api/me", "", "Cookie", SessionCookie+"="+id).want(t, 401)
	b.get("/logout").want(t, 404)
}

func TestSessionsEndAfterTheirLifetimeAndAreForgotten(t *testing.T) {
	var c clock
	site, b := open(t, Options{Now: c.Now})
	b.logIn("budi")
	c.advance(SessionLifetime - time.Nanosecond)
	b.get("/api/me").want(t, 200)
	c.advance(time.Nanosecond)
	b.get("/api/me").want(t, 401)
	newBrowser(t, b.base).logIn("sari")
	site.mu.Lock()
	defer site.mu.Unlock()
	if got := len(site.sessions); got != 1 {
		t.Errorf("%d sessions are kept, want sari's alone", got)
	}
}

func TestAppsUseTheSessionIdAsBearerToken(t *testing.T) {
	site, b := open(t, Options{})
	a := b.do("POST", "/api/login", `{"username":"budi","password":"rahasia"}`, "Content-Type", "application/json")
	a.want(t, 200)
	var login struct {
		Token     string
		TokenType string `json:"token_type"`
		ExpiresIn int    `json:"expires_in"`
	}
	if err := json.Unmarshal([]byte(a.body), &login); err != nil {
		t.Fatal(err)
	}
	if login.TokenType != "Bearer" || login.ExpiresIn != 12*60*60 {
		t.Errorf("login = %q, %d s, want Bearer, 43200 s", login.TokenType, login.ExpiresIn)
	}
	if id := b.sessionID(); id != "" {
		t.Errorf("the API login set the cookie %q, want none", id)
	}
	b.do("GET", "/api/me", "", "Authorization", "bearer "+login.Token).want(t, 200, `"id":"u-1001"`)
	b.do("POST", "/wallet/deposit", "amount=1000", "Authorization", "Bearer "+login.Token,
		"Content-Type", "application/x-www-form-urlencoded").want(t, 303)
	if got := len(site.Ledger("budi")); got != 1 {
		t.Errorf("%d entries, want 1", got)
	}
	b.do("POST", "/logout", "", "Authorization", "Bearer "+login.Token).want(t, 303)
	b.do("GET", "/api/me", "", "Authorization", "Bearer "+login.Token).want(t, 401)
}

func TestAuthorizationHeaderCountsAlone(t *testing.T) {
	_, b := open(t, Options{})
	b.logIn("budi")
	other := newBrowser(t, b.base)
	other.logIn("sari")
	b.do("GET", "/api/me", "", "Authorization", "Bearer "+other.sessionID()).want(t, 200, `"username":"sari"`)
	b.do("GET", "/api/me", "", "Authorization", "Bearer made-up").want(t, 401)
	b.do("GET", "/api/me", "", "Authorization", "Basic "+b.sessionID()).want(t, 401)
}

func TestProfileChangesAreSavedOrExplained(t *testing.T) {
	_, b := open(t, Options{})
	b.logIn("dewi")
	for _, tc := range []struct {
		path, field, value string
		status             int
		shows              string // on /account afterwards, or on the error page
	}{
		{"/account/email", "email", " dewi@new.example ", 303, `value="dewi@new.example"`},
		{"/account/email", "email", "dewi@new.example", 303, "Alamat email diperbarui."},
		{"/account/email", "email", "BUDI@example.com", 409, errEmailTaken.Message},
		{"/account/email", "email", "Dewi <dewi@x.example>", 422, errBadEmail.Message},
		{"/account/email", "email", "dewi@x.example\r\nBcc: a@b.example", 422, errBadEmail.Message},
		{"/account/email", "email", strings.Repeat("d", 250) + "@x.example", 422, errBadEmail.Message},
		{"/account/email", "email", "", 422, errBadEmail.Message},
		{"/account/phone", "phone", "0812-0000 1111", 303, `value="&#43;6281200001111"`},
		{"/account/phone", "phone", "+6591234567", 303, `value="&#43;6591234567"`},
		{"/account/phone", "phone", "+6591234567", 303, "Nomor telepon diperbarui."},
		{"/account/phone", "phone", "call me", 422, "Nomor telepon tidak sah."},
		{"/account/phone", "phone", "+62812345678901234", 422, "Nomor telepon tidak sah."},
		{"/account/phone", "phone", "", 422, "Nomor telepon tidak sah."},
		{"/account/bank", "account", "Mandiri 42", 303, `value="Mandiri 42"`},
		{"/account/bank", "account", `<b>"x"`, 303, `value="&lt;b&gt;&#34;x&#34;"`},
		{"/account/bank", "account", "BCA 1", 303, "Rekening bank diperbarui."},
		{"/account/bank", "account", " ", 422, errBadBank.Message},
		{"/account/bank", "account", "BCA\n1", 422, errBadBank.Message},
		{"/account/bank", "account", "BCA \xff", 422, errBadBank.Message},
		{"/account/bank", "account", strings.Repeat("é", 101), 422, errBadBank.Message},
	} {
		t.Run(tc.path+" "+tc.value, func(t *testing.T) {
			a := b.post(tc.path, tc.field, tc.value)
			if tc.status != 303 {
				a.want(t, tc.status, tc.shows)
				return
			}
			a.want(t, 303)
			if a.location != "/account" {
				t.Errorf("sent to %q, want /account", a.location)
			}
			b.get("/account").want(t, 200, tc.shows)
		})
	}
	b.get("/api/me").want(t, 200, `"email":"dewi@new.example","phone":"+6591234567"`)
}

func TestPasswordResetMailsANewPassword(t *testing.T) {
	type mail struct{ to, text string }
	mails := make(chan mail, 1)
	var c clock
	_, b := open(t, Options{Now: c.Now, SendMail: func(to, text string) { mails <- mail{to, text} }})
	reset := func() string {
		t.Helper()
		b.post("/password/reset", "email", "Budi@Example.com ").want(t, 200, "Jika alamat itu terdaftar")
		m := <-mails
		if m.to != "budi@example.com" {
			t.Errorf("mailed to %q, want budi@example.com", m.to)
		}
		return m.text[strings.LastIndexByte(m.text, ' ')+1:]
	}
	old := newBrowser(t, b.base)
	old.logIn("budi")

	late := reset()
	c.advance(resetLifetime)
	b.post("/login", "username", "budi", "password", late).want(t, 401)
	replaced := reset()
	password := reset()
	b.post("/login", "username", "budi", "password", replaced).want(t, 401)
	b.post("/login", "username", "sari", "password", password).want(t, 401)
	old.get("/api/me").want(t, 200) // who merely asks for a reset changes nothing yet

	b.post("/login", "username", "budi", "password", password).want(t, 303)
	old.get("/api/me").want(t, 401)
	b.get("/api/me").want(t, 200, `"username":"budi"`)
	c.advance(resetLifetime)
	b.post("/login", "username", "budi", "password", "rahasia").want(t, 401)
	b.post("/login", "username", "budi", "password", password).want(t, 303)
}

func TestPasswordResetDoesNotTellWhoHasAnAccount(t *testing.T) {
	var sent atomic.Int32
	_, b := open(t, Options{SendMail: func(string, string) { sent.Add(1) }})
	known := b.post("/password/reset", "email", "budi@example.com")
	for _, email := range []string{"nobody@example.com", ""} {
		if a := b.post("/password/reset", "email", email); a.status != known.status || a.body != known.body {
			t.Errorf("reset of %q answers otherwise: %d %s", email, a.status, a.body)
		}
	}
	if got := sent.Load(); got != 1 {
		t.Errorf("%d mails sent, want 1", got)
	}
}

func TestACrowdLogsInAndHasPhonesOfItsOwn(t *testing.T) {
	_, b := open(t, Options{Crowd: 200})
	phones := map[string]bool{}
	for _, name := range []string{"p001", "p200"} {
		got := b.do("POST", "/api/login", `{"username":"`+name+`","password":"rahasia"}`, "Content-Type", "application/json")
		if got.status != http.StatusOK {
			t.Fatalf("login of %s = %d: %s", name, got.status, got.body)
		}
		var in struct{ Token string }
		if err := json.Unmarshal([]byte(got.body), &in); err != nil {
			t.Fatal(err)
		}
		var me struct{ Phone string }
		if err := json.Unmarshal([]byte(b.do("GET", "/api/me", "", "Authorization", "Bearer "+in.Token).body), &me); err != nil {
			t.Fatal(err)
		}
		phones[me.Phone] = true
	}
	if !phones["+6281235000001"] || !phones["+6281235000200"] {
		t.Errorf("phones = %v", phones)
	}
}
