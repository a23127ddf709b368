package notify

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
)

// Secret is what notices are signed with. It prints as REDACTED.
type Secret struct{ key []byte }

// errSecret does not repeat what was written: it may be nearly the secret.
var errSecret = errors.New("the secret for notices is not in its form: write whsec_ and 24 to 64 random bytes in base64, such as `openssl rand -base64 32` prints")

// ParseSecret reads a secret in the form of Standard Webhooks: "whsec_" and 24 to 64
// bytes in base64 with its padding. The error does not repeat it.
func ParseSecret(s string) (Secret, error) {
	text, ok := strings.CutPrefix(s, "whsec_")
	key, err := base64.StdEncoding.Strict().DecodeString(text)
	if !ok || err != nil || len(key) < 24 || len(key) > 64 {
		return Secret{}, errSecret
	}
	return Secret{key}, nil
}

// sign returns the signature of one attempt: its id, the time of the attempt in
// Unix seconds, and the body, joined by full stops.
func (s Secret) sign(id string, unix int64, body []byte) string {
	mac := hmac.New(sha256.New, s.key)
	mac.Write([]byte(id + "." + strconv.FormatInt(unix, 10) + "."))
	mac.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// String keeps the secret out of logs.
func (Secret) String() string { return "REDACTED" }

// GoString keeps the secret out of %#v.
func (Secret) GoString() string { return "REDACTED" }

// MarshalText keeps the secret out of JSON.
func (Secret) MarshalText() ([]byte, error) { return []byte("REDACTED"), nil }
