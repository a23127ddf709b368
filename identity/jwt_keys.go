package identity

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

const (
	maxKeys       = 100  // in one set
	maxCandidates = 8    // keys that are tried for one token, each at a price
	minRSABits    = 2048 // RFC 7518 section 3.3
	maxRSABits    = 8192
)

// key is a public key of the issuer's.
type key struct {
	id        string // "kid", may be empty
	algorithm string // "alg": the only one that it is for, if not empty
	public    crypto.PublicKey
	// unfit says why the key must not be used, although the issuer may.
	unfit error
}

// fits reports whether a key can have made a signature. What a token says is compared
// with what the key is: the attack is a token that says "HS256" and is signed with a
// public key's bytes.
func (k *key) fits(a jose.SignatureAlgorithm) bool {
	if k.algorithm != "" && k.algorithm != string(a) {
		return false
	}
	switch public := k.public.(type) {
	case *rsa.PublicKey:
		return strings.HasPrefix(string(a), "RS") || strings.HasPrefix(string(a), "PS")
	case *ecdsa.PublicKey:
		return curves[a] == public.Curve
	case ed25519.PublicKey:
		return a == jose.EdDSA
	default:
		return false
	}
}

var curves = map[jose.SignatureAlgorithm]elliptic.Curve{jose.ES256: elliptic.P256(), jose.ES384: elliptic.P384(), jose.ES512: elliptic.P521()}

// equal reports whether two keys are one.
func (k *key) equal(o *key) bool {
	public, ok := k.public.(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(o.public)
}

// keySet is a set of keys of which no two have one id, unless they are of another kind.
type keySet []key

// find returns the keys for a token: those of its "kid", and those without one. A token
// that names none may be of any.
func (s keySet) find(id string, a jose.SignatureAlgorithm) ([]any, error) {
	var found []any
	var unfit error
	for i := range s {
		k := &s[i]
		switch {
		case id != "" && k.id != "" && k.id != id, !k.fits(a):
		case k.unfit != nil:
			unfit = k.unfit
		default:
			found = append(found, k.public)
		}
	}
	switch {
	case len(found) == 0 && unfit != nil:
		return nil, unfit
	case len(found) > maxCandidates:
		return nil, fmt.Errorf("more than %d of the issuer's keys may have signed it: want tokens that name theirs (kid)", maxCandidates)
	}
	return found, nil
}

// newKeySet refuses two keys of one id: which of them an issuer means, or has been made
// to publish, cannot be told.
func newKeySet(keys []key) (keySet, error) {
	if len(keys) > maxKeys {
		return nil, fmt.Errorf("there are more than %d keys", maxKeys)
	}
	var set keySet
	for _, k := range keys {
		twin := slices.IndexFunc(set, func(o key) bool { return o.id == k.id && k.id != "" && sameKind(o.public, k.public) })
		if twin >= 0 && !set[twin].equal(&k) {
			return nil, errors.New("two different keys have the same kid")
		}
		set = append(set, k)
	}
	return set, nil
}

func sameKind(a, b crypto.PublicKey) bool {
	switch a := a.(type) {
	case *rsa.PublicKey:
		_, ok := b.(*rsa.PublicKey)
		return ok
	case *ecdsa.PublicKey:
		b, ok := b.(*ecdsa.PublicKey)
		return ok && a.Curve == b.Curve
	default:
		return fmt.Sprintf("%T", a) == fmt.Sprintf("%T", b)
	}
}

// judge returns why a key must not be used, or nil.
func judge(public crypto.PublicKey) error {
	k, ok := public.(*rsa.PublicKey)
	if !ok {
		return nil
	}
	switch bits := k.N.BitLen(); {
	case bits < minRSABits:
		return fmt.Errorf("an RSA key of the issuer's has %d bits: want %d or more", bits, minRSABits)
	case bits > maxRSABits:
		return fmt.Errorf("an RSA key of the issuer's has %d bits: want %d or less", bits, maxRSABits)
	case k.E < 3 || k.E&1 == 0:
		return errors.New("an RSA key of the issuer's has an exponent that proves nothing")
	}
	return nil
}

// errSecretPublished is a set that makes no secret of a secret.
var errSecretPublished = errors.New("a private or a shared key stands among the issuer's public ones, so that anybody can sign: want public keys only")

// readJWK reads one key. It returns nil for one that is not for signatures or of a kind
// that we do not know: RFC 7517 section 5 says to pass those over.
func readJWK(text []byte) (*key, error) {
	var head struct {
		Kty, Use string
		KeyOps   []string `json:"key_ops"`
		D, K, P  any
	}
	if err := json.Unmarshal(text, &head); err != nil {
		return nil, errors.New("a key is not a JWK")
	}
	if head.D != nil || head.K != nil || head.P != nil || strings.EqualFold(head.Kty, "oct") {
		return nil, errSecretPublished
	}
	if head.Use != "" && head.Use != "sig" || head.KeyOps != nil && !slices.Contains(head.KeyOps, "verify") {
		return nil, nil
	}
	var k jose.JSONWebKey
	if err := k.UnmarshalJSON(text); err != nil || !k.IsPublic() || !k.Valid() {
		return nil, nil
	}
	return &key{k.KeyID, k.Algorithm, k.Key, judge(k.Key)}, nil
}

// readJWKs reads a JWK Set, or one JWK.
func readJWKs(text []byte) (keySet, error) {
	var doc map[string]json.RawMessage
	var list []json.RawMessage
	if json.Unmarshal(text, &doc) != nil {
		return nil, errors.New("it is not a JWK Set")
	}
	switch set, ok := doc["keys"]; {
	case !ok && doc["kty"] != nil:
		list = []json.RawMessage{text}
	case !ok || json.Unmarshal(set, &list) != nil:
		return nil, errors.New("it is not a JWK Set")
	case len(list) > maxKeys:
		return nil, fmt.Errorf("there are more than %d keys", maxKeys)
	}
	var keys []key
	for _, raw := range list {
		k, err := readJWK(raw)
		if err != nil {
			return nil, err
		}
		if k != nil {
			keys = append(keys, *k)
		}
	}
	return newKeySet(keys)
}

// readPEM reads public keys and certificates.
func readPEM(text []byte) ([]key, error) {
	var keys []key
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		var public crypto.PublicKey
		var err error
		switch block.Type {
		case "PUBLIC KEY":
			public, err = x509.ParsePKIXPublicKey(block.Bytes)
		case "RSA PUBLIC KEY":
			public, err = x509.ParsePKCS1PublicKey(block.Bytes)
		case "CERTIFICATE":
			var cert *x509.Certificate
			if cert, err = x509.ParseCertificate(block.Bytes); err == nil {
				public = cert.PublicKey
			}
		default:
			if strings.Contains(block.Type, "PRIVATE") {
				return nil, errSecretPublished
			}
			return nil, errors.New("it has a PEM block that is neither a public key nor a certificate")
		}
		if err != nil {
			return nil, errors.New("it has a PEM block that holds no public key")
		}
		keys = append(keys, key{public: public, unfit: judge(public)})
	}
	return keys, nil
}

// static are keys that stay as they are.
type static struct{ keySet }

func newStatic(files [][]byte, algorithms []jose.SignatureAlgorithm) (keySource, error) {
	var all []key
	for i, text := range files {
		read := readPEM
		if bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) {
			read = func(text []byte) ([]key, error) { return readJWKs(text) }
		}
		keys, err := read(text)
		if err == nil && len(keys) == 0 {
			err = errors.New("it has no public key for signatures: want PEM, a JWK or a JWK Set")
		}
		for j := range keys {
			if err == nil {
				err = keys[j].unfit
			}
			if err == nil && !slices.ContainsFunc(algorithms, keys[j].fits) {
				err = errors.New("it has a key that no allowed algorithm is for: name its algorithm")
			}
		}
		if err != nil {
			return nil, fmt.Errorf("reading key file %d: %w", i+1, err)
		}
		all = append(all, keys...)
	}
	set, err := newKeySet(all)
	if err != nil {
		return nil, fmt.Errorf("reading key files: %w", err)
	}
	return static{set}, nil
}

func (s static) find(_ context.Context, id string, a jose.SignatureAlgorithm) ([]any, error) {
	return s.keySet.find(id, a)
}

// secret is a key that issuer and site share.
type secret []byte

func newSecret(s []byte, algorithms []jose.SignatureAlgorithm) (keySource, error) {
	for _, a := range algorithms {
		if want := hashBytes[a]; len(s) < want {
			return nil, fmt.Errorf("the secret has %d bytes: want %d or more for %s, because a shorter one can be guessed from any token", len(s), want, a)
		}
	}
	return secret(bytes.Clone(s)), nil
}

// hashBytes is how long a secret has to be: RFC 7518 section 3.2.
var hashBytes = map[jose.SignatureAlgorithm]int{jose.HS256: 32, jose.HS384: 48, jose.HS512: 64}

func (s secret) find(context.Context, string, jose.SignatureAlgorithm) ([]any, error) {
	return []any{[]byte(s)}, nil
}
