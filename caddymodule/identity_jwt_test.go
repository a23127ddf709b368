package caddymodule

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/stepgate/stepgate/identity"
)

// tokenBy returns a token of an hour, signed with a key.
func tokenBy(t *testing.T, algorithm jose.SignatureAlgorithm, key any) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: key}, nil)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.Signed(signer).Claims(map[string]any{
		"iss": "https://login.example", "aud": "casino", "sub": "p-1", "sid": "s-1", "exp": time.Now().Add(time.Hour).Unix(),
	}).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func keyFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTheJWTModuleReadsItsFiles(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	public := keyFile(t, string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})))
	shared := strings.Repeat("s", 32)
	t.Setenv("STEPGATE_TEST_KEY", public)
	t.Setenv("STEPGATE_TEST_AUDIENCE", "casino")
	for name, c := range map[string]struct {
		source JWTIdentity
		token  string
	}{
		"a public key":                       {JWTIdentity{KeyFiles: []string{"{env.STEPGATE_TEST_KEY}"}}, tokenBy(t, jose.ES256, key)},
		"a secret":                           {JWTIdentity{SecretFile: keyFile(t, shared)}, tokenBy(t, jose.HS256, []byte(shared))},
		"a secret, with a line's end":        {JWTIdentity{SecretFile: keyFile(t, shared+"\n")}, tokenBy(t, jose.HS256, []byte(shared))},
		"a secret, with another line's end":  {JWTIdentity{SecretFile: keyFile(t, shared+"\r\n")}, tokenBy(t, jose.HS256, []byte(shared))},
		"a secret that ends in a blank line": {JWTIdentity{SecretFile: keyFile(t, shared+"\n\n")}, tokenBy(t, jose.HS256, []byte(shared+"\n"))},
	} {
		j := &c.source
		j.Sessions, j.Issuer, j.Audience = []SessionPlace{{Kind: "bearer"}}, "https://login.example", []string{"{env.STEPGATE_TEST_AUDIENCE}"}
		j.Bind, j.BindClaim = "claim", "sid"
		if err := j.Provision(caddy.Context{}); err != nil {
			t.Errorf("%s: Provision = %v", name, err)
			continue
		}
		found, err := j.Credential(&http.Request{Header: http.Header{"Authorization": {"Bearer " + c.token}}})
		if err != nil {
			t.Fatal(err)
		}
		id, err := j.Identify(t.Context(), nil, found)
		if err != nil || id.Subject != "p-1" || id.Binding != identity.BindClaim("sid", "s-1") {
			t.Errorf("%s: Identify = %q bound to %q, %v", name, id.Subject, id.Binding, err)
		}
		// With `logs { trace }` Caddy logs handlers as JSON.
		if text, err := json.Marshal(j); err != nil || strings.Contains(string(text), shared) || strings.Contains(string(text), "BEGIN") {
			t.Errorf("%s: the module's JSON is %s, %v", name, text, err)
		}
	}
}

func TestAJWTModuleThatCannotWorkIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change func(j *JWTIdentity)
		says   string
	}{
		"no file":              {func(j *JWTIdentity) { j.KeyFiles = []string{"/nonexistent"} }, "no such file"},
		"an empty file":        {func(j *JWTIdentity) { j.KeyFiles = []string{keyFile(t, "")} }, "no public key"},
		"a huge file":          {func(j *JWTIdentity) { j.KeyFiles = []string{keyFile(t, strings.Repeat("x", maxKeyFile+1))} }, "longer than"},
		"an empty secret":      {func(j *JWTIdentity) { j.SecretFile = keyFile(t, "\n") }, "32 or more"},
		"a short secret":       {func(j *JWTIdentity) { j.SecretFile = keyFile(t, "rahasia\n") }, "32 or more"},
		"no keys":              {func(*JWTIdentity) {}, "one of the three"},
		"keys and a secret":    {func(j *JWTIdentity) { j.JWKS, j.SecretFile = "https://login.example/jwks", keyFile(t, "x") }, "one of the three"},
		"a claim without bind": {func(j *JWTIdentity) { j.JWKS, j.BindClaim = "https://login.example/jwks", "sid" }, "belong together"},
		"bind without a claim": {func(j *JWTIdentity) { j.JWKS, j.Bind = "https://login.example/jwks", "claim" }, "belong together"},
		"an unknown binding":   {func(j *JWTIdentity) { j.JWKS, j.Bind = "https://login.example/jwks", "device" }, "want credential"},
		"an unknown session": {func(j *JWTIdentity) {
			j.JWKS, j.Sessions = "https://login.example/jwks", []SessionPlace{{Kind: "query"}}
		}, "kind of session"},
		"an unknown variable": {func(j *JWTIdentity) { j.JWKS = "{env.STEPGATE_NO_SUCH_VARIABLE}" }, "STEPGATE_NO_SUCH_VARIABLE"},
		"an unknown one as issuer": {func(j *JWTIdentity) {
			j.JWKS, j.Issuer = "https://login.example/jwks", "{env.STEPGATE_NO_SUCH_VARIABLE}"
		}, "STEPGATE_NO_SUCH_VARIABLE"},
	} {
		j := &JWTIdentity{Sessions: []SessionPlace{{Kind: "bearer"}}, Issuer: "https://login.example", Audience: []string{"casino"}}
		c.change(j)
		if err := j.Provision(caddy.Context{}); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: Provision = %v, want an error with %q", name, err, c.says)
		}
	}
}

func TestTokensWithoutAnIssuerAreLoggedWithTheReason(t *testing.T) {
	dir := t.TempDir()
	handler := `{"handler":"step_up",` + strings.Replace(tokenIdentity, `"issuer":"https://login.invalid"`, `"unsafe_unscoped":"the site alone has the key","bind":"subject"`, 1) + `}`
	if err := validateLogging(t, plainApp, handler, dir); err != nil {
		t.Fatal(err)
	}
	log, err := os.ReadFile(filepath.Join(dir, "log.json"))
	if err != nil || !strings.Contains(string(log), "the site alone has the key") || !strings.Contains(string(log), "bound to the player") {
		t.Errorf("the log does not tell: %v\n%s", err, log)
	}
}
