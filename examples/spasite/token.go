package spasite

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"strings"
	"time"
)

const (
	audience       = "spasite"
	accessLifetime = 5 * time.Minute
)

// claims are what an access token says: RFC 7519, RFC 9068 and OpenID Connect Core.
type claims struct {
	Issuer   string   `json:"iss"`
	Audience string   `json:"aud"`
	Subject  string   `json:"sub"`
	IssuedAt int64    `json:"iat"` // seconds since 1970, as all times here
	Expires  int64    `json:"exp"`
	Session  string   `json:"sid"`
	AuthTime int64    `json:"auth_time"`
	ACR      string   `json:"acr"`
	AMR      []string `json:"amr"`
	Phone    string   `json:"phone_number"`
	Username string   `json:"preferred_username"`
}

type header struct {
	Algorithm string `json:"alg"`
	Type      string `json:"typ"`
	KeyID     string `json:"kid"`
}

// key is a P-256 key for ES256 (RFC 7518, section 3.4).
type key struct {
	id      string
	private *ecdsa.PrivateKey
}

// keys are the one that signs and the one before it.
type keys [2]key

func newKey() key {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err) // crypto/rand does not fail
	}
	return key{rand.Text(), private}
}

var encode = base64.RawURLEncoding.EncodeToString

// part is a part of a token: JSON in base64url.
func part(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // strings and numbers have a JSON
	}
	return encode(text)
}

func (k key) sign(c claims) string {
	signed := part(header{"ES256", "at+jwt", k.id}) + "." + part(c)
	digest := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, k.private, digest[:])
	if err != nil {
		panic(err) // crypto/rand does not fail
	}
	var signature [64]byte
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return signed + "." + encode(signature[:])
}

// verify returns the claims of a token that one of the keys signed. What its header
// says of the algorithm is of no interest: these keys know one only.
func (ks keys) verify(token string) (c claims, ok bool) {
	last := strings.LastIndexByte(token, '.')
	if last < 0 {
		return c, false
	}
	signature, err := base64.RawURLEncoding.DecodeString(token[last+1:])
	if err != nil || len(signature) != 64 {
		return c, false
	}
	digest := sha256.Sum256([]byte(token[:last]))
	r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
	for _, k := range ks {
		if ecdsa.Verify(&k.private.PublicKey, digest[:], r, s) {
			_, payload, _ := strings.Cut(token[:last], ".")
			text, err := base64.RawURLEncoding.DecodeString(payload)
			return c, err == nil && json.Unmarshal(text, &c) == nil
		}
	}
	return c, false
}

// public returns the keys as others may have them: a JWK Set (RFC 7517).
func (ks keys) public() map[string]any {
	var set []map[string]string
	for _, k := range ks {
		point, err := k.private.PublicKey.Bytes() // 4, x, y
		if err != nil {
			panic(err) // the key was made on this curve
		}
		set = append(set, map[string]string{
			"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": k.id, "x": encode(point[1:33]), "y": encode(point[33:]),
		})
	}
	return map[string]any{"keys": set}
}
