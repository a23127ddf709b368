package vonage

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/stepgate/stepgate/sms"
)

// codeLength is how many digits Vonage is told to make; its default is 4.
const codeLength = 6

// Verify has Vonage make the code, send it and check it: the Verify API, version 2. It
// is safe for concurrent use.
type Verify struct {
	config   Config
	client   *client
	webhooks webhooks
}

// NewVerify returns a verifier for an account. It takes ApplicationID and PrivateKey,
// or else APIKey and APISecret; and optionally From (3 to 11 letters and digits;
// Vonage's own sender without), EntityID, ContentID, and APIKey and SignatureSecret for
// callbacks, which are refused without. It asks nothing.
func NewVerify(c Config) (*Verify, error) {
	c.complete(DefaultURL)
	for _, check := range []func() error{c.checkApplication, c.checkWebhooks, c.checkVerify} {
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
	return &Verify{c, client, newWebhooks(c)}, nil
}

func (c *Config) checkVerify() error {
	switch {
	case c.From != "" && !brandSender.MatchString(c.From):
		return errors.New("from is no sender of api verify: write 3 to 11 letters and digits, or leave it out for Vonage's own")
	case c.Callback != "":
		return errors.New("callback is not for api verify, whose callbacks go where the application's settings in Vonage's dashboard say: leave it out, and write the address there")
	}
	return c.checkIDs()
}

type verifyRequest struct {
	Brand      string       `json:"brand"`
	Workflow   []verifyStep `json:"workflow"`
	Locale     string       `json:"locale,omitempty"`
	Timeout    int64        `json:"channel_timeout,omitempty"` // seconds
	Ref        string       `json:"client_ref,omitempty"`
	CodeLength int          `json:"code_length,omitempty"`
}

type verifyStep struct {
	Channel   string `json:"channel"`
	To        string `json:"to"`
	From      string `json:"from,omitempty"`
	EntityID  string `json:"entity_id,omitempty"`
	ContentID string `json:"content_id,omitempty"`
}

func (v *Verify) request(m sms.Message) verifyRequest {
	r := verifyRequest{
		Brand: brand(m.Brand),
		Workflow: []verifyStep{{
			Channel: "sms", To: m.To.Digits(), From: v.config.From,
			EntityID: v.config.EntityID, ContentID: v.config.ContentID,
		}},
		Locale: "en-us", Ref: shortRef(m.Ref), CodeLength: codeLength,
	}
	if m.Locale == "id" {
		r.Locale = "id-id"
	}
	if m.Validity > 0 {
		r.Timeout = min(max(int64(m.Validity/time.Second), 15), 900)
	}
	return r
}

// brand returns as much of a site's name as Vonage takes: 16 characters, and none of
// those that its templates have a meaning for.
func brand(name string) string {
	name = strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || strings.ContainsRune(`\/{}:$`, r) {
			return -1
		}
		return r
	}, name))
	runes := []rune(name)
	return strings.TrimSpace(string(runes[:min(len(runes), 16)]))
}

// shortRef returns a reference of at most 16 characters, the least of what Vonage's
// clients say it takes: ref itself, or 80 bits that follow from it.
func shortRef(ref string) string {
	if len(ref) <= 16 {
		return ref
	}
	sum := sha256.Sum256([]byte(ref))
	return strings.ToLower(base32.StdEncoding.EncodeToString(sum[:10]))
}

// Start has a code sent. Vonage runs one verification for each number, and one that is
// in the way is cancelled, once: whoever holds the phone asked for the new code last.
// If that does not help the class is NotSent, since no new code is on its way and the
// running verification ends by itself in a few minutes; it is no sign of fraud.
func (v *Verify) Start(ctx context.Context, m sms.Message) (sms.Receipt, error) {
	request := v.request(m)
	if request.Brand == "" {
		return sms.Receipt{}, failure(sms.BadRequest, "the site's name has no character that Vonage takes")
	}
	for again := true; ; again = false {
		a, err := v.client.call(ctx, http.MethodPost, "/v2/verify", request)
		if err != nil {
			return sms.Receipt{}, err
		}
		if a.status != http.StatusConflict {
			return parseStart(a)
		}
		running := a.problem().RequestID
		if !again || !isID(running) || v.Cancel(ctx, running) != nil {
			return sms.Receipt{}, failure(sms.NotSent, "vonage answers 409: another verification of the number is running")
		}
	}
}

func parseStart(a answer) (sms.Receipt, error) {
	if a.status/100 != 2 {
		return sms.Receipt{}, a.refused(statusClass(a.status))
	}
	var started struct {
		ID string `json:"request_id"`
	}
	if json.Unmarshal(a.body, &started) != nil || !isID(started.ID) {
		return sms.Receipt{}, a.refused(sms.Unknown)
	}
	return sms.Receipt{ID: started.ID}, nil
}

// Check asks whether a code is the one that was sent.
func (v *Verify) Check(ctx context.Context, id, code string) (sms.Checked, error) {
	if !isID(id) {
		// It would be another path, and another question.
		return 0, failure(sms.BadRequest, "the verification has no id of Vonage's")
	}
	a, err := v.client.call(ctx, http.MethodPost, "/v2/verify/"+id, struct {
		Code string `json:"code"`
	}{code})
	if err != nil {
		return 0, err
	}
	return parseCheck(id, a)
}

// parseCheck reads the answer to a check. Only what Vonage says in so many words is
// believed: a code is right if the very verification is complete, and a page of
// whatever stands between does not end one.
func parseCheck(id string, a answer) (sms.Checked, error) {
	title := a.problem().Title
	switch {
	case a.status == http.StatusOK:
		var done struct {
			ID     string `json:"request_id"`
			Status string `json:"status"`
		}
		if json.Unmarshal(a.body, &done) == nil && done.ID == id && done.Status == "completed" {
			return sms.CheckedRight, nil
		}
	case a.status == http.StatusBadRequest && title == "Invalid Code":
		return sms.CheckedWrong, nil
	case a.status == http.StatusGone && title == "Invalid Code", a.status == http.StatusNotFound && title == "Not Found":
		return sms.CheckedOver, nil
	}
	return 0, a.refused(statusClass(a.status))
}

// Cancel ends a verification.
func (v *Verify) Cancel(ctx context.Context, id string) error {
	if !isID(id) {
		return failure(sms.BadRequest, "the verification has no id of Vonage's")
	}
	a, err := v.client.call(ctx, http.MethodDelete, "/v2/verify/"+id, nil)
	if err != nil {
		return err
	}
	return parseCancel(a)
}

func parseCancel(a answer) error {
	if a.status/100 == 2 || a.status == http.StatusNotFound {
		return nil
	}
	return a.refused(statusClass(a.status))
}

// String says what it is, and none of its secrets.
func (*Verify) String() string { return "vonage verify" }

// GoString does so for %#v.
func (v *Verify) GoString() string { return v.String() }

var (
	_ sms.Verifier = (*Verify)(nil)
	_ sms.Receiver = (*Verify)(nil)
)
