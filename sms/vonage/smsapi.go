package vonage

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/stepgate/stepgate/sms"
)

// SMS sends through the older SMS API. It is safe for concurrent use.
type SMS struct {
	config Config
	client *client
}

// NewSMS returns a sender for an account. It takes APIKey; APISecret (Basic
// authorization, or in the body with CredentialsInBody) or else SignatureSecret and
// SignatureAlgorithm (every request is signed, and so are the receipts); From; and
// optionally EntityID, ContentID, Callback, and ReceiptToken, for receipts that are not
// signed. It asks nothing.
func NewSMS(c Config) (*SMS, error) {
	c.complete(DefaultRestURL)
	for _, check := range []func() error{c.checkSMS, c.checkMessage} {
		if err := check(); err != nil {
			return nil, err
		}
	}
	var authorize func(http.Header) error
	if c.APISecret != "" && !c.CredentialsInBody {
		authorize = basic(c.APIKey, c.APISecret)
	}
	client, err := newClient(c, "rest_url", authorize)
	if err != nil {
		return nil, err
	}
	return &SMS{c, client}, nil
}

type smsRequest struct {
	To        string `json:"to"`
	From      string `json:"from"`
	Text      string `json:"text"`
	Type      string `json:"type,omitempty"`
	TTL       int64  `json:"ttl,omitempty"` // milliseconds
	Report    bool   `json:"status-report-req,omitempty"`
	Callback  string `json:"callback,omitempty"`
	Ref       string `json:"client-ref,omitempty"`
	EntityID  string `json:"entity-id,omitempty"`
	ContentID string `json:"content-id,omitempty"`
}

// params returns the request as a form has it. That a report is wanted is Vonage's
// default, and how a form would say it is documented nowhere.
func (r smsRequest) params() map[string]string {
	p := map[string]string{"to": r.To, "from": r.From, "text": r.Text}
	if r.TTL > 0 {
		p["ttl"] = strconv.FormatInt(r.TTL, 10)
	}
	for name, value := range map[string]string{
		"type": r.Type, "callback": r.Callback, "client-ref": r.Ref, "entity-id": r.EntityID, "content-id": r.ContentID,
	} {
		if value != "" {
			p[name] = value
		}
	}
	return p
}

func (s *SMS) request(m sms.Message) smsRequest {
	r := smsRequest{
		To: m.To.Digits(), From: s.config.From, Text: m.Text, Type: "text", Ref: m.Ref,
		TTL:      lifetime(m.Validity).Milliseconds(),
		EntityID: s.config.EntityID, ContentID: s.config.ContentID,
	}
	if s.config.Callback != "" {
		r.Report, r.Callback = true, s.config.Callback
		if s.config.ReceiptToken != "" {
			r.Callback = strings.TrimSuffix(r.Callback, "/") + "/" + s.config.ReceiptToken
		}
	}
	return r
}

// payload returns the body of a request: JSON beside Basic authorization, as Vonage's
// Node client sends, and a form with the credentials in it otherwise, as the reference
// has it.
func (s *SMS) payload(r smsRequest) any {
	if s.client.authorize != nil {
		return r
	}
	p := r.params()
	p["api_key"] = s.config.APIKey
	if s.config.APISecret != "" {
		p["api_secret"] = s.config.APISecret
	} else {
		p["timestamp"] = strconv.FormatInt(s.config.Now().Unix(), 10)
		p["sig"] = hex.EncodeToString(signature(s.config.SignatureAlgorithm, s.config.SignatureSecret, p))
	}
	return form(p)
}

func form(params map[string]string) url.Values {
	values := url.Values{}
	for name, value := range params {
		values.Set(name, value)
	}
	return values
}

// Send hands over one message, in one request.
func (s *SMS) Send(ctx context.Context, m sms.Message) (sms.Receipt, error) {
	a, err := s.client.call(ctx, http.MethodPost, "/sms/json", s.payload(s.request(m)))
	if err != nil {
		return sms.Receipt{}, err
	}
	return parseSMS(a)
}

// smsStatuses are the classes of the statuses of a message. Those that the reference
// does not name, 13 and 16 to 21 among them, are Unknown. 3 and 6 may be about the
// number, and nothing says when.
var smsStatuses = map[string]sms.Class{
	"1": sms.NotSent, "10": sms.NotSent,
	"5": sms.Unknown,
	"2": sms.BadRequest, "3": sms.BadRequest, "6": sms.BadRequest, "12": sms.BadRequest,
	"7": sms.BadNumber, "33": sms.BadNumber,
	"4": sms.Account, "8": sms.Account, "9": sms.Account, "11": sms.Account, "14": sms.Account,
	"15": sms.Account, "23": sms.Account, "29": sms.Account, "32": sms.Account,
	// Also what Fraud Defender says to a burst.
	"22": sms.Policy,
}

// parseSMS reads the answer to a message. The status of HTTP is 200 whatever became of
// it, and there is one entry for each part.
func parseSMS(a answer) (sms.Receipt, error) {
	if a.status/100 != 2 {
		return sms.Receipt{}, a.refused(statusClass(a.status))
	}
	var parts struct {
		Messages []struct {
			// A Number is read from a string of digits too, which is what Vonage writes.
			Status json.Number `json:"status"`
			ID     string      `json:"message-id"`
		} `json:"messages"`
	}
	if json.Unmarshal(a.body, &parts) != nil || len(parts.Messages) == 0 {
		return sms.Receipt{}, a.refused(sms.Unknown)
	}
	first := parts.Messages[0]
	for _, part := range parts.Messages[1:] {
		// Some parts may be on their way, and be paid for.
		if part.Status != first.Status {
			return sms.Receipt{}, failure(sms.Unknown, "vonage says one thing of a part of the message and another of the rest")
		}
	}
	status := first.Status.String()
	if status == "0" && isID(first.ID) {
		return sms.Receipt{ID: first.ID}, nil
	}
	class := smsStatuses[status] // Unknown if it is not there
	if errorNumber(status) == "" {
		return sms.Receipt{}, a.refused(class)
	}
	return sms.Receipt{}, failure(class, fmt.Sprintf("vonage answers status %s: %s", status, hints[class]))
}

// String says what it is, and none of its secrets.
func (*SMS) String() string { return "vonage sms" }

// GoString does so for %#v.
func (s *SMS) GoString() string { return s.String() }

var (
	_ sms.Sender   = (*SMS)(nil)
	_ sms.Receiver = (*SMS)(nil)
)
