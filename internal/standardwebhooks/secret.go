// Package standardwebhooks signs what Stepgate sends to others, as Standard Webhooks
// 1.0 says (https://www.standardwebhooks.com), with a secret that both sides know.
package standardwebhooks

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Secret is what messages are signed with. The zero value is no secret. It prints as
// REDACTED.
type Secret struct{ key []byte }

// ErrSecret says what a secret looks like. It does not repeat what was written: that
// may be nearly the secret.
var ErrSecret = errors.New("the signing secret is not in its form: write whsec_ and 24 to 64 random bytes in base64, such as `openssl rand -base64 32` prints")

// ParseSecret reads a secret in the form of Standard Webhooks: "whsec_" and 24 to 64
// bytes in base64 with its padding. Its only error is [ErrSecret].
func ParseSecret(s string) (Secret, error) {
	text, ok := strings.CutPrefix(s, "whsec_")
	key, err := base64.StdEncoding.Strict().DecodeString(text)
	if !ok || err != nil || len(key) < 24 || len(key) > 64 {
		return Secret{}, ErrSecret
	}
	return Secret{key}, nil
}

// IsZero reports whether there is no secret.
func (s Secret) IsZero() bool { return len(s.key) == 0 }

// Sign sets the three headers of one attempt: its id, the time of the attempt, and the
// signature of both and the body. The id is signed up to its first full stop, so the
// caller makes sure that it has none, nor a space or a character that no header takes.
func (s Secret) Sign(header http.Header, id string, at time.Time, body []byte) {
	unix := strconv.FormatInt(at.Unix(), 10)
	header.Set("Webhook-Id", id)
	header.Set("Webhook-Timestamp", unix)
	header.Set("Webhook-Signature", s.signature(id, unix, body))
}

// signature is over id, time and body, joined by full stops.
func (s Secret) signature(id, unix string, body []byte) string {
	mac := hmac.New(sha256.New, s.key)
	mac.Write([]byte(id + "." + unix + "."))
	mac.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// String keeps the secret out of logs.
func (Secret) String() string { return "REDACTED" }

// GoString keeps the secret out of %#v.
func (Secret) GoString() string { return "REDACTED" }

// MarshalText keeps the secret out of JSON.
func (Secret) MarshalText() ([]byte, error) { return []byte("REDACTED"), nil }
