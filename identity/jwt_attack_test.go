package identity

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"crypto/x509"
	"encoding/pem"

	"github.com/go-jose/go-jose/v4"
)

// The attacks of RFC 8725, and what others have found since.
func TestAttackForgedTokens(t *testing.T) {
	k := testKeys()
	j := newTestJWT(t, nil)
	token := good(nil)
	parts := strings.Split(token, ".")
	der, err := x509.MarshalPKIXPublicKey(k.rsa.Public())
	if err != nil {
		t.Fatal(err)
	}
	pemKey := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	strange := func(change map[string]any) string { // signed by the attacker's own key
		h := header("ES256", "e")
		for name, value := range change {
			h[name] = value
		}
		return signed(k.ecOther, h, says(nil))
	}
	encrypter, err := jose.NewEncrypter(jose.A128GCM, jose.Recipient{Algorithm: jose.RSA_OAEP, Key: k.rsa.Public()}, (&jose.EncrypterOptions{}).WithContentType("JWT"))
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := encrypter.Encrypt([]byte(jsonOf(says(nil))))
	if err != nil {
		t.Fatal(err)
	}
	encrypted, err := sealed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	for attack, token := range map[string]string{
		"alg none":                             part(map[string]any{"alg": "none"}) + "." + parts[1] + ".",
		"alg none, with a signature":           part(map[string]any{"alg": "none"}) + "." + parts[1] + "." + parts[2],
		"alg NonE":                             part(map[string]any{"alg": "NonE"}) + "." + parts[1] + ".",
		"no alg":                               signed(k.ec, map[string]any{"kid": "e"}, says(nil)),
		"alg twice":                            signed(k.ec, `{"alg":"none","kid":"e","alg":"ES256"}`, says(nil)),
		"HS256 with the RSA key as DER":        signed(der, header("HS256", "r"), says(nil)),
		"HS256 with the RSA key as PEM":        signed(pemKey, header("HS256", "r"), says(nil)),
		"HS256 with the modulus":               signed(k.rsa.N.Bytes(), header("HS256", "r"), says(nil)),
		"HS256 with nothing":                   signed([]byte{}, header("HS256", ""), says(nil)),
		"an algorithm that is not on the list": signed(k.rsa, header("RS384", "r"), says(nil)),
		"an RSA key called EC":                 signed(k.rsa, header("ES256", "e"), says(nil)),
		"an EC key called RSA":                 signed(k.ec, header("RS256", "r"), says(nil)),
		"a key of the attacker's":              strange(nil),
		"a kid that points nowhere":            strange(map[string]any{"kid": "nowhere"}),
		"a kid that is a path":                 strange(map[string]any{"kid": "../../../../dev/null"}),
		"a kid that is SQL":                    strange(map[string]any{"kid": "x' UNION SELECT 'key"}),
		"a kid that is a URL":                  strange(map[string]any{"kid": "http://attacker.example/key"}),
		"a kid that is a number":               strange(map[string]any{"kid": 1}),
		"an empty kid":                         strange(map[string]any{"kid": ""}),
		"jwk":                                  strange(map[string]any{"jwk": jwk(k.ecOther.Public(), "e", nil)}),
		"jwk without kid":                      strange(map[string]any{"jwk": jwk(k.ecOther.Public(), "", nil), "kid": nil}),
		"jku":                                  strange(map[string]any{"jku": "https://attacker.example/jwks"}),
		"x5u":                                  strange(map[string]any{"x5u": "https://attacker.example/cert"}),
		"x5c":                                  strange(map[string]any{"x5c": []string{"AAAA"}}),
		"a changed payload":                    parts[0] + "." + part(says(map[string]any{"sub": "p-2"})) + "." + parts[2],
		"a changed header":                     part(header("ES256", "r")) + "." + parts[1] + "." + parts[2],
		"no signature":                         parts[0] + "." + parts[1] + ".",
		"half a signature":                     parts[0] + "." + parts[1] + "." + parts[2][:40],
		"a signature of zeros":                 parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(make([]byte, 64)),
		"a signature in ASN.1":                 parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString([]byte{0x30, 6, 2, 1, 0, 2, 1, 0}),
		"no payload":                           parts[0] + ".." + parts[2],
		"a fourth part":                        token + "." + parts[2],
		"crit":                                 signed(k.ec, map[string]any{"alg": "ES256", "kid": "e", "crit": []string{"exp"}, "exp": 1}, says(nil)),
		"crit that is empty":                   signed(k.ec, `{"alg":"ES256","kid":"e","crit":null}`, says(nil)),
		"crit b64":                             signed(k.ec, map[string]any{"alg": "ES256", "kid": "e", "crit": []string{"b64"}, "b64": false}, says(nil)),
		"b64 without crit":                     signed(k.ec, map[string]any{"alg": "ES256", "kid": "e", "b64": false}, says(nil)),
		"a token in a token":                   signed(k.ec, map[string]any{"alg": "ES256", "kid": "e", "cty": "JWT"}, part(says(nil))),
		"compressed":                           signed(k.ec, map[string]any{"alg": "ES256", "kid": "e", "zip": "DEF"}, says(nil)),
		"encrypted":                            encrypted,
		"JSON serialization":                   jsonOf(map[string]any{"protected": parts[0], "payload": parts[1], "signature": parts[2]}),
		"a header that is no object":           signed(k.ec, `["ES256"]`, says(nil)),
		"a header that is no JSON":             signed(k.ec, `{"alg":"ES256"`, says(nil)),
		"a huge token":                         good(map[string]any{"x": strings.Repeat("x", maxToken)}),
		"base64 with padding":                  parts[0] + "=." + parts[1] + "." + parts[2],
		"base64 with a line's end":             parts[0] + "\n." + parts[1] + "." + parts[2],
		"base64 of the other alphabet":         parts[0] + "." + parts[1] + "." + strings.NewReplacer("-", "+", "_", "/").Replace(parts[2]) + "=",
		"another spelling of the same":         otherSpelling(token),
		"nothing but dots":                     "..",
		"a dot":                                ".",
		"a word":                               "admin",
	} {
		t.Run(attack, func(t *testing.T) { j.want(t, token, visitor) })
	}
}

// otherSpelling changes bits of the last character that carry nothing.
func otherSpelling(token string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, token[len(token)-1])
	return token[:len(token)-1] + string(alphabet[last^1])
}

// What the issuer did sign and we do not take is not a visitor's: the site might take it.
func TestAttackTokensMadeForSomethingElse(t *testing.T) {
	j := newTestJWT(t, nil)
	for attack, c := range map[string]struct {
		claims any
		want   outcome
	}{
		"another audience":              {says(map[string]any{"aud": "elsewhere"}), failing},
		"other audiences":               {says(map[string]any{"aud": []string{"elsewhere", "casino2"}}), failing},
		"no audience":                   {says(map[string]any{"aud": nil}), failing},
		"an empty audience":             {says(map[string]any{"aud": []string{}}), failing},
		"an audience that begins so":    {says(map[string]any{"aud": "casino.example"}), failing},
		"an audience in other letters":  {says(map[string]any{"aud": "Casino"}), failing},
		"an audience that is an object": {says(map[string]any{"aud": map[string]any{"casino": "casino"}}), failing},
		"an audience in two levels":     {says(map[string]any{"aud": []any{[]string{"casino"}}}), failing},
		"audiences of several types":    {says(map[string]any{"aud": []any{"casino", 1}}), failing},
		"a hundred audiences":           {says(map[string]any{"aud": append(make([]string, 99), "casino")}), failing},
		"another issuer":                {says(map[string]any{"iss": "https://login.example.attacker.example"}), failing},
		"an issuer with a slash more":   {says(map[string]any{"iss": "https://login.example/"}), failing},
		"no issuer":                     {says(map[string]any{"iss": nil}), failing},
		"an issuer that is a list":      {says(map[string]any{"iss": []string{"https://login.example"}}), failing},
		"no end":                        {says(map[string]any{"exp": nil}), failing},
		"an end in words":               {says(map[string]any{"exp": "tomorrow"}), failing},
		"an end in digits, as text":     {says(map[string]any{"exp": "9999999999"}), failing},
		"an end beyond all times":       {`{"iss":"https://login.example","aud":"casino","sub":"p-1","exp":1e300}`, failing},
		"an end that overflows":         {`{"iss":"https://login.example","aud":"casino","sub":"p-1","exp":9223372036854775808}`, failing},
		"an end before 1970":            {`{"iss":"https://login.example","aud":"casino","sub":"p-1","exp":-1}`, failing},
		"expired":                       {says(map[string]any{"exp": noon.Add(-DefaultSkew).Unix()}), visitor},
		"expired long ago":              {says(map[string]any{"exp": 0.0}), visitor},
		"expired, of another audience":  {says(map[string]any{"exp": 1, "aud": "elsewhere"}), visitor},
		"expired within the skew":       {says(map[string]any{"exp": noon.Add(-DefaultSkew).Unix() + 1}), known},
		"not valid yet":                 {says(map[string]any{"nbf": noon.Add(DefaultSkew).Unix() + 1}), failing},
		"valid within the skew":         {says(map[string]any{"nbf": noon.Add(DefaultSkew).Unix()}), known},
		"valid from something":          {says(map[string]any{"nbf": "soon"}), failing},
		"no subject":                    {says(map[string]any{"sub": nil}), failing},
		"an empty subject":              {says(map[string]any{"sub": ""}), failing},
		"a subject that is true":        {says(map[string]any{"sub": true}), failing},
		"a subject that is a list":      {says(map[string]any{"sub": []string{"p-1"}}), failing},
		"a subject that is an object":   {says(map[string]any{"sub": map[string]any{"id": "p-1"}}), failing},
		"a subject with a fraction":     {says(map[string]any{"sub": 1.5}), failing},
		"a subject with an exponent":    {`{"iss":"https://login.example","aud":"casino","sub":1e3,"exp":9999999999}`, failing},
		"a subject of half a character": {`{"iss":"https://login.example","aud":"casino","sub":"\ud800","exp":9999999999}`, failing},
		"a long subject":                {says(map[string]any{"sub": strings.Repeat("x", 257)}), failing},
		"the subject twice":             {`{"iss":"https://login.example","aud":"casino","sub":"p-1","exp":9999999999,"sub":"p-2"}`, failing},
		"the audience twice":            {`{"iss":"https://login.example","aud":"elsewhere","sub":"p-1","exp":9999999999,"aud":"casino"}`, failing},
		"the end twice, once escaped":   {`{"iss":"https://login.example","aud":"casino","sub":"p-1","exp":1,"\u0065xp":9999999999}`, failing},
		"claims in other letters":       {`{"ISS":"https://login.example","Aud":"casino","SUB":"p-1","EXP":9999999999}`, failing},
		"claims that are no object":     {`["p-1"]`, failing},
		"claims that are no JSON":       {`{"sub":"p-1"`, failing},
		"two texts":                     {`{"iss":"https://login.example","aud":"casino","sub":"p-1","exp":9999999999}{}`, failing},
		"claims that are not UTF-8":     {"{\"iss\":\"https://login.example\",\"aud\":\"casino\",\"sub\":\"p-\xff\",\"exp\":9999999999}", failing},
		"deep claims":                   {says(map[string]any{"x": json.RawMessage(strings.Repeat("[", 100) + strings.Repeat("]", 100))}), failing},
	} {
		t.Run(attack, func(t *testing.T) { j.want(t, signed(testKeys().ec, header("ES256", "e"), c.claims), c.want) })
	}
}

// A token that an issuer made for another purpose is no session (RFC 8725 section 3.12).
func TestAttackTokensOfAnotherPurpose(t *testing.T) {
	typed := func(kind any) string {
		return signed(testKeys().ec, map[string]any{"alg": "ES256", "kid": "e", "typ": kind}, says(map[string]any{"token_type": "access"}))
	}
	usual, access := newTestJWT(t, nil), newTestJWT(t, func(c *JWTConfig) { c.Type = "application/at+jwt" })
	for kind, want := range map[string][2]outcome{
		"JWT": {known, failing}, "at+jwt": {known, known}, "application/at+jwt": {known, known}, "logout+jwt": {failing, failing}, "dpop+jwt": {failing, failing},
	} {
		usual.want(t, typed(kind), want[0])
		access.want(t, typed(kind), want[1])
	}
	usual.want(t, typed(7), visitor) // no token at all
	required := newTestJWT(t, func(c *JWTConfig) { c.Require = map[string][]string{"token_type": {"access", "mobile"}} })
	required.want(t, typed("JWT"), known)
	required.want(t, good(map[string]any{"token_type": "refresh"}), failing)
	required.want(t, good(nil), failing)
}

// Whoever may leave out issuer or audience says why; what is named still counts.
func TestUnscopedTokensAreComparedWithWhatIsNamed(t *testing.T) {
	neither := newTestJWT(t, func(c *JWTConfig) { c.Unscoped, c.Issuer, c.Audience = true, "", nil })
	neither.want(t, good(map[string]any{"iss": nil, "aud": nil}), known)
	issuer := newTestJWT(t, func(c *JWTConfig) { c.Unscoped, c.Audience = true, nil })
	issuer.want(t, good(map[string]any{"aud": nil}), known)
	issuer.want(t, good(map[string]any{"iss": nil, "aud": nil}), failing)
	audience := newTestJWT(t, func(c *JWTConfig) { c.Unscoped, c.Issuer = true, "" })
	audience.want(t, good(map[string]any{"iss": nil}), known)
	audience.want(t, good(map[string]any{"iss": nil, "aud": nil}), failing)
}

func TestAttackKeysThatAreForSomethingElse(t *testing.T) {
	k := testKeys()
	for attack, c := range map[string]struct {
		keys  []map[string]any
		token string
		want  outcome
	}{
		"a key for encryption":                  {[]map[string]any{jwk(k.ec.Public(), "e", map[string]any{"use": "enc"})}, good(nil), visitor},
		"a key for other operations":            {[]map[string]any{jwk(k.ec.Public(), "e", map[string]any{"key_ops": []string{"deriveKey"}})}, good(nil), visitor},
		"a key for another algorithm":           {[]map[string]any{jwk(k.rsa.Public(), "r", map[string]any{"alg": "PS256"})}, signed(k.rsa, header("RS256", "r"), says(nil)), visitor},
		"a key for an algorithm of encryption":  {[]map[string]any{jwk(k.rsa.Public(), "r", map[string]any{"alg": "RSA-OAEP"})}, signed(k.rsa, header("RS256", "r"), says(nil)), visitor},
		"a key of another kind":                 {[]map[string]any{jwk(k.rsa.Public(), "e", nil)}, good(nil), visitor},
		"a key of another curve":                {[]map[string]any{jwk(k.ec.Public(), "e", map[string]any{"crv": "P-384"})}, good(nil), visitor},
		"a key of a kind that nobody knows":     {[]map[string]any{{"kty": "XYZ", "kid": "e"}}, good(nil), visitor},
		"no key":                                {nil, good(nil), visitor},
		"a weak key":                            {[]map[string]any{jwk(k.rsaWeak.Public(), "w", nil)}, signed(k.rsaWeak, header("RS256", "w"), says(nil)), failing},
		"a weak key beside a good one":          {[]map[string]any{jwk(k.rsaWeak.Public(), "w", nil), jwk(k.ec.Public(), "e", nil)}, good(nil), known},
		"a shared key":                          {[]map[string]any{{"kty": "oct", "kid": "s", "k": part("x")}, jwk(k.ec.Public(), "e", nil)}, good(nil), failing},
		"a private key":                         {[]map[string]any{jwk(k.ec.Public(), "e", map[string]any{"d": part("x")})}, good(nil), failing},
		"two keys of one id":                    {[]map[string]any{jwk(k.ecOther.Public(), "e", nil), jwk(k.ec.Public(), "e", nil)}, good(nil), failing},
		"two kinds of one id":                   {[]map[string]any{jwk(k.rsa.Public(), "e", nil), jwk(k.ec.Public(), "e", nil)}, good(nil), known},
		"too many keys for a token without kid": {many(9), signed(k.ec, header("ES256", ""), says(nil)), failing},
		"too many keys":                         {many(maxKeys + 1), good(nil), failing},
	} {
		t.Run(attack, func(t *testing.T) {
			issuer := newIssuer(t, setOf(c.keys...))
			issuer.jwt(t).want(t, c.token, c.want)
		})
	}
}

// many returns keys of the issuer's with different ids.
func many(n int) (keys []map[string]any) {
	for i := range n {
		keys = append(keys, jwk(testKeys().ec.Public(), fmt.Sprint("e", i), nil))
	}
	return keys
}

// A thief sends a token of their own beside a stolen one, or one that the site may take
// and we do not.
func TestAttackTwoTokensInOneRequest(t *testing.T) {
	j := newTestJWT(t, func(c *JWTConfig) { c.Sessions = []Session{{Kind: Cookie, Name: "token"}, {Kind: Bearer}} })
	mine, stolen, expired := good(nil), good(map[string]any{"sub": "p-2"}), good(map[string]any{"exp": 1})
	for _, c := range []struct {
		cookie, token string
		want          error
	}{
		{mine, mine, nil}, {mine, good(map[string]any{"iat": 1}), nil}, {mine, stolen, ErrAmbiguous}, {stolen, mine, ErrAmbiguous},
		{mine, expired, ErrAmbiguous}, {expired, mine, ErrAmbiguous}, {"visitor", mine, ErrAmbiguous}, {expired, expired, ErrAnonymous},
	} {
		cred, err := j.Credential(bears("Cookie", "token="+c.cookie, "Authorization", "Bearer "+c.token))
		if err != nil {
			t.Fatal(err)
		}
		id, err := j.Identify(t.Context(), nil, cred)
		if !errors.Is(err, c.want) || err == nil && (id.Subject != "p-1" || id.Credential.Kind != Cookie) {
			t.Errorf("Identify of %.4s… and %.4s… = %q, %v, want %v", c.cookie, c.token, id.Subject, err, c.want)
		}
	}
}

// FuzzToken feeds what a client may send, to a gateway whose secret the fuzzer knows for
// the seeds: whatever is taken has been signed, and says all that it has to.
func FuzzToken(f *testing.F) {
	j := newTestJWT(f, func(c *JWTConfig) { c.Keys, c.Secret, c.BindClaim = nil, testSecret, "sid" })
	for _, s := range []string{
		signed(testSecret, header("HS256", ""), says(nil)), signed(testSecret, header("HS256", "x"), says(map[string]any{"aud": []string{"casino"}})),
		signed(testSecret, `{"alg":"HS256","alg":"none"}`, says(nil)), "a.b.c", "..", good(nil),
	} {
		f.Add(s, `{"alg":"HS256"}`, jsonOf(says(nil)))
	}
	f.Fuzz(func(t *testing.T, text, head, payload string) {
		for _, token := range []string{text, signed(testSecret, head, payload)} {
			id, err := j.Identify(t.Context(), nil, bearer(token))
			if err != nil {
				continue
			}
			var says struct {
				Iss, Sid string
				Aud, Sub any
				Exp      float64
			}
			parts := strings.Split(token, ".")
			raw, decoded := base64.RawURLEncoding.DecodeString(parts[1])
			if decoded != nil || json.Unmarshal(raw, &says) != nil {
				t.Fatalf("a token is taken that the standard library cannot read: %q", raw)
			}
			if id.Subject == "" || id.Binding == "" || says.Iss != "https://login.example" || !time.Unix(int64(says.Exp), 0).Add(DefaultSkew).After(noon) {
				t.Fatalf("a token is taken that says %q", raw)
			}
			if mac := signed(testSecret, decode64(t, parts[0]), string(raw)); mac != token {
				t.Fatalf("a token is taken that is not signed: %q", token)
			}
		}
	})
}

func decode64(t *testing.T, part string) string {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}
