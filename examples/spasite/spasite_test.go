package spasite

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

var opening = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// open returns a site whose clock moves by the test's hand.
func open() (s *Site, advance func(time.Duration)) {
	now := opening
	return New(Options{Now: func() time.Time { return now }}), func(d time.Duration) { now = now.Add(d) }
}

type tokens struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	Expires int    `json:"expires_in"`
}

func (s *Site) call(t *testing.T, method, path, token, body string, want int, into any) {
	t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	if w.Code != want {
		t.Fatalf("%s %s = %d, want %d: %s", method, path, w.Code, want, w.Body)
	}
	if into != nil && json.Unmarshal(w.Body.Bytes(), into) != nil {
		t.Fatalf("%s %s answers with no JSON: %s", method, path, w.Body)
	}
}

func (s *Site) login(t *testing.T, username string) (got tokens) {
	t.Helper()
	s.call(t, "POST", "/api/login", "", `{"username":"`+username+`","password":"rahasia"}`, 200, &got)
	return got
}

func (s *Site) next(t *testing.T, refresh string) (got tokens) {
	t.Helper()
	s.call(t, "POST", "/api/refresh", "", `{"refresh_token":"`+refresh+`"}`, 200, &got)
	return got
}

// payload reads the claims of a token without a look at its signature.
func payload(t *testing.T, token string) (c claims) {
	t.Helper()
	text, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err != nil || json.Unmarshal(text, &c) != nil {
		t.Fatalf("%s has no claims", token)
	}
	return c
}

func TestALoginGivesATokenThatSaysWhoseItIs(t *testing.T) {
	s, _ := open()
	got := s.login(t, "budi")
	c := payload(t, got.Access)
	want := claims{
		Issuer: "http://127.0.0.1:8080", Audience: "spasite", Subject: "p-a", IssuedAt: opening.Unix(), Expires: opening.Unix() + 300,
		Session: c.Session, AuthTime: opening.Unix(), ACR: "pwd", AMR: []string{"pwd"}, Phone: "+6281234567810", Username: "budi",
	}
	if !reflect.DeepEqual(c, want) || c.Session == "" || got.Expires != 300 {
		t.Errorf("claims are %+v for %d s, want %+v for 300 s", c, got.Expires, want)
	}
	var me player
	s.call(t, "GET", "/api/me", got.Access, "", 200, &me)
	if me.Username != "budi" || me.Balance != 10_000_000 {
		t.Errorf("me is %+v", me)
	}
}

func TestAWrongPasswordGivesNoToken(t *testing.T) {
	s, _ := open()
	for _, body := range []string{`{"username":"budi","password":"salah"}`, `{"username":"nobody","password":"rahasia"}`, `{}`} {
		s.call(t, "POST", "/api/login", "", body, 403, nil)
	}
	for _, body := range []string{``, `[]`, `{"username":"` + strings.Repeat("x", maxBody) + `"}`} {
		s.call(t, "POST", "/api/login", "", body, 400, nil)
	}
}

func TestARefreshTokenWorksOnceAndKeepsTheSession(t *testing.T) {
	s, advance := open()
	first := s.login(t, "budi")
	advance(accessLifetime)
	s.call(t, "GET", "/api/me", first.Access, "", 401, nil)
	second := s.next(t, first.Refresh)
	s.call(t, "GET", "/api/me", second.Access, "", 200, nil)
	s.call(t, "POST", "/api/refresh", "", `{"refresh_token":"`+first.Refresh+`"}`, 403, nil)
	a, b := payload(t, first.Access), payload(t, second.Access)
	if a.Session != b.Session || a.AuthTime != b.AuthTime || b.IssuedAt == a.IssuedAt {
		t.Errorf("the session was %+v and is %+v", a, b)
	}
	if other := payload(t, s.login(t, "budi").Access); other.Session == a.Session {
		t.Error("two logins are one session")
	}
}

func TestALogoutEndsTheRefreshTokenOnly(t *testing.T) {
	s, advance := open()
	in := s.login(t, "budi")
	s.call(t, "POST", "/api/logout", "", `{"refresh_token":"`+in.Refresh+`"}`, 204, nil)
	s.call(t, "POST", "/api/refresh", "", `{"refresh_token":"`+in.Refresh+`"}`, 403, nil)
	s.call(t, "GET", "/api/me", in.Access, "", 200, nil)
	advance(accessLifetime)
	s.call(t, "GET", "/api/me", in.Access, "", 401, nil)
}

func TestTokensOfTheKeyBeforeAreGoodAndOlderOnesAreNot(t *testing.T) {
	s, _ := open()
	in := s.login(t, "budi")
	s.Rotate()
	s.call(t, "GET", "/api/me", in.Access, "", 200, nil)
	s.call(t, "GET", "/api/me", s.login(t, "budi").Access, "", 200, nil)
	s.Rotate()
	s.call(t, "GET", "/api/me", in.Access, "", 401, nil)
}

// What others do with the published keys: find the token's by its id and verify with
// what stands there alone.
func TestThePublishedKeysVerifyTheTokens(t *testing.T) {
	s, _ := open()
	before := s.login(t, "budi").Access
	s.Rotate()
	var set struct{ Keys []map[string]string }
	s.call(t, "GET", "/.well-known/jwks.json", "", "", 200, &set)
	if len(set.Keys) != 2 || set.Keys[0]["d"] != "" {
		t.Fatalf("the set is %v, want two public keys", set.Keys)
	}
	for i, token := range []string{s.login(t, "sari").Access, before} {
		parts := strings.Split(token, ".")
		var head header
		text, _ := base64.RawURLEncoding.DecodeString(parts[0])
		if json.Unmarshal(text, &head) != nil || head.Algorithm != "ES256" || head.KeyID != set.Keys[i]["kid"] {
			t.Fatalf("token %d has the header %s, want the key %s", i, text, set.Keys[i]["kid"])
		}
		x, _ := base64.RawURLEncoding.DecodeString(set.Keys[i]["x"])
		y, _ := base64.RawURLEncoding.DecodeString(set.Keys[i]["y"])
		public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, x, y))
		if err != nil {
			t.Fatal(err)
		}
		signature, _ := base64.RawURLEncoding.DecodeString(parts[2])
		digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
		if !ecdsa.Verify(public, digest[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])) {
			t.Errorf("token %d does not verify", i)
		}
	}
}

func TestWhatTheSiteDidNotSignIsNoToken(t *testing.T) {
	s, _ := open()
	good := s.login(t, "budi").Access
	parts := strings.Split(good, ".")
	other, _ := open()
	forged := payload(t, good)
	forged.Subject = "p-b"
	elsewhere := payload(t, good)
	elsewhere.Audience = "another"
	for about, token := range map[string]string{
		"nothing": "", "dots": "..", "no signature": parts[0] + "." + parts[1] + ".", "no dot": "x",
		"another site's": other.login(t, "budi").Access,
		"other claims":   parts[0] + "." + part(forged) + "." + parts[2],
		"alg none":       part(header{Algorithm: "none"}) + "." + parts[1] + ".",
		"for another":    s.keys[0].sign(elsewhere),
		"half":           good[:len(good)-40],
	} {
		t.Run(about, func(t *testing.T) { s.call(t, "GET", "/api/me", token, "", 401, nil) })
	}
}

func TestWithdrawalsAreBookedOncePerRequest(t *testing.T) {
	s, _ := open()
	in := s.login(t, "budi")
	const body = `{"amount":2500000,"account":" BCA 1234567890 "}`
	for n := 1; n <= 2; n++ {
		var got Transfer
		s.call(t, "POST", "/api/withdrawals", in.Access, body, 201, &got)
		if want := (Transfer{n, 2_500_000, "BCA 1234567890"}); got != want {
			t.Errorf("booked %+v, want %+v", got, want)
		}
	}
	if got := s.Ledger("budi"); len(got) != 2 || s.Ledger("nobody") != nil {
		t.Errorf("ledger = %v, want two transfers", got)
	}
	for body, status := range map[string]int{
		`{"amount":5000001,"account":"BCA 1"}`: 422, `{"amount":0,"account":"BCA 1"}`: 422, `{"amount":-1,"account":"BCA 1"}`: 422,
		`{"amount":1}`: 422, `{"amount":1.5,"account":"BCA 1"}`: 400, `{"amount":"1","account":"BCA 1"}`: 400, ``: 400,
	} {
		s.call(t, "POST", "/api/withdrawals", in.Access, body, status, nil)
	}
	s.call(t, "POST", "/api/withdrawals", "", body, 401, nil)
	if got := len(s.Ledger("budi")); got != 2 {
		t.Errorf("%d transfers, want 2", got)
	}
}

func TestThePageAndItsScriptAreServed(t *testing.T) {
	s, _ := open()
	for path, want := range map[string]string{"/": `src="/app.js"`, "/app.js": "async function call"} {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if w.Code != 200 || !strings.Contains(w.Body.String(), want) {
			t.Errorf("GET %s = %d, without %q:\n%s", path, w.Code, want, w.Body)
		}
	}
	s.call(t, "GET", "/nowhere", "", "", 404, nil)
}
