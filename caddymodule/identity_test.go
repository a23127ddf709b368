package caddymodule

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/stepgate/stepgate/identity"
)

// withPlaceholders returns a request as Caddy prepares it.
func withPlaceholders(header http.Header, set map[string]any) *http.Request {
	r := httptest.NewRequest("POST", "/", nil)
	r.Header = header
	repl := caddy.NewReplacer()
	r = caddyhttp.PrepareRequest(r, repl, httptest.NewRecorder(), new(caddyhttp.Server))
	for name, value := range set {
		repl.Set(name, value)
	}
	return r
}

func provisioned(t *testing.T, p *PlaceholderIdentity) *PlaceholderIdentity {
	t.Helper()
	if err := p.Provision(caddy.Context{}); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestAPlaceholderThatIsNotSetMeansNobody(t *testing.T) {
	p := provisioned(t, &PlaceholderIdentity{Subject: "{http.auth.user.id}", Phone: "{http.vars.phone}"})
	for name, set := range map[string]map[string]any{
		"unset": nil, "empty": {"http.auth.user.id": ""}, "blank": {"http.auth.user.id": "  "}, "nil": {"http.auth.user.id": nil},
		"only claimed": {"http.auth.candidate.id": "budi"},
	} {
		r := withPlaceholders(http.Header{"Http.auth.user.id": {"budi"}}, set)
		if id, err := p.Identify(t.Context(), r, identity.Credential{}); !errors.Is(err, identity.ErrAnonymous) {
			t.Errorf("%s: Identify = %q, %v, want %v", name, id.Subject, err, identity.ErrAnonymous)
		}
	}
	// No placeholders at all is a mistake of ours, not a visitor.
	if _, err := p.Identify(t.Context(), httptest.NewRequest("GET", "/", nil), identity.Credential{}); err == nil || errors.Is(err, identity.ErrAnonymous) {
		t.Errorf("Identify without a replacer = %v, want an error of another kind", err)
	}
}

func TestPlaceholdersBecomeTheIdentity(t *testing.T) {
	p := provisioned(t, &PlaceholderIdentity{
		Subject: "{http.auth.user.id}", Login: "{http.reverse_proxy.header.Remote-User}", Email: "{http.auth.user.email}", Phone: "{http.vars.phone}",
	})
	r := withPlaceholders(http.Header{}, map[string]any{
		"http.auth.user.id": 4711, "http.reverse_proxy.header.Remote-User": "budi", "http.auth.user.email": "budi@example.com",
	})
	caddyhttp.SetVar(r.Context(), "phone", "+6281234567890")
	got, err := p.Identify(t.Context(), r, identity.Credential{})
	want := identity.Identity{Subject: "4711", Login: "budi", Email: "budi@example.com", Phone: "+6281234567890"}
	if err != nil || got != want {
		t.Errorf("Identify = %q, %q, %q, %q, %v, want %q, %q, %q, %q", got.Subject, got.Login, got.Email, got.Phone, err, want.Subject, want.Login, want.Email, want.Phone)
	}
	for name, value := range map[string]string{"a long one": strings.Repeat("x", 257), "a control character": "budi\n"} {
		r := withPlaceholders(http.Header{}, map[string]any{"http.auth.user.id": value})
		if _, err := p.Identify(t.Context(), r, identity.Credential{}); err == nil || errors.Is(err, identity.ErrAnonymous) || strings.Contains(err.Error(), value) {
			t.Errorf("%s: Identify = %v, want an error that does not quote it", name, err)
		}
	}
}

// What the text of a placeholder is replaced by is never looked at again: a player
// who is called {env.HOME} is called so.
func TestIdentitiesAreNotExpanded(t *testing.T) {
	p := provisioned(t, &PlaceholderIdentity{Subject: "{http.auth.user.id}"})
	r := withPlaceholders(http.Header{}, map[string]any{"http.auth.user.id": "{env.HOME}"})
	if id, err := p.Identify(t.Context(), r, identity.Credential{}); err != nil || id.Subject != "{env.HOME}" {
		t.Errorf("Identify = %q, %v, want the text as it is", id.Subject, err)
	}
}

func TestTwoHeadersAreNotOneIdentity(t *testing.T) {
	p := provisioned(t, &PlaceholderIdentity{Subject: "{http.request.header.Remote-User}", UnsafeHeader: "for the test"})
	id, err := p.Identify(t.Context(), withPlaceholders(http.Header{"Remote-User": {"budi"}}, nil), identity.Credential{})
	if err != nil || id.Subject != "budi" {
		t.Errorf("Identify with one header = %q, %v, want budi", id.Subject, err)
	}
	if _, err := p.Identify(t.Context(), withPlaceholders(http.Header{"Remote-User": {"budi", "sari"}}, nil), identity.Credential{}); !errors.Is(err, identity.ErrAmbiguous) {
		t.Errorf("Identify with two headers = %v, want %v", err, identity.ErrAmbiguous)
	}
	if _, err := p.Identify(t.Context(), withPlaceholders(http.Header{}, nil), identity.Credential{}); !errors.Is(err, identity.ErrAnonymous) {
		t.Errorf("Identify without header = %v, want %v", err, identity.ErrAnonymous)
	}
}

func TestTheSessionOfAPlaceholderIdentityIsFoundOnce(t *testing.T) {
	basic, bearer := "Basic YnVkaTpyYWhhc2lh", "Bearer abc.def"
	for _, c := range []struct {
		name   string
		source PlaceholderIdentity
		header http.Header
		want   identity.Credential
		err    error
	}{
		{"basic", PlaceholderIdentity{}, http.Header{"Authorization": {basic}}, identity.Credential{Kind: identity.Header, Name: "Authorization", Value: basic}, nil},
		{"bearer", PlaceholderIdentity{}, http.Header{"Authorization": {bearer}}, identity.Credential{Kind: identity.Bearer, Name: "Authorization", Value: "abc.def"}, nil},
		{"none", PlaceholderIdentity{}, http.Header{"Cookie": {"session=1"}}, identity.Credential{}, identity.ErrAnonymous},
		{"empty", PlaceholderIdentity{}, http.Header{"Authorization": {" "}}, identity.Credential{}, identity.ErrAnonymous},
		{"two headers", PlaceholderIdentity{}, http.Header{"Authorization": {basic, basic}}, identity.Credential{}, identity.ErrAmbiguous},
		{"two schemes", PlaceholderIdentity{}, http.Header{"Authorization": {basic + ", " + bearer}}, identity.Credential{}, identity.ErrAmbiguous},
		{"another header", PlaceholderIdentity{Header: "x-session"}, http.Header{"X-Session": {"1"}}, identity.Credential{Kind: identity.Header, Name: "X-Session", Value: "1"}, nil},
		{"another header twice", PlaceholderIdentity{Header: "X-Session"}, http.Header{"X-Session": {"1", "1"}}, identity.Credential{}, identity.ErrAmbiguous},
		{"cookie", PlaceholderIdentity{Cookie: "session"}, http.Header{"Cookie": {"a=b; session=1"}, "Authorization": {basic}}, identity.Credential{Kind: identity.Cookie, Name: "session", Value: "1"}, nil},
		{"cookie twice", PlaceholderIdentity{Cookie: "session"}, http.Header{"Cookie": {"session=1; session=2"}}, identity.Credential{}, identity.ErrAmbiguous},
		{"cookie in other spellings", PlaceholderIdentity{Cookie: "session"}, http.Header{"Cookie": {"session=1; SESSION=2"}}, identity.Credential{}, identity.ErrAmbiguous},
	} {
		c.source.Subject = "{http.auth.user.id}"
		got, err := provisioned(t, &c.source).Credential(&http.Request{Header: c.header})
		if !errors.Is(err, c.err) || got != c.want {
			t.Errorf("%s: Credential = %v, %v, want %v, %v", c.name, got, err, c.want, c.err)
		}
	}
}

// Caddy's JSON takes what the Caddyfile refuses, unless Provision refuses it too.
func TestPlaceholdersOfTheClientAreRefusedInJSONToo(t *testing.T) {
	for _, subject := range []string{
		"", "http.auth.user.id", "{http.auth.user.id} ", "x{http.auth.user.id}", "{http.auth.candidate.id}", "{http.request.header.Remote-User}",
		"{http.request.cookie.user}", "{http.request.uri.query.user}", "{http.request.body}", "{http.regexp.user}", "{env.USER}", "{file./etc/passwd}",
		"{http.request.host}", "{http.error.message}", "{}", "{{http.auth.user.id}}",
	} {
		if err := (&PlaceholderIdentity{Subject: subject}).Provision(caddy.Context{}); err == nil {
			t.Errorf("Provision accepted the subject %q", subject)
		}
		if subject == "" {
			continue
		}
		if err := (&PlaceholderIdentity{Subject: "{http.auth.user.id}", Phone: subject}).Provision(caddy.Context{}); err == nil {
			t.Errorf("Provision accepted the phone %q", subject)
		}
	}
	if err := (&PlaceholderIdentity{Subject: "{http.auth.candidate.id}", UnsafeHeader: "because"}).Provision(caddy.Context{}); err == nil {
		t.Error("Provision accepted what was claimed, for a reason about headers")
	}
}

// A site of pages that gives visitors a session as well, and its app a token.
func TestTheUpstreamModuleReadsPagesOfSeveralSessions(t *testing.T) {
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		switch {
		case r.Header.Get("Cookie") == "PHPSESSID=visitor":
			http.Redirect(w, r, "/login.php", http.StatusFound)
		case r.Header.Get("Cookie") == "PHPSESSID=1", r.Header.Get("Authorization") == "Bearer token":
			_, _ = w.Write([]byte(`<body><a id="account" data-id="u-1" href="/account.php">Budi</a>`))
		default:
			http.Error(w, "down", http.StatusBadGateway)
		}
	}))
	defer site.Close()
	u := &UpstreamIdentity{
		URL: site.URL, Sessions: []SessionPlace{{Kind: "cookie", Name: "PHPSESSID"}, {Kind: "bearer"}}, Format: "html", Subject: "#account@data-id", Bind: "subject",
		Anonymous: &UpstreamAnonymous{Redirect: true, LoginPages: []string{"/login.php"}},
	}
	if err := u.Provision(caddy.Context{}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		cookie, token string
		kind          identity.Kind // of the session that speaks
		err           error
	}{
		{"PHPSESSID=1", "", 0, nil}, {"", "Bearer token", 0, nil}, {"PHPSESSID=1", "Bearer token", identity.Cookie, nil}, {"PHPSESSID=visitor", "Bearer token", identity.Bearer, nil},
		{"PHPSESSID=visitor", "", 0, identity.ErrAnonymous},
	} {
		r := &http.Request{Header: http.Header{"Cookie": {c.cookie}, "Authorization": {c.token}}}
		found, err := u.Credential(r)
		if err != nil {
			t.Fatal(err)
		}
		id, err := u.Identify(t.Context(), r, found)
		if !errors.Is(err, c.err) || err == nil && (id.Subject != "u-1" || id.Binding != identity.BindSubject("u-1") || id.Credential.Kind != c.kind) {
			t.Errorf("Identify of %q and %q = %q by %v, %v, want u-1, %v", c.cookie, c.token, id.Subject, id.Credential, err, c.err)
		}
	}
}

// The module remembers answers, and the gate can make it forget them.
func TestTheUpstreamModuleRemembersAndForgets(t *testing.T) {
	asked := 0
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		_, _ = w.Write([]byte(`{"id":"u-1"}`))
	}))
	defer site.Close()
	t.Setenv("STEPGATE_TEST_SITE", site.URL)
	u := &UpstreamIdentity{URL: "{env.STEPGATE_TEST_SITE}/me", Sessions: []SessionPlace{{Kind: "cookie", Name: "session"}}, Subject: "id"}
	if err := u.Provision(caddy.Context{}); err != nil {
		t.Fatal(err)
	}
	var source identity.Source = u
	r := &http.Request{Header: http.Header{"Cookie": {"session=1"}}}
	c, err := source.Credential(r)
	if err != nil {
		t.Fatal(err)
	}
	ask := func(want int) {
		t.Helper()
		id, err := source.Identify(context.Background(), r, c)
		if err != nil || id.Subject != "u-1" || asked != want {
			t.Errorf("Identify = %q, %v after %d questions, want u-1 after %d", id.Subject, err, asked, want)
		}
	}
	ask(1)
	ask(1)
	source.(identity.Forgetter).Forget(c)
	ask(2)
	// With `logs { trace }` Caddy logs handlers as JSON.
	text, err := json.Marshal(u)
	if err != nil || strings.Contains(string(text), "u-1") || strings.Contains(string(text), "Cached") {
		t.Errorf("the module's JSON is %s, %v", text, err)
	}
}

// With cache off each request is asked about, through everything that the module puts
// before the site.
func TestWithTheCacheOffEachRequestAsks(t *testing.T) {
	asked := 0
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		_, _ = fmt.Fprintf(w, `{"id":"u-%d"}`, asked)
	}))
	defer site.Close()
	for option, want := range map[string]int{"": 1, "cache 30s": 1, "cache off": 3} {
		u, err := upstreamOf("identity upstream " + site.URL + " {\ncookie session\nsubject json:id\n" + option + "\n}")
		if err != nil {
			t.Fatal(err)
		}
		// As it is loaded: Caddy keeps it as JSON.
		text, err := json.Marshal(u)
		if err != nil {
			t.Fatal(err)
		}
		loaded := new(UpstreamIdentity)
		if err := json.Unmarshal(text, loaded); err != nil {
			t.Fatal(err)
		}
		if err := loaded.Provision(caddy.Context{}); err != nil {
			t.Fatal(err)
		}
		asked = 0
		var last identity.Identity
		for range 3 {
			if last, _, err = loaded.Recall(t.Context(), new(http.Request), identity.Credential{Kind: identity.Cookie, Name: "session", Value: "1"}); err != nil {
				t.Fatal(err)
			}
		}
		if asked != want || last.Subject != fmt.Sprintf("u-%d", want) {
			t.Errorf("%q: asked %d times about three requests, the last is of %q; want %d", option, asked, last.Subject, want)
		}
	}
	for option, want := range map[string]string{
		"cache 0s": "write at least 1s, such as 30s, or off", "cache never": "such as 30s, or off", "cache": "a duration such as 30s, or off",
	} {
		if _, err := upstreamOf("identity upstream http://site {\ncookie session\nsubject json:id\n" + option + "\n}"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", option, err, want)
		}
	}
}

// upstreamOf reads the lines of an identity upstream in a Caddyfile.
func upstreamOf(lines string) (*UpstreamIdentity, error) {
	d := caddyfile.NewTestDispenser(lines)
	d.Next() // identity
	u := new(UpstreamIdentity)
	return u, u.UnmarshalCaddyfile(d)
}

func TestAnUpstreamThatCannotWorkIsRefused(t *testing.T) {
	for name, u := range map[string]UpstreamIdentity{
		"no url": {Sessions: []SessionPlace{{Kind: "cookie", Name: "session"}}, Subject: "id"}, "no session": {URL: "http://site", Subject: "id"}, "no subject": {URL: "http://site", Sessions: []SessionPlace{{Kind: "bearer"}}},
		"a negative cache": {URL: "http://site", Sessions: []SessionPlace{{Kind: "bearer"}}, Subject: "id", CacheFor: -1}, "a negative timeout": {URL: "http://site", Sessions: []SessionPlace{{Kind: "bearer"}}, Subject: "id", Timeout: -1},
		"a cache of a time and none": {URL: "http://site", Sessions: []SessionPlace{{Kind: "bearer"}}, Subject: "id", CacheFor: 1, NoCache: true},
		"an unknown kind of session": {URL: "http://site", Sessions: []SessionPlace{{Kind: "query", Name: "sid"}}, Subject: "id"},
		"an unknown binding":         {URL: "http://site", Sessions: []SessionPlace{{Kind: "bearer"}}, Subject: "id", Bind: "device"},
		"an unknown format":          {URL: "http://site", Sessions: []SessionPlace{{Kind: "bearer"}}, Subject: "id", Format: "xml"},
		"an unknown variable":        {URL: "{env.STEPGATE_NO_SUCH_VARIABLE}", Sessions: []SessionPlace{{Kind: "bearer"}}, Subject: "id"},
	} {
		if err := u.Provision(caddy.Context{}); err == nil {
			t.Errorf("Provision accepted an upstream with %s", name)
		}
	}
}
