package vonagetest

import (
	"crypto/rand"
	"encoding/hex"
	"net/http"
)

// problem is an error as Messages and Verify answer it, near to RFC 9457. Vonage's
// specification has it under application/json.
type problem struct {
	Status    int     `json:"-"`
	Type      string  `json:"type,omitempty"`
	Title     string  `json:"title"`
	Detail    string  `json:"detail,omitempty"`
	Instance  string  `json:"instance"`
	Request   string  `json:"request_id,omitempty"`
	Parameter []fault `json:"invalid_parameters,omitempty"`
}

// fault is one parameter that is wrong.
type fault struct {
	Name   string `json:"name"`
	Reason string `json:"reason"`
}

func (p problem) answer() Answer {
	p.Instance = randomHex(16)
	return jsonAnswer(p.Status, p)
}

// The errors that do not depend on the request, with the documentation's texts.
var (
	badCredentials = problem{Status: http.StatusUnauthorized, Type: "https://developer.vonage.com/api-errors/#unathorized", Title: "You did not provide correct credentials.",
		Detail: "Check that you're using the correct credentials, and that your account has this feature enabled"}
	unauthorized = problem{Status: http.StatusUnauthorized, Type: "https://developer.nexmo.com/api-errors#unauthorized", Title: "Unauthorized",
		Detail: "You did not provide correct credentials."}
	lowBalance = problem{Status: http.StatusPaymentRequired, Type: "https://developer.vonage.com/api-errors/#low-balance", Title: "Low balance",
		Detail: "This request could not be performed due to your account balance being low."}
	invalidJSON = problem{Status: http.StatusUnprocessableEntity, Type: "https://developer.vonage.com/api-errors#invalid-json", Title: "The request body did not contain valid JSON",
		Detail: "Unexpected character"}
	unsupportedChannel = problem{Status: http.StatusUnprocessableEntity, Type: "https://developer.vonage.com/api-errors/messages#1100", Title: "Unsupported channel",
		Detail: "The specified channel is not supported."}
	invalidSender = problem{Status: http.StatusUnprocessableEntity, Type: "https://developer.vonage.com/api-errors/messages#1120", Title: "Invalid sender",
		Detail: "The `from` parameter is invalid for the given channel."}
	invalidRecipient = problem{Status: http.StatusUnprocessableEntity, Type: "https://developer.vonage.com/api-errors/messages#110", Title: "Invalid recipient",
		Detail: "The `to` parameter is invalid for the given channel."}
	invalidClientRef = problem{Status: http.StatusUnprocessableEntity, Type: "https://developer.vonage.com/api-errors/messages#1060", Title: "Invalid client reference",
		Detail: "The client reference can be a string of up to 40 characters."}
	invalidParams = problem{Status: http.StatusUnprocessableEntity, Type: "https://developer.vonage.com/api-errors/messages#1150", Title: "Invalid params",
		Detail: "The value of one or more parameters is invalid."}
	rateLimit = problem{Status: http.StatusTooManyRequests, Type: "https://developer.vonage.com/api-errors/messages#1000", Title: "Rate Limit Hit",
		Detail: "Please wait, then retry your request"}
	internalError = problem{Status: http.StatusInternalServerError, Type: "https://developer.vonage.com/api-errors/messages#1000", Title: "Internal error",
		Detail: "There was an error processing your request in the Platform."}
)

// problemOf returns the error that a number asks for, as Messages and Verify have it.
func problemOf(httpStatus, variant int) problem {
	switch httpStatus {
	case http.StatusUnauthorized:
		return badCredentials
	case http.StatusPaymentRequired:
		return lowBalance
	case http.StatusUnprocessableEntity:
		switch variant {
		case 1:
			return invalidSender
		case 2:
			return invalidRecipient
		}
		return invalidParams
	case http.StatusTooManyRequests:
		return rateLimit
	case http.StatusInternalServerError:
		return internalError
	}
	return problem{Status: httpStatus, Title: http.StatusText(httpStatus)}
}

func randomHex(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// uuid returns a random UUID (RFC 9562, version 4).
func uuid() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	h := hex.EncodeToString(b)
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
