package identity

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

var casinoSession = []Session{{Cookie, "casino_session"}}

// newTestUpstream returns an upstream that asks the given handler.
func newTestUpstream(t *testing.T, answer http.HandlerFunc, change func(*UpstreamConfig)) *Upstream {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	config := UpstreamConfig{
		URL: server.URL + "/api/me", Sessions: []Session{{Cookie, "casino_session"}, {Kind: Bearer}},
		Subject: "id", Login: "username", Email: "email", Phone: "phone",
		Anonymous: Anonymous{Statuses: []int{401, 403}, Redirect: true, Missing: true},
	}
	if change != nil {
		change(&config)
	}
	u, err := NewUpstream(config)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func write(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

func TestUpstreamReadsTheIdentityFromTheSitesAnswer(t *testing.T) {
	u := newTestUpstream(t, write(200, `{"id":42,"username":"budi","email":"budi@example.com","phone":"0812-3456-7890","balance":10.5,"vip":true}`), nil)
	got, err := u.Identify(t.Context(), request(), cookie("abc"))
	want := Identity{Subject: "42", Login: "budi", Email: "budi@example.com", Phone: "0812-3456-7890"}
	if err != nil || got != want {
		t.Errorf("Identify = %+v, %v", got.Subject, err)
	}
}

// I8, I12: the site gets the credential as it came, and nothing else of the player.
func TestUpstreamSendsTheCredentialAndNothingElse(t *testing.T) {
	var got *http.Request
	u := newTestUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		got = r.Clone(context.Background())
		io.WriteString(w, `{"id":"a"}`)
	}, func(c *UpstreamConfig) { c.URL += "?fields=id"; c.Host = "casino.example" })
	player := httptest.NewRequest(http.MethodPost, "/wallet/withdraw", strings.NewReader("amount=1"))
	player.Header.Set("X-Forwarded-For", "192.0.2.1")
	player.Header.Set("Cookie", "casino_session=abc; other=1")
	for _, tt := range []struct {
		cred Credential
		want http.Header
	}{
		{cookie(`"s%3Aabc"==`), http.Header{"Cookie": {`casino_session="s%3Aabc"==`}}},
		{Credential{Kind: Bearer, Name: "Authorization", Value: "tok.en"}, http.Header{"Authorization": {"Bearer tok.en"}}},
	} {
		if _, err := u.Identify(t.Context(), player, tt.cred); err != nil {
			t.Fatal(err)
		}
		tt.want.Set("Accept", "application/json")
		tt.want.Set("User-Agent", "Stepgate")
		if diff := cmp.Diff(tt.want, got.Header); diff != "" {
			t.Errorf("header of the question (-want +got):\n%s", diff)
		}
		if got.Method != http.MethodGet || got.URL.String() != "/api/me?fields=id" || got.Host != "casino.example" || got.ContentLength != 0 {
			t.Errorf("asked %s %s of %s with %d bytes", got.Method, got.URL, got.Host, got.ContentLength)
		}
	}
}

// Whoever chooses the Host of a request, or what a proxy says of it, must not choose whom
// the gateway asks: a session of the attacker's own site would be a player's here.
func TestAttackTheRequestsHostChoosesWhomToAsk(t *testing.T) {
	for configured, want := range map[string]string{"": "", "casino.example": "casino.example"} {
		var asked []string
		u := newTestUpstream(t, func(w http.ResponseWriter, r *http.Request) {
			asked = append(asked, r.Host)
			if len(r.Header["X-Forwarded-Host"])+len(r.Header["Forwarded"]) > 0 {
				t.Errorf("the question has the header %v", r.Header)
			}
			io.WriteString(w, `{"id":"a"}`)
		}, func(c *UpstreamConfig) {
			c.Host = configured
			if want == "" {
				want = strings.TrimPrefix(strings.TrimSuffix(c.URL, "/api/me"), "http://")
			}
		})
		for _, target := range []string{"http://evil.example/wallet", "/wallet"} {
			r := httptest.NewRequest(http.MethodGet, target, nil)
			r.Host = "evil.example"
			r.Header.Set("X-Forwarded-Host", "evil.example")
			r.Header.Set("Forwarded", "host=evil.example")
			if _, err := u.Identify(t.Context(), r, cookie("abc")); err != nil {
				t.Fatal(err)
			}
		}
		if len(asked) != 2 || asked[0] != want || asked[1] != want {
			t.Errorf("host %q: asked %q, want %q twice", configured, asked, want)
		}
	}
}

func TestUpstreamTellsVisitorsFromFailures(t *testing.T) {
	tests := []struct {
		name, body string
		status     int
		anonymous  bool
	}{
		{"401", `{"id":42}`, 401, true},
		{"403", `{"id":42}`, 403, true},
		{"302 to the login page", "", 302, true},
		{"303 to the login page", "", 303, true},
		{"307 to the login page", "", 307, true},
		{"subject is missing", `{"username":"budi"}`, 200, true},
		{"subject is null", `{"id":null}`, 200, true},
		{"subject is empty", `{"id":""}`, 200, true},
		{"subject is blank", `{"id":" \u00a0"}`, 200, true},
		{"subject is 0", `{"id":0}`, 200, true},
		{"subject is the text 0", `{"id":"0"}`, 200, true},
		{"answer is null", `null`, 200, true},
		{"answer is an array", `[{"id":42}]`, 200, true},
		{"answer is a number", `42`, 200, true},

		{"301", "", 301, false},
		{"308", "", 308, false},
		{"304", "", 304, false},
		{"404", `{"id":42}`, 404, false},
		{"429", `{"id":42}`, 429, false},
		{"500", `{"id":42}`, 500, false},
		{"503", "", 503, false},
		{"201", `{"id":42}`, 201, false},
		{"204", "", 204, false},
		{"206", `{"id":42}`, 206, false},
		{"no body", ``, 200, false},
		{"HTML", `<html>hunter2</html>`, 200, false},
		{"cut off", `{"id":42`, 200, false},
		{"something after it", `{"id":42}{"id":43}`, 200, false},
		{"garbage after it", `{"id":42} hunter2`, 200, false},
		{"comma after the last", `{"id":42,}`, 200, false},
		{"key twice", `{"id":42,"id":43}`, 200, false},
		{"key twice, same value", `{"id":42,"id":42}`, 200, false},
		{"key twice, spelt otherwise", `{"id":42,"\u0069d":43}`, 200, false},
		{"key of a contact twice", `{"id":42,"phone":"1","phone":"2"}`, 200, false},
		{"number with a fraction", `{"id":42.0}`, 200, false},
		{"number with an exponent", `{"id":42e0}`, 200, false},
		{"negative zero", `{"id":-0}`, 200, false},
		{"leading zero", `{"id":042}`, 200, false},
		{"boolean", `{"id":true}`, 200, false},
		{"false", `{"id":false}`, 200, false},
		{"object", `{"id":{"id":42}}`, 200, false},
		{"array", `{"id":[42]}`, 200, false},
		{"contact is an object", `{"id":42,"phone":{}}`, 200, false},
		{"contact is a boolean", `{"id":42,"email":true}`, 200, false},
		{"control character", `{"id":"4\n2"}`, 200, false},
		{"C1 control character", `{"id":"4\u00852"}`, 200, false},
		{"NUL", `{"id":"42\u0000"}`, 200, false},
		{"half a surrogate pair", `{"id":"\ud800"}`, 200, false},
		{"replacement character", `{"id":"42\ufffd"}`, 200, false},
		{"not UTF-8", "{\"id\":\"42\xff\"}", 200, false},
		{"not UTF-8 elsewhere", "{\"id\":\"42\",\"x\":\"\xff\"}", 200, false},
		{"too long a subject", `{"id":"` + strings.Repeat("4", maxFieldLength+1) + `"}`, 200, false},
		{"too long a number", `{"id":` + strings.Repeat("4", maxFieldLength+1) + `}`, 200, false},
		{"too long an answer", `{"id":42,"x":"` + strings.Repeat("x", maxAnswer) + `"}`, 200, false},
		{"blanks beyond the cap", `{"id":42}` + strings.Repeat(" ", maxAnswer), 200, false},
		{"nested without end", strings.Repeat("[", maxAnswer), 200, false},
		{"nested too deeply", `{"x":` + strings.Repeat("[", maxDepth+1) + strings.Repeat("]", maxDepth+1) + `,"id":42}`, 200, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			u := newTestUpstream(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Location", "https://elsewhere.example/login?%zz")
				write(tt.status, tt.body)(w, r)
			}, nil)
			got, err := u.Identify(t.Context(), request(), cookie("hunter1"))
			if err == nil || got != (Identity{}) || errors.Is(err, ErrAnonymous) != tt.anonymous {
				t.Fatalf("Identify = %q, %v, want anonymous: %v", got.Subject, err, tt.anonymous)
			}
			if text := err.Error(); !tt.anonymous && !strings.HasPrefix(text, "asking the site: ") || strings.Contains(text, "hunter") || strings.Contains(text, "elsewhere") || strings.Contains(text, `"id"`) {
				t.Errorf("Identify: the error %q repeats a secret or the answer", text)
			}
		})
	}
}

func TestUpstreamSendsNoCredentialOfAnotherKind(t *testing.T) {
	asked := false
	handler := func(w http.ResponseWriter, _ *http.Request) { asked = true; io.WriteString(w, `{"id":1}`) }
	u := newTestUpstream(t, handler, func(c *UpstreamConfig) { c.Sessions = casinoSession })
	for _, cred := range []Credential{
		{Kind: Cookie, Name: "other", Value: "x"}, {Kind: Bearer, Name: "Authorization", Value: "x"},
		{Kind: Header, Name: "casino_session", Value: "x"}, {},
	} {
		if id, err := u.Identify(t.Context(), request(), cred); err == nil || asked {
			t.Errorf("Identify(%v) = %q, %v, asked: %v", cred, id.Subject, err, asked)
		}
	}
	if _, err := u.Identify(t.Context(), request(), cookie("")); !errors.Is(err, ErrAnonymous) || asked {
		t.Errorf("Identify of an empty cookie = %v, asked: %v, want ErrAnonymous", err, asked)
	}
}

func TestUpstreamGivesUpWhenTheSiteIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u, err := NewUpstream(UpstreamConfig{URL: "http://site.example/me", Sessions: casinoSession, Subject: "id"})
		if err != nil {
			t.Fatal(err)
		}
		// A connection on which nobody ever answers.
		u.transport.(*http.Transport).DialContext = func(context.Context, string, string) (net.Conn, error) {
			client, server := net.Pipe()
			go io.Copy(io.Discard, server)
			return client, nil
		}
		start := time.Now()
		_, err = u.Identify(t.Context(), request(), cookie("hunter1"))
		if took := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || took != DefaultTimeout {
			t.Errorf("Identify = %v after %v, want the deadline after %v", err, took, DefaultTimeout)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := u.Identify(ctx, request(), cookie("hunter1")); !errors.Is(err, context.Canceled) || errors.Is(err, ErrAnonymous) {
			t.Errorf("Identify for nobody = %v, want context.Canceled", err)
		}
	})
}

// I8: what stands on the wire must not reach a log by way of an error.
func TestUpstreamErrorsHoldNoSecretAndNoAnswer(t *testing.T) {
	for name, answer := range map[string]string{
		"not HTTP":          "hunter2 is the answer\r\n\r\n",
		"broken header":     "HTTP/1.1 200 OK\r\nhunter2\r\n\r\n",
		"broken length":     "HTTP/1.1 200 OK\r\nContent-Length: hunter2\r\n\r\n",
		"broken chunks":     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nhunter2\r\n",
		"cut off":           "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"id\":\"hunter2\"}",
		"nothing":           "",
		"header for ever":   "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("hunter2", 20_000) + "\r\nContent-Length: 8\r\n\r\n{\"id\":1}",
		"other coding":      "HTTP/1.1 200 OK\r\nTransfer-Encoding: hunter2\r\n\r\n",
		"impossible status": "HTTP/1.1 hunter2 OK\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer listener.Close()
			go func() {
				for {
					conn, err := listener.Accept()
					if err != nil {
						return
					}
					conn.Read(make([]byte, 4096))
					io.WriteString(conn, answer)
					conn.Close()
				}
			}()
			u, err := NewUpstream(UpstreamConfig{URL: "http://" + listener.Addr().String() + "/me?key=hunter3", Sessions: casinoSession, Subject: "id"})
			if err != nil {
				t.Fatal(err)
			}
			_, err = u.Identify(t.Context(), request(), cookie("hunter1"))
			if err == nil || errors.Is(err, ErrAnonymous) || strings.Contains(err.Error(), "hunter") {
				t.Errorf("Identify = %v, want an error without secret and answer", err)
			}
		})
	}
}

func TestUpstreamSaysThatNobodyListens(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	u, err := NewUpstream(UpstreamConfig{URL: server.URL, Sessions: casinoSession, Subject: "id"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = u.Identify(t.Context(), request(), cookie("hunter1"))
	if _, ok := errors.AsType[*net.OpError](err); !ok || strings.Contains(err.Error(), "hunter1") {
		t.Errorf("Identify = %v, want the refused connection", err)
	}
}

func TestUpstreamRefusesASiteWithAWrongCertificate(t *testing.T) {
	asked := false
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // of the failed handshake
	server.StartTLS()
	defer server.Close()
	u, err := NewUpstream(UpstreamConfig{URL: server.URL, Sessions: casinoSession, Subject: "id"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = u.Identify(t.Context(), request(), cookie("hunter1"))
	if err == nil || !strings.Contains(err.Error(), "certificate") || asked {
		t.Errorf("Identify = %v, asked: %v, want an error of the certificate", err, asked)
	}
}

func TestUpstreamUsesItsConnectionsAgain(t *testing.T) {
	addresses := map[string]bool{}
	status := 200
	u := newTestUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		addresses[r.RemoteAddr] = true
		write(status, `{"id":1,"x":"`+strings.Repeat("x", 8000)+`"}`)(w, r)
	}, nil)
	for _, status = range []int{200, 401, 500, 404, 200} {
		_, _ = u.Identify(t.Context(), request(), cookie("a"))
	}
	if len(addresses) != 1 {
		t.Errorf("5 questions took %d connections, want 1", len(addresses))
	}
}

// The proxy of the environment would get every session in the clear.
func TestUpstreamUsesNoProxyOfTheEnvironment(t *testing.T) {
	u, err := NewUpstream(UpstreamConfig{URL: "http://site.example", Sessions: casinoSession, Subject: "id"})
	if err != nil {
		t.Fatal(err)
	}
	if u.transport.(*http.Transport).Proxy != nil {
		t.Error("the transport has a proxy")
	}
}

func TestNewUpstreamRefusesWhatCannotWork(t *testing.T) {
	good := UpstreamConfig{URL: "http://127.0.0.1:8080/api/me", Sessions: casinoSession, Subject: "user.id"}
	if _, err := NewUpstream(good); err != nil {
		t.Fatalf("NewUpstream of a good configuration: %v", err)
	}
	for name, change := range map[string]func(*UpstreamConfig){
		"no URL":                func(c *UpstreamConfig) { c.URL = "" },
		"relative URL":          func(c *UpstreamConfig) { c.URL = "/api/me" },
		"other scheme":          func(c *UpstreamConfig) { c.URL = "ftp://site.example/" },
		"no host":               func(c *UpstreamConfig) { c.URL = "http:///api/me" },
		"unreadable URL":        func(c *UpstreamConfig) { c.URL = "http://hunter2:%zz" },
		"user in the URL":       func(c *UpstreamConfig) { c.URL = "http://u:hunter2@site.example/" },
		"fragment in the URL":   func(c *UpstreamConfig) { c.URL += "#hunter2" },
		"host with a path":      func(c *UpstreamConfig) { c.Host = "a/b" },
		"host with a blank":     func(c *UpstreamConfig) { c.Host = "a b" },
		"host with a user":      func(c *UpstreamConfig) { c.Host = "a@b" },
		"no session":            func(c *UpstreamConfig) { c.Sessions = nil },
		"blank in the cookie":   func(c *UpstreamConfig) { c.Sessions = []Session{{Cookie, "casino session"}} },
		"equals in the cookie":  func(c *UpstreamConfig) { c.Sessions = []Session{{Cookie, "a=b"}} },
		"percent in the cookie": func(c *UpstreamConfig) { c.Sessions = []Session{{Cookie, "a%20b"}} },
		"only dots as cookie":   func(c *UpstreamConfig) { c.Sessions = []Session{{Cookie, "._."}} },
		"no subject":            func(c *UpstreamConfig) { c.Subject = "" },
		"empty key":             func(c *UpstreamConfig) { c.Subject = "user..id" },
		"empty last key":        func(c *UpstreamConfig) { c.Phone = "user." },
		"too many keys":         func(c *UpstreamConfig) { c.Email = "a.b.c.d.e.f.g.h.i" },
		"negative timeout":      func(c *UpstreamConfig) { c.Timeout = -1 },
	} {
		c := good
		change(&c)
		if u, err := NewUpstream(c); err == nil || u != nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: NewUpstream = %v, want an error without secrets", name, err)
		}
	}
}

func TestUpstreamFindsTheCredentialsThatItWasToldOf(t *testing.T) {
	u, err := NewUpstream(UpstreamConfig{URL: "http://site.example", Sessions: casinoSession, Subject: "id"})
	if err != nil {
		t.Fatal(err)
	}
	r := request()
	r.Header["Cookie"] = []string{"casino_session=a"}
	if got, err := u.Credential(r); err != nil || got != cookie("a") {
		t.Errorf("Credential = %v, %v", got, err)
	}
	r.Header["Cookie"] = []string{"casino_session=a; Casino_Session=b"}
	if got, err := u.Credential(r); !errors.Is(err, ErrAmbiguous) {
		t.Errorf("Credential = %v, %v, want ErrAmbiguous", got, err)
	}
}
