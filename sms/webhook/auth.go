package webhook

import (
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"strings"
)

// Auth says who sends: a token, a user, or a header of another kind. Only one of them
// may be set. The values are secrets, and print as REDACTED.
type Auth struct {
	// The token after `Authorization: Bearer` (RFC 6750). What stands here is in every
	// dump of the configuration, so write it as a placeholder such as
	// `{file./run/secrets/sms}` or `{env.SMS_TOKEN}`, which is read at load.
	Bearer string `json:"bearer,omitempty"`
	// The user of `Authorization: Basic` (RFC 7617), without a colon.
	User string `json:"user,omitempty"`
	// Its password. As for the token, write a placeholder.
	Password string `json:"password,omitempty"`
	// The name of a header, such as `X-Api-Key` or `Authorization`.
	Header string `json:"header,omitempty"`
	// Its value, such as `App {file./run/secrets/sms}`.
	Value string `json:"value,omitempty"`
}

// String keeps the secrets out of logs.
func (Auth) String() string { return "REDACTED" }

// GoString keeps the secrets out of %#v.
func (Auth) GoString() string { return "REDACTED" }

// Check reports what is wrong with it, as far as that can be said without reading
// secrets.
func (a Auth) Check() error {
	_, err := a.header(func(string) (string, error) { return "x", nil })
	return err
}

// reserved are headers that say what the request is, and those at which net/http takes
// it that a message may be sent again by itself.
var reserved = []string{
	"Accept-Encoding", "Connection", "Content-Encoding", "Content-Length", "Content-Type", "Expect", "Host", "Idempotency-Key", "Te", "Trailer",
	"Transfer-Encoding", "Upgrade", "Webhook-Id", "Webhook-Signature", "Webhook-Timestamp", "X-Idempotency-Key",
}

// header returns what every request bears.
func (a Auth) header(resolve Resolve) (http.Header, error) {
	header := http.Header{"User-Agent": {"stepgate"}, "Accept": {"application/json, */*;q=0.5"}}
	name, value := "Authorization", ""
	switch {
	case a == Auth{}:
		return header, nil
	case a == Auth{Bearer: a.Bearer}:
		token, err := parseFixed(a.Bearer, "the token of auth bearer", resolve)
		if err != nil {
			return nil, err
		}
		value = "Bearer " + token
	case a == Auth{User: a.User, Password: a.Password}:
		user, err := parseFixed(a.User, "the user of auth basic", resolve)
		if err != nil {
			return nil, err
		}
		password, err := parseFixed(a.Password, "the password of auth basic", resolve)
		if err != nil {
			return nil, err
		}
		if user == "" || password == "" || strings.Contains(user, ":") {
			return nil, errors.New("auth basic needs a user without a colon, and a password: write auth basic USER {file./run/secrets/sms}")
		}
		value = "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
	case a == Auth{Header: a.Header, Value: a.Value}:
		if !isToken(a.Header) {
			return nil, errors.New("auth header needs the name of a header: write auth header X-Api-Key {file./run/secrets/sms}")
		}
		name = http.CanonicalHeaderKey(a.Header)
		if slices.Contains(reserved, name) {
			return nil, errors.New("auth header " + name + " says what is sent, not who sends: write the header that the provider wants its key in")
		}
		var err error
		if value, err = parseFixed(a.Value, "the value of auth header", resolve); err != nil {
			return nil, err
		}
	default:
		return nil, errors.New("auth says two things: write bearer, basic or header")
	}
	// A line break in a secret would begin another header.
	if strings.TrimSpace(value) != value || value == "" || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' }) {
		return nil, errors.New("auth is empty, or has a line break, a space at an end or a character that is not ASCII: write the key alone")
	}
	header.Set(name, value)
	return header, nil
}

// isToken reports whether s can be the name of a header (RFC 9110, section 5.6.2).
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
		return !letter && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
	})
}
