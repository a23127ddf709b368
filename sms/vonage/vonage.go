// Package vonage sends codes through the HTTP APIs of Vonage: the Messages API
// ([Messages]), the older SMS API ([SMS]), and the Verify API, which makes the code
// itself ([Verify]).
//
// # What an answer means
//
// None of the three knows idempotency keys, so an answer that does not come may be
// that of a message which was sent. A message counts as not sent only where that is
// certain: no connection was had, or Vonage says that it throttles. Whatever makes no
// sense, an HTML page under status 200 among it, is [sms.Unknown].
//
// # Callbacks
//
// Messages and Verify sign their callbacks, the SMS API only where Vonage's support
// has switched it on; elsewhere its receipts come to an address that nobody can guess.
// Receipts are repeated for days and nothing documents whether a repetition is signed
// anew, so the age of a signature is not looked at: a report that comes twice changes
// nothing ([sms.State.After]).
//
// # What stays inside
//
// No error and no String has a number, a text, a code, a secret, or what Vonage wrote;
// an error has at most its status and the number of its error.
package vonage

import (
	"crypto/rsa"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/stepgate/stepgate/sms"
)

// The hosts that are asked unless others are configured.
const (
	// DefaultURL is that of the Messages and the Verify API.
	DefaultURL = "https://api.nexmo.com"
	// DefaultRestURL is that of the SMS API.
	DefaultRestURL = "https://rest.nexmo.com"
)

// Config says whose account sends and how. Which fields an API takes is said at its
// constructor; a field that it has no use for is refused, because who wrote it meant
// something. Errors name the fields as the Caddyfile does: APIKey is api_key.
type Config struct {
	// ApplicationID and PrivateKey sign a token for each request (RS256): the id is
	// that of the dashboard, the key is read with [ParsePrivateKey].
	ApplicationID string
	PrivateKey    *rsa.PrivateKey
	// APIKey and APISecret are the account's own. The secret can do everything with
	// the account; a private key only what its application may.
	APIKey, APISecret string
	// CredentialsInBody sends APIKey and APISecret in the body rather than as Basic
	// authorization.
	CredentialsInBody bool
	// SignatureSecret is what Vonage signs its callbacks with, and the SMS API our
	// requests. 32 bytes or more where callbacks are signed with HS256 (RFC 7518,
	// section 3.2).
	SignatureSecret string
	// SignatureAlgorithm is the account's setting in the dashboard, for the SMS API:
	// one of Algorithms.
	SignatureAlgorithm string
	// From is the sender: up to 15 digits without "+", or up to 11 letters and digits.
	From string
	// EntityID and ContentID are what some countries register senders and templates
	// under. Optional.
	EntityID, ContentID string
	// Callback is the URL for the receipts of each message. Default: what the
	// dashboard says.
	Callback string
	// ReceiptToken makes the address of unsigned receipts unguessable: 22 or more
	// letters, digits, "-" and "_". It is appended to Callback.
	ReceiptToken string
	// URL is that of the API, https unless its host is this machine. Default:
	// DefaultURL or DefaultRestURL.
	URL string
	// Transport makes the connections. Default: that of net/http, with the proxy of
	// the environment and few idle connections.
	Transport *http.Transport
	// Now is the clock. Default: time.Now.
	Now func() time.Time
	// Rand gives the ids of tokens. Default: crypto/rand.
	Rand io.Reader
}

// String keeps the secrets out of logs.
func (Config) String() string { return "vonage config" }

// GoString keeps the secrets out of %#v.
func (Config) GoString() string { return "vonage config" }

// failure returns an error of a class with a text for the operator.
func failure(class sms.Class, text string) error {
	return &sms.Error{Class: class, Err: errors.New(text)}
}

// isID says whether s can be a name that Vonage or we gave: it stands in logs and in
// the path of a URL, so nothing else than letters, digits, "-" and "_" will do.
func isID(s string) bool { return len(s) <= 64 && isWord(s, "-_") }

// isWord says whether s has letters and digits of ASCII, and what else is given, and
// at least one of them.
func isWord(s, besides string) bool {
	for _, r := range s {
		if !isDigit(r) && (r|0x20 < 'a' || r|0x20 > 'z') && !strings.ContainsRune(besides, r) {
			return false
		}
	}
	return s != ""
}

func isDigit(r rune) bool { return '0' <= r && r <= '9' }
