package identity

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

var everySession = []Session{{Cookie, "casino_session"}, {Cookie, "remember_me"}, {Kind: Bearer}, {Header, "X-App-Session"}}

// bears returns a request with these headers.
func bears(pairs ...string) *http.Request {
	r := request()
	for i := 0; i < len(pairs); i += 2 {
		r.Header[pairs[i]] = append(r.Header[pairs[i]], pairs[i+1])
	}
	return r
}

// players is a site that knows sessions by the name of their player and a number:
// "budi.1". "gone" belongs to nobody, and about "down" it cannot be asked.
func players(t *testing.T, asked *atomic.Int64) func(context.Context, *http.Request, Credential) (Identity, error) {
	return func(_ context.Context, _ *http.Request, c Credential) (Identity, error) {
		asked.Add(1)
		if c.beside != nil {
			t.Errorf("the site is asked about several credentials at once")
		}
		name, _, _ := strings.Cut(c.Value, ".")
		switch name {
		case "gone":
			return Identity{}, ErrAnonymous
		case "down":
			return Identity{}, errors.New("down")
		default:
			return Identity{Subject: name, Login: c.Value}, nil
		}
	}
}

func TestAttackTwoIdentitiesInOneRequestAreRefused(t *testing.T) {
	const cookieLine, token, header = "Cookie", "Authorization", "X-App-Session"
	tests := []struct {
		name    string
		request []string
		want    string // the credential that speaks
		err     error
	}{
		{"one", []string{cookieLine, "casino_session=budi.1"}, "budi.1", nil},
		{"none", nil, "", ErrAnonymous},
		{"the thief's cookie and a stolen token", []string{cookieLine, "casino_session=thief.1", token, "Bearer budi.2"}, "", ErrAmbiguous},
		{"a stolen cookie and the thief's token", []string{cookieLine, "casino_session=budi.1", token, "Bearer thief.2"}, "", ErrAmbiguous},
		{"two cookies", []string{cookieLine, "remember_me=budi.1; casino_session=thief.1"}, "", ErrAmbiguous},
		{"a token and a header", []string{header, "budi.1", token, "Bearer thief.2"}, "", ErrAmbiguous},
		{"two of one player and one of another", []string{cookieLine, "casino_session=budi.1; remember_me=budi.2", token, "Bearer thief.2"}, "", ErrAmbiguous},

		{"two of one player", []string{token, "Bearer budi.2", cookieLine, "casino_session=budi.1"}, "budi.1", nil},
		{"four of one player", []string{header, "budi.4", token, "Bearer budi.3", cookieLine, "remember_me=budi.2; casino_session=budi.1"}, "budi.1", nil},
		{"the first in order, not in the request", []string{cookieLine, "remember_me=budi.2", header, "budi.4", token, "Bearer budi.3"}, "budi.2", nil},

		{"a visitor's cookie beside a token", []string{cookieLine, "casino_session=gone", token, "Bearer budi.3"}, "budi.3", nil},
		{"a cookie that has expired beside one that logs in", []string{cookieLine, "casino_session=gone; remember_me=budi.2"}, "budi.2", nil},
		{"a stolen cookie and a token made up", []string{cookieLine, "casino_session=budi.1", token, "Bearer gone"}, "", ErrAmbiguous},
		{"a stolen cookie and a header made up", []string{cookieLine, "casino_session=budi.1", header, "gone"}, "", ErrAmbiguous},
		{"a stolen token and a header made up", []string{token, "Bearer budi.3", header, "gone"}, "", ErrAmbiguous},
		{"nothing that anybody knows", []string{cookieLine, "casino_session=gone", token, "Bearer gone"}, "", ErrAnonymous},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var asked atomic.Int64
			s := newSite(players(t, &asked))
			s.Finder = finder(everySession...)
			c := Cache(s, CacheOptions{})
			r := bears(tt.request...)
			for range 2 { // remembered answers are compared as well
				cred, err := s.Credential(r)
				if err != nil {
					if !errors.Is(err, tt.err) {
						t.Fatalf("Credential = %v, want %v", err, tt.err)
					}
					return
				}
				id, memo, err := c.Recall(t.Context(), r, cred)
				if !errors.Is(err, tt.err) || memo == nil || err != nil && id != (Identity{}) || err == nil && id.Login != tt.want {
					t.Fatalf("Recall = %q, %v, want %q, %v", id.Login, err, tt.want, tt.err)
				}
				if err == nil && cred.beside != nil && id.Credential.Value != tt.want {
					t.Errorf("the credential that speaks is %v of value %q, want %q", id.Credential, id.Credential.Value, tt.want)
				}
			}
		})
	}
}

// A site that cannot be asked about one of two sessions has said nothing about the
// request.
func TestOneSessionThatCannotBeAskedAboutIsAnError(t *testing.T) {
	for _, token := range []string{"budi.1", "gone", "thief.1"} {
		for _, pair := range [][]string{
			{"Cookie", "casino_session=down", "Authorization", "Bearer " + token},
			{"Cookie", "casino_session=" + token, "Authorization", "Bearer down"},
		} {
			var asked atomic.Int64
			s := newSite(players(t, &asked))
			cred, err := s.Credential(bears(pair...))
			if err != nil {
				t.Fatal(err)
			}
			id, err := Cache(s, CacheOptions{}).Identify(t.Context(), request(), cred)
			if err == nil || errors.Is(err, ErrAnonymous) || errors.Is(err, ErrAmbiguous) || id != (Identity{}) {
				t.Errorf("Identify of %q = %q, %v, want an error of the site", pair, id.Subject, err)
			}
		}
	}
}

// The answer about one pair of sessions must not be given for another pair that has
// one of them in common.
func TestEachOfSeveralSessionsIsRememberedByItself(t *testing.T) {
	var asked atomic.Int64
	s := newSite(players(t, &asked))
	c := Cache(s, CacheOptions{})
	identify := func(session, token string) (Identity, error) {
		r := bears("Cookie", "casino_session="+session, "Authorization", "Bearer "+token)
		cred, err := c.Credential(r)
		if err != nil {
			t.Fatal(err)
		}
		return c.Identify(t.Context(), r, cred)
	}
	if _, err := identify("budi.1", "budi.2"); err != nil || asked.Load() != 2 {
		t.Fatalf("Identify = %v, asked %d times, want 2", err, asked.Load())
	}
	if _, err := identify("budi.1", "sari.1"); !errors.Is(err, ErrAmbiguous) || asked.Load() != 3 {
		t.Errorf("Identify of another token = %v, asked %d times, want ErrAmbiguous after 3", err, asked.Load())
	}
	cred, err := c.Credential(bears("Cookie", "casino_session=budi.1", "Authorization", "Bearer budi.2"))
	if err != nil {
		t.Fatal(err)
	}
	c.Forget(cred)
	if _, err := identify("budi.1", "budi.2"); err != nil || asked.Load() != 5 {
		t.Errorf("Identify after Forget of both = %v, asked %d times, want 5", err, asked.Load())
	}
}

func TestUpstreamAsksAboutEachSession(t *testing.T) {
	u := newTestUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		if len(r.Header["Cookie"])+len(r.Header["Authorization"])+len(r.Header["X-App-Session"]) != 1 {
			t.Errorf("asked with %d sessions at once", len(r.Header["Cookie"])+len(r.Header["Authorization"])+len(r.Header["X-App-Session"]))
		}
		subject := "budi"
		if r.Header.Get("X-App-Session") == "sari" {
			subject = "sari"
		}
		fmt.Fprintf(w, `{"id":%q}`, subject)
	}, func(c *UpstreamConfig) { c.Sessions, c.BindSubject = everySession, true })
	r := bears("Cookie", "casino_session=a; remember_me=b", "Authorization", "Bearer c", "X-App-Session", "budi")
	cred, err := u.Credential(r)
	if err != nil {
		t.Fatal(err)
	}
	if id, err := u.Identify(t.Context(), r, cred); err != nil || id.Subject != "budi" || id.Credential != cookie("a") || id.Binding != BindSubject("budi") {
		t.Errorf("Identify = %q by %v, %v, want budi by the cookie", id.Subject, id.Credential, err)
	}
	cred, err = u.Credential(bears("Cookie", "casino_session=a", "X-App-Session", "sari"))
	if err != nil {
		t.Fatal(err)
	}
	if id, err := u.Identify(t.Context(), r, cred); !errors.Is(err, ErrAmbiguous) {
		t.Errorf("Identify of two players = %q, %v, want ErrAmbiguous", id.Subject, err)
	}
}

func TestCredentialsShareWhatBothBear(t *testing.T) {
	f := finder(everySession...)
	find := func(pairs ...string) Credential {
		c, err := f.Credential(bears(pairs...))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	a := find("Cookie", "casino_session=a; remember_me=b")
	for _, tt := range []struct {
		other Credential
		want  bool
	}{
		{find("Cookie", "casino_session=a"), true}, {find("Cookie", "remember_me=b"), true}, {find("Cookie", "casino_session=b; remember_me=b"), true},
		{find("Cookie", "casino_session=b; remember_me=a"), false}, {find("Authorization", "Bearer a"), false}, {a, true},
	} {
		if a.Shares(tt.other) != tt.want || tt.other.Shares(a) != tt.want {
			t.Errorf("Shares(%v) = %v, want %v", slices.Collect(tt.other.All()), !tt.want, tt.want)
		}
	}
}

func TestAttackASpoofedHeaderIsNoSecondSession(t *testing.T) {
	f := finder(Session{Header, "x-app-session"})
	for _, tt := range []struct {
		name    string
		request []string
		want    string
		err     error
	}{
		{"alone", []string{"X-App-Session", "mine"}, "mine", nil},
		{"with a scheme", []string{"X-App-Session", "Token mine"}, "Token mine", nil},
		{"none", []string{"X-App-Sessions", "mine"}, "", ErrAnonymous},
		{"empty", []string{"X-App-Session", " "}, "", ErrAnonymous},
		{"two lines", []string{"X-App-Session", "mine", "X-App-Session", "stolen"}, "", ErrAmbiguous},
		{"one line empty", []string{"X-App-Session", "", "X-App-Session", "stolen"}, "", ErrAmbiguous},
		{"two in one line", []string{"X-App-Session", "mine, stolen"}, "", ErrAmbiguous},
		{"with underscores (CGI, WSGI, PHP)", []string{"X-App-Session", "mine", "X_App_Session", "stolen"}, "", ErrAmbiguous},
		{"with one underscore", []string{"X-App-Session", "mine", "X-App_Session", "stolen"}, "", ErrAmbiguous},
		{"with dots (PHP)", []string{"X-App-Session", "mine", "X.App.Session", "stolen"}, "", ErrAmbiguous},
		{"in another case", []string{"X-App-Session", "mine", "x-app-session", "stolen"}, "", ErrAmbiguous},
		{"only with underscores", []string{"X_App_Session", "stolen"}, "", ErrAmbiguous},
		{"a control character", []string{"X-App-Session", "mi\tne"}, "", ErrAmbiguous},
		{"other than ASCII", []string{"X-App-Session", "m\xefne"}, "", ErrAmbiguous},
		{"a blank at its end", []string{"X-App-Session", "mine "}, "", ErrAmbiguous},
	} {
		got, err := f.Credential(bears(tt.request...))
		if !errors.Is(err, tt.err) || got.Value != tt.want || err == nil && (got.Kind != Header || got.Name != "X-App-Session") {
			t.Errorf("%s: Credential = %v of %q, %v, want %q, %v", tt.name, got, got.Value, err, tt.want, tt.err)
		}
	}
}

func TestSessionsThatCannotBeToldApartAreRefused(t *testing.T) {
	for name, sessions := range map[string][]Session{
		"none": nil, "a cookie twice": {{Cookie, "a"}, {Cookie, "a"}}, "in another case": {{Cookie, "a"}, {Cookie, "A"}}, "dot and underscore": {{Cookie, "a.b"}, {Cookie, "a_b"}},
		"bearer twice": {{Kind: Bearer}, {Kind: Bearer}}, "bearer and its header": {{Kind: Bearer}, {Header, "authorization"}}, "a header twice": {{Header, "X-A"}, {Header, "x-a"}},
		"bearer with a name": {{Bearer, "X"}}, "no kind": {{Name: "a"}}, "a cookie without a name": {{Kind: Cookie}}, "a header without a name": {{Kind: Header}},
		"five": {{Cookie, "a"}, {Cookie, "b"}, {Cookie, "c"}, {Cookie, "d"}, {Cookie, "e"}},
	} {
		if f, err := NewFinder(sessions...); err == nil {
			t.Errorf("%s: NewFinder = %v, want an error", name, f)
		}
	}
	for _, name := range []string{
		"Cookie", "cookie", "Host", "Connection", "Proxy-Authorization", "Remote-User", "x-forwarded-user", "X-Forwarded-For", "Forwarded", "X-Real-IP", "X-User-Id", "X-Auth-Request-Email",
		"Cf-Access-Authenticated-User-Email", "X_Session", "X.Session", "X Session", "X-Sessiön", "-", "X:Y",
	} {
		if _, err := NewFinder(Session{Header, name}); err == nil {
			t.Errorf("NewFinder of the header %q = nil, want an error", name)
		}
	}
	if _, err := NewFinder(Session{Cookie, "session"}, Session{Cookie, "session_id"}, Session{Header, "Authorization"}, Session{Header, "X-Api-Key"}); err != nil {
		t.Error(err)
	}
}
