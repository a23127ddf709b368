package vonage

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stepgate/stepgate/sms"
)

// documented is an answer from Vonage's documentation.
type documented struct {
	Key     string
	Status  int
	Headers map[string]string
	Body    json.RawMessage
}

// text returns the body as it is sent: a string stands for itself.
func (d documented) text() string {
	var s string
	if json.Unmarshal(d.Body, &s) == nil {
		return s
	}
	return string(d.Body)
}

// outcomes are what each documented answer means: a class, or what a verifier says.
var outcomes = map[string]string{
	"sms.success": "accepted", "sms.success-client-ref": "accepted", "sms.success-two-parts": "accepted",
	// A part is on its way and paid for.
	"sms.partial":  "unknown",
	"sms.error-01": "not_sent", "sms.error-10": "not_sent",
	"sms.error-02": "bad_request", "sms.error-03": "bad_request", "sms.error-06": "bad_request", "sms.error-12": "bad_request",
	"sms.error-04": "account", "sms.error-08": "account", "sms.error-09": "account", "sms.error-11": "account",
	"sms.error-14": "account", "sms.error-15": "account", "sms.error-23": "account", "sms.error-29": "account", "sms.error-32": "account",
	"sms.error-05": "unknown",
	"sms.error-07": "number", "sms.error-33": "number",
	"sms.error-22":              "policy",
	"sms.http-401-unauthorized": "account", "sms.http-429": "not_sent", "sms.http-500-html": "unknown", "sms.ok-but-html": "unknown",

	"messages.accepted": "accepted", "messages.accepted-workflow": "accepted",
	"messages.401-credentials": "account", "messages.401-unprovisioned": "account", "messages.402-low-balance": "account",
	"messages.422-sender": "account", "messages.422-recipient": "number",
	"messages.422-invalid-json": "bad_request", "messages.422-channel": "bad_request", "messages.422-params": "bad_request", "messages.422-client-ref": "bad_request",
	"messages.429-throttled": "not_sent", "messages.429-problem-json": "not_sent", "messages.500-internal": "unknown",

	"verify2.start.accepted": "accepted", "verify2.start.accepted-check-url": "accepted",
	// After the running verification could not be cancelled.
	"verify2.start.409-concurrent": "not_sent",
	"verify2.start.422-invalid":    "bad_request", "verify2.start.429-throttled": "not_sent", "verify2.start.401": "account",
	"verify2.check.ok": "right", "verify2.check.400-wrong-code": "wrong",
	"verify2.check.404-not-found": "over", "verify2.check.410-too-many": "over",
	"verify2.check.409-no-code": "bad_request", "verify2.check.429-throttled": "not_sent",
	// We move no workflow on. As answers to a check they say nothing of the code.
	"verify2.next.ok": "unknown", "verify2.next.409-no-events": "bad_request",
	"verify2.cancel.ok": "cancelled", "verify2.cancel.404-not-found": "cancelled",
}

func TestDocumentedAnswersMeanWhatTheTablesSay(t *testing.T) {
	var answers []documented
	read(t, "documented-responses.json", &answers)
	if len(answers) != len(outcomes) {
		t.Errorf("there are %d answers, and %d outcomes", len(answers), len(outcomes))
	}
	for _, d := range answers {
		t.Run(d.Key, func(t *testing.T) {
			url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				for name, value := range d.Headers {
					w.Header().Set(name, value)
				}
				w.WriteHeader(d.Status)
				io.WriteString(w, d.text())
			})
			got, err := ask(t, d.Key, url)
			if got != outcomes[d.Key] {
				t.Errorf("%s means %q (%v), want %q", d.Key, got, err, outcomes[d.Key])
			}
			if err != nil {
				checkSilent(t, err, d)
			}
		})
	}
}

// ask asks what the answer is for, and returns what it means.
func ask(t *testing.T, key, url string) (string, error) {
	t.Helper()
	ctx := t.Context()
	var receipt sms.Receipt
	var err error
	switch {
	case strings.HasPrefix(key, "sms."):
		receipt, err = must(t, NewSMS, smsConfig(url)).Send(ctx, testMessage)
	case strings.HasPrefix(key, "messages."):
		receipt, err = must(t, NewMessages, messagesConfig(url)).Send(ctx, testMessage)
	case strings.HasPrefix(key, "verify2.start."):
		receipt, err = must(t, NewVerify, verifyConfig(url)).Start(ctx, testMessage)
	case strings.HasPrefix(key, "verify2.cancel."):
		if err = must(t, NewVerify, verifyConfig(url)).Cancel(ctx, testID); err == nil {
			return "cancelled", nil
		}
	default:
		checked, err := must(t, NewVerify, verifyConfig(url)).Check(ctx, testID, "123456")
		if err == nil {
			return map[sms.Checked]string{sms.CheckedRight: "right", sms.CheckedWrong: "wrong", sms.CheckedOver: "over"}[checked], nil
		}
		return class(t, err), err
	}
	if err == nil {
		if receipt.ID == "" {
			t.Error("it is accepted without an id")
		}
		return "accepted", nil
	}
	return class(t, err), err
}

func class(t *testing.T, err error) string {
	t.Helper()
	e, ok := errors.AsType[*sms.Error](err)
	if !ok {
		t.Fatalf("%v is of type %T, want *sms.Error", err, err)
	}
	return e.Class.String()
}

// checkSilent holds an error to its promise: nothing of the message, the account or
// the answer.
func checkSilent(t *testing.T, err error, d documented) {
	t.Helper()
	secrets := []string{testNumber, "1234567890", "123456", "Kode", testSecret, testSignature, testKey, testID, "chal-01HZX"}
	var body struct{ Detail, Instance string }
	if json.Unmarshal(d.Body, &body) == nil && body.Detail != "" {
		secrets = append(secrets, body.Detail, body.Instance)
	}
	for _, secret := range secrets {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("the error %q repeats %q", err, secret)
		}
	}
}

func TestAnswersThatMakeNoSenseAreUnknown(t *testing.T) {
	for _, c := range []struct {
		name, api string
		status    int
		body      string
	}{
		{"messages without an id", "messages.", 202, `{}`},
		{"messages with an empty id", "messages.", 202, `{"message_uuid":""}`},
		{"messages with an id that is no name", "messages.", 202, `{"message_uuid":"a/../b"}`},
		{"messages in HTML", "messages.", 200, `<html>log in to the hotel</html>`},
		{"messages that are cut", "messages.", 202, `{"message_uuid":"aaaaaaaa-bb`},
		{"messages with more behind", "messages.", 202, `{"message_uuid":"a"}{"message_uuid":"b"}`},
		{"messages that are longer than any answer", "messages.", 202, `{"message_uuid":"a","x":"` + strings.Repeat("x", maxAnswer) + `"}`},
		{"messages moved", "messages.", 302, `{"message_uuid":"a"}`},
		{"messages with nothing", "messages.", 202, ``},
		{"sms without parts", "sms.", 200, `{"message-count":"0","messages":[]}`},
		{"sms without an id", "sms.", 200, `{"messages":[{"status":"0"}]}`},
		{"sms without a status", "sms.", 200, `{"messages":[{"message-id":"a"}]}`},
		{"sms with a status that is no number", "sms.", 200, `{"messages":[{"status":"ok","message-id":"a"}]}`},
		{"sms with a status of tomorrow", "sms.", 200, `{"messages":[{"status":"13"}]}`},
		{"sms with a status like a number of a phone", "sms.", 200, `{"messages":[{"status":"6281234567890"}]}`},
		{"sms that is cut", "sms.", 200, `{"messages":[{"status":"0","message-id":"a"}`},
		{"sms of two opinions", "sms.", 200, `{"messages":[{"status":"7"},{"status":"0","message-id":"a"}]}`},
		{"a start without an id", "verify2.start.", 202, `{}`},
		{"a start in HTML", "verify2.start.", 200, `<html>`},
		{"a check in HTML", "verify2.check.", 200, `<html>`},
		{"a check of another verification", "verify2.check.", 200, `{"request_id":"other","status":"completed"}`},
		{"a check that is not complete", "verify2.check.", 200, `{"request_id":"` + testID + `","status":"pending"}`},
		{"a check under another status", "verify2.check.", 202, `{"request_id":"` + testID + `","status":"completed"}`},
		{"a cancel that fails", "verify2.cancel.", 502, ``},
	} {
		url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(c.status)
			io.WriteString(w, c.body)
		})
		if got, err := ask(t, c.api, url); got != "unknown" {
			t.Errorf("%s: means %q (%v), want unknown", c.name, got, err)
		}
	}
}

// A page of a proxy, or of a host that was configured wrongly, must neither count
// against the player's tries nor end a challenge.
func TestOnlyVonageSaysThatACodeIsWrongOrAVerificationOver(t *testing.T) {
	for _, status := range []int{400, 404, 410} {
		url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			io.WriteString(w, "<html>nothing here</html>")
		})
		if got, err := ask(t, "verify2.check.", url); got != "bad_request" {
			t.Errorf("a page under %d means %q (%v), want bad_request", status, got, err)
		}
	}
}

// An id that leads elsewhere would make a check of one verification a question about
// another, or start one.
func TestNoIDLeavesItsPlaceInThePath(t *testing.T) {
	asked := false
	v := must(t, NewVerify, verifyConfig(serve(t, func(http.ResponseWriter, *http.Request) { asked = true })))
	for _, id := range []string{"", "..", "a/next_workflow", "a?b", "a%2fb", strings.Repeat("a", 65)} {
		if _, err := v.Check(t.Context(), id, "123456"); sms.ClassOf(err) != sms.BadRequest {
			t.Errorf("Check of %q = %v, want bad_request", id, err)
		}
		if err := v.Cancel(t.Context(), id); sms.ClassOf(err) != sms.BadRequest {
			t.Errorf("Cancel of %q = %v, want bad_request", id, err)
		}
	}
	if asked {
		t.Error("Vonage was asked")
	}
}

// Whatever an answer has in it, it is accepted with a name, or an error with a class
// and nothing of the answer.
func FuzzParseAnswers(f *testing.F) {
	var answers []documented
	read(f, "documented-responses.json", &answers)
	for _, d := range answers {
		f.Add(d.Status, []byte(d.text()))
	}
	f.Add(200, []byte(`{"messages":[{"status":0,"message-id":"a"},{"status":"0"}]}`))
	f.Add(422, []byte(`{"type":"#6281234567890","title":"Invalid sender"}`))
	f.Add(409, []byte(`{"request_id":"../../v1/messages"}`))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		a := answer{status, body}
		for name, parse := range map[string]func(answer) (sms.Receipt, error){"messages": parseMessages, "sms": parseSMS, "start": parseStart} {
			receipt, err := parse(a)
			if err == nil && (status/100 != 2 || !isID(receipt.ID)) {
				t.Errorf("%s accepts %d %q as %q", name, status, body, receipt.ID)
			}
			if err != nil && (class(t, err) == "" || len(err.Error()) > 200) {
				t.Errorf("%s says %v", name, err)
			}
		}
		checked, err := parseCheck(testID, a)
		if err == nil && checked == sms.CheckedRight && !strings.Contains(string(body), "completed") && !strings.Contains(string(body), `\u`) {
			t.Errorf("%d %q makes a code right", status, body)
		}
		if err := parseCancel(a); err != nil {
			class(t, err)
		}
	})
}
