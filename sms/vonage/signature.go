package vonage

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

// Algorithms are the ways to sign for the SMS API. Which one an account uses is a
// setting in Vonage's dashboard, and so not ours to choose: there the operator should
// set sha256 or sha512. md5hash, Vonage's default, is no HMAC but a digest.
var Algorithms = []string{"md5hash", "md5", "sha1", "sha256", "sha512"}

// signature returns the sig of parameters, which leave it out: a digest over all of
// them in order, in which "&" and "=" of a value count as "_".
func signature(algorithm, secret string, params map[string]string) []byte {
	var base strings.Builder
	clean := strings.NewReplacer("&", "_", "=", "_")
	for _, key := range slices.Sorted(maps.Keys(params)) {
		if key != "sig" {
			base.WriteString("&" + key + "=" + clean.Replace(params[key]))
		}
	}
	var digest func() hash.Hash
	switch algorithm {
	case "md5hash":
		sum := md5.Sum([]byte(base.String() + secret))
		return sum[:]
	case "md5":
		digest = md5.New
	case "sha1":
		digest = sha1.New
	case "sha256":
		digest = sha256.New
	case "sha512":
		digest = sha512.New
	default:
		return nil // unreachable: the configuration has one of Algorithms
	}
	mac := hmac.New(digest, []byte(secret))
	mac.Write([]byte(base.String()))
	return mac.Sum(nil)
}

// signed says whether the parameters bear the signature of who knows the secret.
func signed(algorithm, secret string, params map[string]string) bool {
	given, err := hex.DecodeString(params["sig"])
	want := signature(algorithm, secret, params)
	if err != nil || want == nil || params["timestamp"] == "" {
		return false
	}
	for key := range params {
		// A name with "=" or "&" in it could swallow the parameter before or after it
		// without a change to what is signed.
		if !isWord(key, "-_.") {
			return false
		}
	}
	return hmac.Equal(given, want)
}
