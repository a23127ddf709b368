package vonage

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/stepgate/stepgate/sms"
)

// problem is an error of the Messages and the Verify API (RFC 9457, though often under
// the media type of plain JSON). What is not one is the zero value.
type problem struct {
	Type  string `json:"type"`
	Title string `json:"title"`
	// RequestID is that of the verification which runs, where one is in the way.
	RequestID string `json:"request_id"`
}

func (a answer) problem() problem {
	var p problem
	if json.Unmarshal(a.body, &p) != nil {
		return problem{}
	}
	return p
}

// number returns the number of the error, which stands at the end of its type, or
// nothing. Only so many digits are let through that it can be no phone number.
func (p problem) number() string {
	_, fragment, _ := strings.Cut(p.Type, "#")
	return errorNumber(fragment)
}

func errorNumber(s string) string {
	if len(s) < 1 || len(s) > 4 || strings.ContainsFunc(s, func(r rune) bool { return !isDigit(r) }) {
		return ""
	}
	return s
}

// statusClass returns what a status alone means. What is not an error of the client's
// may come from anywhere on the way, and the request be through all the same.
func statusClass(status int) sms.Class {
	switch {
	case status == http.StatusUnauthorized || status == http.StatusPaymentRequired || status == http.StatusForbidden:
		return sms.Account
	case status == http.StatusTooManyRequests:
		return sms.NotSent
	case status == http.StatusRequestTimeout:
		return sms.Unknown
	case status/100 == 4:
		return sms.BadRequest
	default:
		return sms.Unknown
	}
}

// hints say what an operator does about a class.
var hints = map[sms.Class]string{
	sms.Account:    "check the credentials, the credit and the sender at Vonage",
	sms.NotSent:    "too many requests at once for the account",
	sms.BadNumber:  "the number cannot be reached",
	sms.BadRequest: "the request is not understood",
	sms.Policy:     "refused by Vonage's protection from fraud",
	sms.Unknown:    "whether it was sent is not known",
}

// refused returns the error for an answer of a class.
func (a answer) refused(class sms.Class) error {
	said := fmt.Sprintf("vonage answers %d", a.status)
	if number := a.problem().number(); number != "" {
		said += " (error " + number + ")"
	}
	return failure(class, said+": "+hints[class])
}
