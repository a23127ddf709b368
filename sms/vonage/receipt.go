package vonage

import (
	"bytes"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"

	"github.com/stepgate/stepgate/sms"
)

var errReceipt = errors.New("a receipt is neither a query, nor a form, nor flat JSON, each parameter in it once")

// Receive reads a delivery receipt of the SMS API, which comes as a GET, as a form or
// as JSON by a setting of the account. It proves itself with a signature or, where the
// account has none, by the token in its path.
func (s *SMS) Receive(c sms.Callback) ([]sms.Report, error) {
	params, err := receiptParams(c)
	if token := s.config.ReceiptToken; token == "" || subtle.ConstantTimeCompare([]byte(c.Path), []byte(token)) != 1 {
		if err != nil || s.config.SignatureSecret == "" || !signed(s.config.SignatureAlgorithm, s.config.SignatureSecret, params) {
			return nil, forged("it has neither a signature with signature_secret nor the receipt_token in its path")
		}
	}
	if err != nil {
		return nil, err
	}
	if key, ok := params["api-key"]; ok && key != s.config.APIKey {
		return nil, forged("it is for another account than api_key")
	}
	state, ok := smsStates[params["status"]]
	if !ok {
		return nil, nil
	}
	code := errorNumber(params["err-code"])
	if code == "0" { // nothing went wrong
		code = ""
	}
	return report(sms.Report{Ref: params["client-ref"], ID: params["messageId"], State: state, Code: code, Class: smsCodes[code]}), nil
}

// smsStates are the statuses of receipts. An unknown one is final for Vonage, and tells
// nothing.
var smsStates = map[string]sms.State{
	"accepted": sms.Pending, "buffered": sms.Pending, "unknown": sms.Pending,
	"delivered": sms.Delivered,
	"expired":   sms.Failed, "failed": sms.Failed, "rejected": sms.Failed,
}

// receiptParams reads the parameters of a receipt. One that stands twice is refused:
// what was signed and what is read must be the same.
func receiptParams(c sms.Callback) (map[string]string, error) {
	kind, _, _ := mime.ParseMediaType(header(c, "Content-Type"))
	switch {
	case c.Method == http.MethodGet:
		return formParams(c.Query)
	case c.Method == http.MethodPost && kind == "application/x-www-form-urlencoded":
		return formParams(string(c.Body))
	case c.Method == http.MethodPost && kind == "application/json":
		return jsonParams(c.Body)
	}
	return nil, errReceipt
}

func formParams(text string) (map[string]string, error) {
	values, err := url.ParseQuery(text)
	if err != nil {
		return nil, errReceipt
	}
	params := map[string]string{}
	for name, all := range values {
		if len(all) != 1 {
			return nil, errReceipt
		}
		params[name] = all[0]
	}
	return params, nil
}

// jsonParams reads an object of strings and numbers, token by token, since
// json.Unmarshal keeps the last of two members of one name.
func jsonParams(body []byte) (map[string]string, error) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errReceipt
	}
	params := map[string]string{}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, errReceipt
		}
		value, err := d.Token()
		if err != nil {
			return nil, errReceipt
		}
		if _, twice := params[name.(string)]; twice { // a name is always a string
			return nil, errReceipt
		}
		switch v := value.(type) {
		case string:
			params[name.(string)] = v
		case json.Number:
			params[name.(string)] = v.String()
		default:
			return nil, errReceipt
		}
	}
	if _, err := d.Token(); err != nil { // the closing brace
		return nil, errReceipt
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errReceipt
	}
	return params, nil
}
