package identity

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// noon is when the tests play.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// testKeys are made once: RSA keys take their time.
var testKeys = sync.OnceValue(func() (k struct {
	rsa, rsaOther, rsaWeak *rsa.PrivateKey
	ec, ecOther            *ecdsa.PrivateKey
	ed                     ed25519.PrivateKey
}) {
	var errs [6]error
	k.rsa, errs[0] = rsa.GenerateKey(rand.Reader, 2048)
	k.rsaOther, errs[1] = rsa.GenerateKey(rand.Reader, 2048)
	k.rsaWeak, errs[2] = rsa.GenerateKey(rand.Reader, 1024)
	k.ec, errs[3] = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	k.ecOther, errs[4] = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	_, k.ed, errs[5] = ed25519.GenerateKey(rand.Reader)
	if err := errors.Join(errs[:]...); err != nil {
		panic(err)
	}
	return k
})

var testSecret = []byte("0123456789abcdef0123456789abcdef")

// says is what a token of the tests says unless it says something else.
func says(change map[string]any) map[string]any {
	c := map[string]any{
		"iss": "https://login.example", "aud": "casino", "sub": "p-1", "exp": noon.Add(time.Minute).Unix(), "iat": noon.Unix(),
		"username": "budi", "phone_number": "+6281234567890", "email": "budi@example.com", "sid": "s-1",
	}
	maps.Copy(c, change)
	for name, value := range c {
		if value == nil {
			delete(c, name)
		}
	}
	return c
}

func jsonOf(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}

func part(v any) string { return base64.RawURLEncoding.EncodeToString([]byte(jsonOf(v))) }

// signed returns a token with a header and claims as they are given, maps or JSON.
func signed(key any, header, claims any) string {
	input := part(header) + "." + part(claims)
	sum := sha256.Sum256([]byte(input))
	var signature []byte
	var err error
	switch key := key.(type) {
	case *rsa.PrivateKey:
		signature, err = rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	case *ecdsa.PrivateKey:
		r, s, failed := ecdsa.Sign(rand.Reader, key, sum[:])
		err, signature = failed, make([]byte, 64)
		r.FillBytes(signature[:32])
		s.FillBytes(signature[32:])
	case ed25519.PrivateKey:
		signature = ed25519.Sign(key, []byte(input))
	case []byte:
		m := hmac.New(sha256.New, key)
		m.Write([]byte(input))
		signature = m.Sum(nil)
	}
	if err != nil {
		panic(err)
	}
	return input + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// header is the header of a token.
func header(alg, kid string) map[string]any {
	h := map[string]any{"alg": alg, "typ": "JWT"}
	if kid != "" {
		h["kid"] = kid
	}
	return h
}

// jwk returns a public key as an issuer publishes it.
func jwk(public any, kid string, change map[string]any) map[string]any {
	text, err := jose.JSONWebKey{Key: public, KeyID: kid, Use: "sig"}.MarshalJSON()
	var out map[string]any
	if err == nil {
		err = json.Unmarshal(text, &out)
	}
	if err != nil {
		panic(err)
	}
	maps.Copy(out, change)
	return out
}

func setOf(keys ...map[string]any) []byte { return []byte(jsonOf(map[string]any{"keys": keys})) }

// newTestJWT takes RS256 of the key "r" and ES256 of "e".
func newTestJWT(t testing.TB, change func(c *JWTConfig)) *JWT {
	t.Helper()
	k := testKeys()
	c := JWTConfig{
		Sessions: []Session{{Kind: Bearer}}, Issuer: "https://login.example", Audience: []string{"casino"},
		Keys:  [][]byte{setOf(jwk(k.rsa.Public(), "r", nil), jwk(k.ec.Public(), "e", nil))},
		Login: "username", Phone: "phone_number", Email: "email",
		Now: func() time.Time { return noon },
	}
	if change != nil {
		change(&c)
	}
	j, err := NewJWT(c)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func bearer(token string) Credential {
	return Credential{Kind: Bearer, Name: "Authorization", Value: token}
}

// good is a token that is taken.
func good(change map[string]any) string {
	return signed(testKeys().ec, header("ES256", "e"), says(change))
}

// outcome is what becomes of a token.
type outcome string

const (
	known   outcome = "known"
	visitor outcome = "a visitor's"
	failing outcome = "an error"
)

// want fails the test unless that becomes of a token, and no error quotes it.
func (j *JWT) want(t *testing.T, token string, want outcome) Identity {
	t.Helper()
	id, err := j.Identify(t.Context(), nil, bearer(token))
	got := failing
	switch {
	case err == nil:
		got = known
	case errors.Is(err, ErrAnonymous):
		got = visitor
	}
	if got != want || err != nil && !reflect.DeepEqual(id, Identity{}) {
		t.Errorf("a token is %s (%v, subject %q), want %s", got, err, id.Subject, want)
	}
	if err != nil {
		for _, part := range strings.Split(token, ".") {
			if part != "" && strings.Contains(err.Error(), part) {
				t.Errorf("the error quotes the token: %v", err)
			}
		}
		for _, claim := range []string{"p-1", "budi", "+62", "elsewhere", "s-1"} {
			if strings.Contains(err.Error(), claim) {
				t.Errorf("the error quotes a claim: %v", err)
			}
		}
	}
	return id
}

func TestATokenSaysWhoseItIs(t *testing.T) {
	j := newTestJWT(t, nil)
	want := Identity{Subject: "p-1", Login: "budi", Email: "budi@example.com", Phone: "+6281234567890"}
	for name, token := range map[string]string{
		"RSA": signed(testKeys().rsa, header("RS256", "r"), says(nil)), "EC": good(nil),
		"without kid":           signed(testKeys().ec, header("ES256", ""), says(nil)),
		"an access token":       signed(testKeys().ec, map[string]any{"alg": "ES256", "typ": "application/AT+JWT"}, says(nil)),
		"without typ":           signed(testKeys().ec, map[string]any{"alg": "ES256"}, says(nil)),
		"several audiences":     good(map[string]any{"aud": []string{"elsewhere", "casino"}}),
		"times with a fraction": good(map[string]any{"exp": float64(noon.Unix()) + 30.5, "nbf": float64(noon.Unix()) - 0.5}),
	} {
		if id := j.want(t, token, known); id != want {
			t.Errorf("%s: the identity is %q, %q, %q, %q", name, id.Subject, id.Login, id.Email, id.Phone)
		}
	}
	// As an identity upstream does: exact digits.
	if id := j.want(t, good(map[string]any{"sub": json.Number("12345678901234567890")}), known); id.Subject != "12345678901234567890" {
		t.Errorf("the subject is %q", id.Subject)
	}
}

func TestTokensAreFoundWhereTheSiteLooks(t *testing.T) {
	j := newTestJWT(t, func(c *JWTConfig) {
		c.Sessions = []Session{{Kind: Cookie, Name: "token"}, {Kind: Header, Name: "Authorization"}}
	})
	token := good(nil)
	for _, pairs := range [][]string{{"Cookie", "token=" + token}, {"Authorization", "JWT " + token}, {"Authorization", token}, {"Cookie", "token=" + token, "Authorization", "JWT " + token}} {
		c, err := j.Credential(bears(pairs...))
		if err != nil {
			t.Fatal(err)
		}
		if id, err := j.Identify(t.Context(), nil, c); err != nil || id.Subject != "p-1" {
			t.Errorf("Identify = %q, %v", id.Subject, err)
		}
	}
	if _, err := j.Identify(t.Context(), nil, bearer(token)); err == nil || errors.Is(err, ErrAnonymous) {
		t.Errorf("a credential of another kind: Identify = %v, want an error", err)
	}
}

func TestKeysOfEveryKindVerify(t *testing.T) {
	k := testKeys()
	pkix := func(public any) []byte {
		der, err := x509.MarshalPKIXPublicKey(public)
		if err != nil {
			t.Fatal(err)
		}
		return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	}
	pkcs1 := pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(&k.rsa.PublicKey)})
	for name, c := range map[string]struct {
		change func(c *JWTConfig)
		token  string
	}{
		"a secret":       {func(c *JWTConfig) { c.Keys, c.Secret = nil, testSecret }, signed(testSecret, header("HS256", ""), says(nil))},
		"PEM":            {func(c *JWTConfig) { c.Keys = [][]byte{pkix(&k.ec.PublicKey)} }, good(nil)},
		"PEM, two files": {func(c *JWTConfig) { c.Keys = [][]byte{pkix(&k.ecOther.PublicKey), pkix(&k.ec.PublicKey)} }, good(nil)},
		"PKCS #1":        {func(c *JWTConfig) { c.Keys = [][]byte{pkcs1} }, signed(k.rsa, header("RS256", ""), says(nil))},
		"Ed25519":        {func(c *JWTConfig) { c.Keys = [][]byte{pkix(k.ed.Public())} }, signed(k.ed, header("EdDSA", ""), says(nil))},
		"one JWK":        {func(c *JWTConfig) { c.Keys = [][]byte{[]byte(jsonOf(jwk(k.ec.Public(), "e", nil)))} }, good(nil)},
		"a key published twice": {func(c *JWTConfig) {
			c.Keys = [][]byte{setOf(jwk(k.ec.Public(), "e", nil), jwk(k.ec.Public(), "e", map[string]any{"alg": "ES256"}))}
		}, good(nil)},
	} {
		t.Run(name, func(t *testing.T) { newTestJWT(t, c.change).want(t, c.token, known) })
	}
}

func TestAStepUpIsBoundToWhatStaysOverARenewal(t *testing.T) {
	bySession := newTestJWT(t, func(c *JWTConfig) { c.BindClaim = "sid" })
	first := bySession.want(t, good(nil), known)
	if renewed := bySession.want(t, good(map[string]any{"iat": 1}), known); first.Binding == "" || renewed.Binding != first.Binding {
		t.Errorf("bound to %q and then to %q", first.Binding, renewed.Binding)
	}
	if other := bySession.want(t, good(map[string]any{"sid": "s-2"}), known); other.Binding == first.Binding {
		t.Error("two sessions are bound to one thing")
	}
	for _, sid := range []any{nil, "", map[string]any{}} {
		bySession.want(t, good(map[string]any{"sid": sid}), failing)
	}
	bySubject := newTestJWT(t, func(c *JWTConfig) { c.BindSubject = true })
	if id := bySubject.want(t, good(nil), known); id.Binding != BindSubject("p-1") {
		t.Errorf("bound to %q", id.Binding)
	}
	if id := newTestJWT(t, nil).want(t, good(nil), known); id.Binding != "" {
		t.Errorf("bound to %q, want nothing but the token", id.Binding)
	}
}

// Whoever may choose what stands in a claim must not get the binding of a subject, or of
// another claim.
func TestBindingsOfDifferentThingsNeverMeet(t *testing.T) {
	seen := map[string]string{}
	for name, binding := range map[string]string{
		"subject": BindSubject("a"), "claim": BindClaim("sid", "a"), "claim subject": BindClaim("subject", "a"), "other claim": BindClaim("si", "da"), "value": BindClaim("sid", "b"),
	} {
		if other, ok := seen[binding]; ok {
			t.Errorf("%s and %s are bound to %q", name, other, binding)
		}
		seen[binding] = name
	}
	j := newTestJWT(t, func(c *JWTConfig) { c.BindClaim = "sid" })
	j.want(t, good(map[string]any{"sid": "a\x00b"}), failing)
}

func TestATokenSaysHowThePlayerLoggedIn(t *testing.T) {
	j := newTestJWT(t, nil)
	at := noon.Add(-time.Minute)
	for name, c := range map[string]struct {
		claims map[string]any
		want   *Authentication
	}{
		"all":                  {map[string]any{"acr": "mfa", "amr": []string{"pwd", "otp"}, "auth_time": at.Unix()}, &Authentication{"mfa", []string{"pwd", "otp"}, at}},
		"one method":           {map[string]any{"amr": "otp", "auth_time": at.Unix()}, &Authentication{"", []string{"otp"}, at}},
		"no time":              {map[string]any{"acr": "mfa", "amr": []string{"otp"}}, nil},
		"a time as text":       {map[string]any{"acr": "mfa", "auth_time": "yesterday"}, nil},
		"a time to come":       {map[string]any{"acr": "mfa", "auth_time": noon.Add(2 * time.Minute).Unix()}, nil},
		"words of other types": {map[string]any{"acr": map[string]any{"mfa": true}, "amr": []any{"otp", map[string]any{}}, "auth_time": at.Unix()}, &Authentication{At: at}},
	} {
		id := j.want(t, good(c.claims), known)
		got := id.Authentication
		if got == nil || c.want == nil {
			if got != c.want {
				t.Errorf("%s: %+v, want %+v", name, got, c.want)
			}
			continue
		}
		if !got.At.Equal(c.want.At) || got.ACR != c.want.ACR || fmt.Sprint(got.AMR) != fmt.Sprint(c.want.AMR) {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

func TestClaimsAreFoundByTheirPlaces(t *testing.T) {
	j := newTestJWT(t, func(c *JWTConfig) {
		c.Subject, c.Login, c.Phone, c.Email = "user.id", `https://casino\.example/login`, "phones.1", `odd\\\.name`
	})
	id := j.want(t, good(map[string]any{
		"user": map[string]any{"id": 7}, "https://casino.example/login": "budi", "phones": []string{"no", "+62"}, `odd\.name`: "x@example.com",
	}), known)
	if want := (Identity{Subject: "7", Login: "budi", Phone: "+62", Email: "x@example.com"}); id != want {
		t.Errorf("found %q, %q, %q, %q", id.Subject, id.Login, id.Phone, id.Email)
	}
}

func TestVisitorsMayHaveTokensWithoutASubject(t *testing.T) {
	for _, sub := range []any{nil, "", " ", 0, "0"} {
		newTestJWT(t, nil).want(t, good(map[string]any{"sub": sub}), failing)
		newTestJWT(t, func(c *JWTConfig) { c.Missing = true }).want(t, good(map[string]any{"sub": sub}), visitor)
	}
}

func TestAJWTThatCannotWorkIsRefused(t *testing.T) {
	k := testKeys()
	private, err := x509.MarshalPKCS8PrivateKey(k.ec)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(c *JWTConfig)
		says   string
	}{
		"no session":                  {func(c *JWTConfig) { c.Sessions = nil }, "want a session"},
		"no keys":                     {func(c *JWTConfig) { c.Keys = nil }, "want the URL"},
		"a secret beside keys":        {func(c *JWTConfig) { c.Secret = testSecret }, "one of the three"},
		"a secret beside keys, HS256": {func(c *JWTConfig) { c.Secret, c.Algorithms = testSecret, []string{"HS256"} }, "one of the three"},
		"a URL beside keys":           {func(c *JWTConfig) { c.JWKS = "https://login.example/jwks" }, "one of the three"},
		"HS256 with public keys":      {func(c *JWTConfig) { c.Algorithms = []string{"RS256", "HS256"} }, "there is none"},
		"RS256 with a secret":         {func(c *JWTConfig) { c.Keys, c.Secret, c.Algorithms = nil, testSecret, []string{"HS256", "RS256"} }, "want HS256"},
		"none":                        {func(c *JWTConfig) { c.Algorithms = []string{"none"} }, "want one or more"},
		"a short secret":              {func(c *JWTConfig) { c.Keys, c.Secret = nil, testSecret[:31] }, "32 or more"},
		"a short secret for HS512":    {func(c *JWTConfig) { c.Keys, c.Secret, c.Algorithms = nil, testSecret, []string{"HS512"} }, "64 or more"},
		"an empty secret":             {func(c *JWTConfig) { c.Keys, c.Secret = nil, []byte{} }, "32 or more"},
		"a private key": {func(c *JWTConfig) {
			c.Keys = [][]byte{pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})}
		}, "private"},
		"a shared key as JWK":       {func(c *JWTConfig) { c.Keys = [][]byte{[]byte(`{"kty":"oct","k":"AAAA"}`)} }, "shared"},
		"a weak RSA key":            {func(c *JWTConfig) { c.Keys = [][]byte{setOf(jwk(k.rsaWeak.Public(), "w", nil))} }, "1024 bits"},
		"a key that nothing is for": {func(c *JWTConfig) { c.Algorithms = []string{"RS256"} }, "no allowed algorithm"},
		"a key for encryption":      {func(c *JWTConfig) { c.Keys = [][]byte{setOf(jwk(k.rsa.Public(), "r", map[string]any{"use": "enc"}))} }, "no public key"},
		"two keys of one id": {func(c *JWTConfig) {
			c.Keys = [][]byte{setOf(jwk(k.ec.Public(), "e", nil), jwk(k.ecOther.Public(), "e", nil))}
		}, "same kid"},
		"two keys of one id, two files": {func(c *JWTConfig) { c.Keys = append(c.Keys, setOf(jwk(k.ecOther.Public(), "e", nil))) }, "same kid"},
		"no file of keys":               {func(c *JWTConfig) { c.Keys = [][]byte{[]byte("hello")} }, "no public key"},
		"no issuer":                     {func(c *JWTConfig) { c.Issuer = "" }, "want the issuer"},
		"no audience":                   {func(c *JWTConfig) { c.Audience = nil }, "want the audience"},
		"an empty audience":             {func(c *JWTConfig) { c.Audience = []string{"casino", ""} }, "is empty"},
		"unscoped, with all":            {func(c *JWTConfig) { c.Unscoped = true }, "remove it"},
		"bound to two things":           {func(c *JWTConfig) { c.BindSubject, c.BindClaim = true, "sid" }, "one of the two"},
		"bound to the subject's claim":  {func(c *JWTConfig) { c.BindClaim = "sub" }, "share"},
		"a claim without a name":        {func(c *JWTConfig) { c.Subject = "user..id" }, "joined by dots"},
		"a requirement of nothing":      {func(c *JWTConfig) { c.Require = map[string][]string{"token_type": nil} }, "one of nothing"},
		"too much skew":                 {func(c *JWTConfig) { c.Skew = MaxSkew + 1 }, "skew"},
		"less than no skew":             {func(c *JWTConfig) { c.Skew = -1 }, "skew"},
		"a negative timeout":            {func(c *JWTConfig) { c.Timeout = -1 }, "timeout"},
		"keys from anywhere":            {func(c *JWTConfig) { c.Keys, c.JWKS = nil, "http://login.example/jwks" }, "want https"},
		"keys from nowhere":             {func(c *JWTConfig) { c.Keys, c.JWKS = nil, "/jwks" }, "absolute"},
		"keys with a user":              {func(c *JWTConfig) { c.Keys, c.JWKS = nil, "https://a:b@login.example/jwks" }, "without user"},
	} {
		config := JWTConfig{
			Sessions: []Session{{Kind: Bearer}}, Issuer: "https://login.example", Audience: []string{"casino"},
			Keys: [][]byte{setOf(jwk(k.rsa.Public(), "r", nil), jwk(k.ec.Public(), "e", nil))},
		}
		c.change(&config)
		if _, err := NewJWT(config); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: NewJWT = %v, want an error that says %q", name, err, c.says)
		}
	}
}
