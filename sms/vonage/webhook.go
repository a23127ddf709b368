package vonage

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/stepgate/stepgate/sms"
)

// webhooks proves callbacks of the Messages and the Verify API.
type webhooks struct {
	secret              []byte
	apiKey, application string
}

func newWebhooks(c Config) webhooks {
	return webhooks{[]byte(c.SignatureSecret), c.APIKey, c.ApplicationID}
}

// forged returns an error that says why a callback proves nothing.
func forged(why string) error { return fmt.Errorf("%w: %s", sms.ErrForged, why) }

// prove returns an error that wraps [sms.ErrForged] unless Vonage signed this very body
// for this account, and this application if one is configured. Its age is not looked
// at; see the package comment.
func (w webhooks) prove(c sms.Callback) error {
	if len(w.secret) == 0 {
		return forged("no signature_secret is configured to check it with")
	}
	scheme, token, ok := strings.Cut(header(c, "Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return forged("it is not signed")
	}
	// Of the algorithms that a token may name only this one is ever tried.
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.HS256})
	if err != nil {
		return forged("its token is none of HS256")
	}
	var claims struct {
		Issuer      string `json:"iss"`
		APIKey      string `json:"api_key"`
		Application string `json:"application_id"`
		PayloadHash string `json:"payload_hash"`
	}
	if err := parsed.Claims(w.secret, &claims); err != nil {
		return forged("its signature is not one with signature_secret")
	}
	sum := sha256.Sum256(c.Body)
	said, err := hex.DecodeString(claims.PayloadHash)
	switch {
	case err != nil || subtle.ConstantTimeCompare(said, sum[:]) != 1:
		return forged("its body is not what was signed")
	case claims.Issuer != "Vonage":
		return forged("somebody else than Vonage issued its token")
	case claims.APIKey != w.apiKey:
		return forged("it is for another account than api_key")
	case w.application != "" && claims.Application != w.application:
		return forged("it is for another application than application_id")
	}
	return nil
}

// header returns a header that stands there once, or nothing.
func header(c sms.Callback, name string) string {
	if values := c.Header[name]; len(values) == 1 {
		return values[0]
	}
	return ""
}

var errNotJSON = errors.New("a signed callback is not in JSON")

// Receive reads a status of the Messages API: a signed POST of JSON.
func (s *Messages) Receive(c sms.Callback) ([]sms.Report, error) {
	body, err := s.webhooks.open(c)
	if err != nil {
		return nil, err
	}
	return parseMessagesStatus(body)
}

// open returns the body of a callback that proves itself.
func (w webhooks) open(c sms.Callback) ([]byte, error) {
	if c.Method != http.MethodPost {
		return nil, forged("it is no POST")
	}
	if err := w.prove(c); err != nil {
		return nil, err
	}
	return c.Body, nil
}

// messagesStates are the statuses of a message that say how far it came.
var messagesStates = map[string]sms.State{
	"submitted": sms.Pending,
	"delivered": sms.Delivered,
	"rejected":  sms.Failed, "undeliverable": sms.Failed,
}

func parseMessagesStatus(body []byte) ([]sms.Report, error) {
	var status struct {
		ID     string `json:"message_uuid"`
		Ref    string `json:"client_ref"`
		Status string `json:"status"`
		Error  struct {
			Type  string `json:"type"`
			Title string `json:"title"`
		} `json:"error"`
	}
	if json.Unmarshal(body, &status) != nil {
		return nil, errNotJSON
	}
	state, ok := messagesStates[status.Status]
	if !ok {
		return nil, nil
	}
	// Here the title is the number, as in the error table; the type ends in it too.
	code := errorNumber(status.Error.Title)
	if code == "" {
		code = problem{Type: status.Error.Type}.number()
	}
	return report(sms.Report{Ref: status.Ref, ID: status.ID, State: state, Code: code, Class: messagesCodes[code]}), nil
}

// Receive reads a callback of the Verify API: a signed POST of JSON. The Ref of a
// report is what [Verify.Start] made of the message's, which is another one if it is
// longer than 16 characters; the ID is that of the receipt.
func (v *Verify) Receive(c sms.Callback) ([]sms.Report, error) {
	body, err := v.webhooks.open(c)
	if err != nil {
		return nil, err
	}
	return parseVerifyCallback(body)
}

// verifySummaries are what the end of a verification says of its message. That one
// expired says nothing: the message may have come and the player gone.
var verifySummaries = map[string]sms.Report{
	"completed": {State: sms.Delivered},
	"failed":    {State: sms.Failed, Code: "failed"},
	// A block of Fraud Defender is told here alone: the request was accepted.
	"blocked": {State: sms.Failed, Code: "blocked", Class: sms.Policy},
}

func parseVerifyCallback(body []byte) ([]sms.Report, error) {
	var callback struct {
		ID     string `json:"request_id"`
		Ref    string `json:"client_ref"`
		Type   string `json:"type"`
		Status string `json:"status"`
	}
	if json.Unmarshal(body, &callback) != nil {
		return nil, errNotJSON
	}
	r, ok := verifySummaries[callback.Status]
	if !ok || callback.Type != "summary" {
		return nil, nil
	}
	r.Ref, r.ID = callback.Ref, callback.ID
	return report(r), nil
}

// report returns a report whose names can be names, or none if it has neither.
func report(r sms.Report) []sms.Report {
	if !isID(r.Ref) {
		r.Ref = ""
	}
	if !isID(r.ID) {
		r.ID = ""
	}
	if r.Ref == "" && r.ID == "" {
		return nil
	}
	return []sms.Report{r}
}
