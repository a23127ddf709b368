package vonage

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/stepgate/stepgate/sms"
)

// Messages sends through the Messages API, version 1. It is safe for concurrent use.
type Messages struct {
	config   Config
	client   *client
	webhooks webhooks
}

// NewMessages returns a sender for an account. It takes ApplicationID and PrivateKey,
// or else APIKey and APISecret; From; and optionally EntityID, ContentID, Callback, and
// APIKey and SignatureSecret for callbacks, which are refused without. It asks nothing.
func NewMessages(c Config) (*Messages, error) {
	c.complete(DefaultURL)
	for _, check := range []func() error{c.checkApplication, c.checkWebhooks, c.checkMessage} {
		if err := check(); err != nil {
			return nil, err
		}
	}
	authorize, err := c.authorization()
	if err != nil {
		return nil, err
	}
	client, err := newClient(c, "base_url", authorize)
	if err != nil {
		return nil, err
	}
	return &Messages{c, client, newWebhooks(c)}, nil
}

type messagesRequest struct {
	Channel        string       `json:"channel"`
	MessageType    string       `json:"message_type"`
	To             string       `json:"to"`
	From           string       `json:"from"`
	Text           string       `json:"text"`
	Ref            string       `json:"client_ref,omitempty"`
	TTL            int64        `json:"ttl,omitempty"`
	WebhookURL     string       `json:"webhook_url,omitempty"`
	WebhookVersion string       `json:"webhook_version,omitempty"`
	SMS            *messagesSMS `json:"sms,omitempty"`
}

type messagesSMS struct {
	Encoding  string `json:"encoding_type,omitempty"`
	ContentID string `json:"content_id,omitempty"`
	EntityID  string `json:"entity_id,omitempty"`
}

func (s *Messages) request(m sms.Message) messagesRequest {
	r := messagesRequest{
		Channel: "sms", MessageType: "text",
		To: m.To.Digits(), From: s.config.From, Text: m.Text, Ref: m.Ref,
		TTL: int64(lifetime(m.Validity) / time.Second),
		// A character that GSM-7 has not would make an SMS of 70 characters, and two of
		// one: rather an ugly character than a bill.
		SMS: &messagesSMS{Encoding: "text", ContentID: s.config.ContentID, EntityID: s.config.EntityID},
	}
	if s.config.Callback != "" {
		r.WebhookURL, r.WebhookVersion = s.config.Callback, "v1"
	}
	return r
}

// The bounds of how long Vonage tries to deliver, as the reference of the SMS API has
// them. That of the Messages API names none.
const (
	minLifetime = 20 * time.Second
	maxLifetime = 7 * 24 * time.Hour
)

// lifetime returns how long to try to deliver a message, so that no code arrives that
// is good no longer; 0 for a message without a limit.
func lifetime(validity time.Duration) time.Duration {
	if validity <= 0 {
		return 0
	}
	return min(max(validity, minLifetime), maxLifetime)
}

// Send hands over one message, in one request.
func (s *Messages) Send(ctx context.Context, m sms.Message) (sms.Receipt, error) {
	a, err := s.client.call(ctx, http.MethodPost, "/v1/messages", s.request(m))
	if err != nil {
		return sms.Receipt{}, err
	}
	return parseMessages(a)
}

// parseMessages reads the answer to a message. Titles count before the numbers of
// errors, in which Vonage's own examples disagree with its table.
func parseMessages(a answer) (sms.Receipt, error) {
	if a.status/100 == 2 {
		var accepted struct {
			ID string `json:"message_uuid"`
		}
		if json.Unmarshal(a.body, &accepted) != nil || !isID(accepted.ID) {
			return sms.Receipt{}, a.refused(sms.Unknown)
		}
		return sms.Receipt{ID: accepted.ID}, nil
	}
	class := statusClass(a.status)
	if a.status == http.StatusUnprocessableEntity {
		switch a.problem().Title {
		case "Invalid sender":
			class = sms.Account
		case "Invalid recipient":
			class = sms.BadNumber
		}
	}
	return sms.Receipt{}, a.refused(class)
}

// String says what it is, and none of its secrets.
func (*Messages) String() string { return "vonage messages" }

// GoString does so for %#v.
func (s *Messages) GoString() string { return s.String() }

var (
	_ sms.Sender   = (*Messages)(nil)
	_ sms.Receiver = (*Messages)(nil)
)
