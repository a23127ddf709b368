package vonagetest

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"hash"
	"maps"
	"slices"
	"strings"
)

// Algorithm is how "sig" is computed; an account has one.
type Algorithm string

// The algorithms, by the names of Vonage's dashboard.
const (
	MD5Hash Algorithm = "md5hash"
	MD5     Algorithm = "md5"
	SHA1    Algorithm = "sha1"
	SHA256  Algorithm = "sha256"
	SHA512  Algorithm = "sha512"
)

// Sign returns the "sig" of parameters, in small letters: they are put in the order of
// their names, with & and = in the values turned into _, and hashed with the secret.
func Sign(a Algorithm, secret string, params map[string]string) string {
	var base strings.Builder
	for _, name := range slices.Sorted(maps.Keys(params)) {
		if name != "sig" {
			base.WriteString("&" + name + "=" + strings.NewReplacer("&", "_", "=", "_").Replace(params[name]))
		}
	}
	var h hash.Hash
	switch a {
	case MD5Hash:
		sum := md5.Sum([]byte(base.String() + secret))
		return hex.EncodeToString(sum[:])
	case MD5:
		h = hmac.New(md5.New, []byte(secret))
	case SHA1:
		h = hmac.New(sha1.New, []byte(secret))
	case SHA256:
		h = hmac.New(sha256.New, []byte(secret))
	case SHA512:
		h = hmac.New(sha512.New, []byte(secret))
	default:
		panic("vonagetest: unknown signature algorithm " + string(a))
	}
	_, _ = h.Write([]byte(base.String())) // never fails
	return hex.EncodeToString(h.Sum(nil))
}
