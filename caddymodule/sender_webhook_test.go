package caddymodule

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/stepgate/stepgate/sms"
	"github.com/stepgate/stepgate/sms/webhook"
)

const smsText = "Kode Example Anda: 123456. 100% & \"rahasia\""

// Numbers for which the fakes below fail, as the real providers do.
const (
	goodNumber   = "+6281234567890"
	badNumber    = "+6281200000001"
	poorNumber   = "+6281200000002" // the account has no credit
	busyNumber   = "+6281200000003" // too many requests
	brokenNumber = "+6281200000004" // the provider itself fails
	otherNumber  = "+6281200000005" // a failure of this provider alone
)

// fake is a provider that behaves as its documentation says. It tells numbers by the
// part that all ways to write them share.
type fake func(r *http.Request, body []byte) (status int, answer string)

func (f fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(err)
	}
	status, answer := f(r, body)
	w.WriteHeader(status)
	_, _ = io.WriteString(w, answer)
}

func isNumber(written, number string) bool {
	return strings.HasSuffix(written, strings.TrimPrefix(number, "+62"))
}

// https://www.twilio.com/docs/usage/twilios-response, …/docs/api/errors. Which status
// comes with "account not active" is not documented.
func twilio(t *testing.T) fake {
	return func(r *http.Request, body []byte) (int, string) {
		failure := func(status, code int) (int, string) {
			return status, fmt.Sprintf(`{"code":%d,"message":"The 'To' number is what it is","more_info":"https://www.twilio.com/docs/errors/%d","status":%d}`, code, code, status)
		}
		if user, password, _ := r.BasicAuth(); user != "AC0123" || password != "t0k3n" || r.URL.Path != "/2010-04-01/Accounts/AC0123/Messages.json" || r.Method != http.MethodPost {
			return failure(401, 20003)
		}
		form, err := url.ParseQuery(string(body))
		if want := (url.Values{"To": {form.Get("To")}, "From": {"+15005550006"}, "Body": {smsText}, "ValidityPeriod": {"240"}}); err != nil || !cmp.Equal(form, want) {
			t.Errorf("Twilio gets %v, %v, want %v", form, err, want)
		}
		switch form.Get("To") {
		case goodNumber:
			return 201, `{"sid":"SM0123456789abcdef0123456789abcdef","status":"queued","error_code":null,"num_segments":"1"}`
		case badNumber:
			return failure(400, 21211)
		case otherNumber:
			return failure(400, 21610)
		case poorNumber:
			return failure(400, 20005)
		case busyNumber:
			return failure(429, 20429)
		}
		return 503, "<html>Service Unavailable</html>"
	}
}

// https://www.infobip.com/docs/api/channels/sms and …/docs/essentials/response-status-and-error-codes:
// what is refused for one message is refused with 200.
func infobip(t *testing.T) fake {
	return func(r *http.Request, body []byte) (int, string) {
		failure := func(status int, id, text string) (int, string) {
			return status, fmt.Sprintf(`{"requestError":{"serviceException":{"messageId":%q,"text":%q}}}`, id, text)
		}
		if r.Header.Get("Authorization") != "App k3y" || r.URL.Path != "/sms/3/messages" || r.Method != http.MethodPost {
			return failure(401, "UNAUTHORIZED", "Invalid login details")
		}
		var got struct {
			Messages []struct {
				Sender       string
				Destinations []struct{ To string }
				Content      struct{ Text string }
				Options      struct {
					ValidityPeriod struct {
						Amount   int
						TimeUnit string
					}
				}
			}
		}
		if err := json.Unmarshal(body, &got); err != nil || len(got.Messages) != 1 || got.Messages[0].Content.Text != smsText || got.Messages[0].Options.ValidityPeriod.Amount != 4 {
			t.Errorf("Infobip gets %s, %v", body, err)
			return failure(400, "BAD_REQUEST", "Bad Request")
		}
		status := func(group int, groupName string, id int, name string) (int, string) {
			return 200, fmt.Sprintf(`{"bulkId":"b","messages":[{"messageId":"ib-17","status":{"groupId":%d,"groupName":%q,"id":%d,"name":%q,"description":"d"},"destination":"x"}]}`, group, groupName, id, name)
		}
		switch "+" + got.Messages[0].Destinations[0].To {
		case goodNumber:
			return status(1, "PENDING", 26, "PENDING_ACCEPTED")
		case badNumber:
			return status(5, "REJECTED", 52, "REJECTED_INVALID_DESTINATION")
		case poorNumber:
			return status(5, "REJECTED", 12, "REJECTED_NOT_ENOUGH_CREDITS")
		case busyNumber:
			return failure(429, "TOO_MANY_REQUESTS", "Too many requests")
		case otherNumber:
			return status(5, "REJECTED", 20, "REJECTED_FLOODING_FILTER")
		}
		return status(5, "REJECTED", 21, "REJECTED_SYSTEM_ERROR")
	}
}

// https://developer.8x8.com/connect/docs/api-error-codes. What comes without credit is
// not documented: 402 stands for it.
func eightByEight(t *testing.T) fake {
	return func(r *http.Request, body []byte) (int, string) {
		failure := func(status, code int, message string) (int, string) {
			return status, fmt.Sprintf(`{"code":%d,"message":%q,"errorId":"1cc1eda1-f5dd-ea11-8288-0263195dd35a","timestamp":"2020-12-22T05:52:01.85Z"}`, code, message)
		}
		if r.Header.Get("Authorization") != "Bearer k3y" || r.Method != http.MethodPost {
			return failure(401, 1200, "Request was not authenticated properly")
		}
		var got map[string]string
		err := json.Unmarshal(body, &got)
		if want := map[string]string{"destination": got["destination"], "source": "Example", "text": smsText, "encoding": "GSM7", "clientMessageId": "m-1"}; err != nil || !cmp.Equal(got, want) {
			t.Errorf("8x8 gets %s, %v, want %v", body, err, want)
		}
		if r.URL.Path != "/api/v1/subaccounts/example_hq/messages" {
			return failure(401, 1001, "Provided subAccountId doesn't belongs to your account")
		}
		switch got["destination"] {
		case goodNumber:
			return 200, `{"umid":"bda3d56d-1424-e711-813c-06ed3428fe67","clientMessageId":"m-1","destination":"6281234567890","encoding":"GSM7","status":{"state":"queued","timestamp":"2017-04-19T02:31:19.42Z"}}`
		case badNumber:
			return failure(400, 1002, "Invalid MSISDN (not mobile phone number)")
		case poorNumber:
			return failure(402, 1400, "Payment required")
		case busyNumber:
			return failure(429, 1500, "Too many requests")
		case otherNumber:
			return failure(400, 1000, "Invalid parameter")
		}
		return failure(500, 1, "Internal server error")
	}
}

// Zenziva's console API answers with 200 whatever it makes of a message. It documents
// no list of texts.
func zenziva(t *testing.T) fake {
	return func(r *http.Request, body []byte) (int, string) {
		answer := func(status, text string) (int, string) {
			return 200, fmt.Sprintf(`{"messageId":90771,"to":"081","status":%q,"text":%q,"cost":550}`, status, text)
		}
		form, err := url.ParseQuery(string(body))
		if err != nil || r.Method != http.MethodPost || r.URL.Path != "/reguler/api/sendsms/" || form.Get("message") != smsText {
			t.Errorf("Zenziva gets %s %s of %v, %v", r.Method, r.URL, form, err)
		}
		if form.Get("userkey") != "us3r" || form.Get("passkey") != "p4ss{to}" {
			return answer("0", "Userkey / Passkey salah")
		}
		switch to := form.Get("to"); {
		case to == "081234567890":
			return answer("1", "Success")
		case isNumber(to, badNumber):
			return answer("0", "Nomor tujuan tidak valid")
		case isNumber(to, poorNumber):
			return answer("0", "Credit tidak mencukupi")
		case isNumber(to, busyNumber):
			return answer("0", "Pengiriman SMS berulang-ulang ke satu nomor dalam satu waktu")
		case isNumber(to, otherNumber):
			return 200, `<?xml version="1.0"?><response><message><status>0</status><text>Success</text></message></response>`
		}
		return answer("0", "Sistem sedang sibuk")
	}
}

// Kannel 1.4, gw/smsbox.c and the user guide. It knows of no credit.
func kannel(t *testing.T) fake {
	return func(r *http.Request, body []byte) (int, string) {
		q := r.URL.Query()
		if r.Method != http.MethodGet || r.URL.Path != "/cgi-bin/sendsms" || len(body) > 0 || q.Get("text") != smsText || q.Get("from") != "Example" || q.Get("validity") != "4" {
			t.Errorf("Kannel gets %s %s and %d bytes", r.Method, r.URL, len(body))
		}
		if q.Get("username") != "us3r" || q.Get("password") != "p4ss{to}" {
			return 403, "Authorization failed for sendsms"
		}
		switch q.Get("to") {
		case goodNumber:
			return 202, "0: Accepted for delivery"
		case badNumber:
			return 400, "Number(s) has/have been denied by white- and/or black-lists."
		case busyNumber:
			return 503, "Temporal failure, try again later."
		case otherNumber:
			return 202, "3: Queued for later delivery"
		}
		return 500, "Sending failed."
	}
}

// loaded reads a sender from a file as the Caddyfile adapter does, through JSON.
func loaded(t *testing.T, file string) *WebhookSender {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if formatted := string(caddyfile.Format(text)); formatted != string(text) {
		t.Errorf("`stepgate fmt` would change %s", file)
	}
	tokens, err := caddyfile.Tokenize(text, file)
	if err != nil {
		t.Fatal(err)
	}
	var read WebhookSender
	if err := read.UnmarshalCaddyfile(caddyfile.NewDispenser(tokens)); err != nil {
		t.Fatal(err)
	}
	dump, err := json.Marshal(&read)
	if err != nil {
		t.Fatal(err)
	}
	var s WebhookSender
	if err := caddy.StrictUnmarshalJSON(dump, &s); err != nil {
		t.Fatalf("%v in %s", err, dump)
	}
	return &s
}

// instead returns a transport on which every host is one server.
func instead(t *testing.T, h http.Handler, encrypted bool) http.RoundTripper {
	t.Helper()
	start := httptest.NewServer
	if encrypted {
		start = httptest.NewTLSServer
	}
	server := start(h)
	t.Cleanup(server.Close)
	transport := &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, server.Listener.Addr().String())
		},
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, // the host is the provider's
	}
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

// The files of testdata/senders are for operators to copy.
func TestSendersForKnownProvidersReadTheirAnswers(t *testing.T) {
	environment := map[string]string{
		"TWILIO_ACCOUNT_SID": "AC0123", "TWILIO_AUTH_TOKEN": "t0k3n", "TWILIO_FROM": "+15005550006", "INFOBIP_API_KEY": "k3y", "EIGHT_API_KEY": "k3y",
		"ZENZIVA_USERKEY": "us3r", "ZENZIVA_PASSKEY": "p4ss{to}", "KANNEL_USERNAME": "us3r", "KANNEL_PASSWORD": "p4ss{to}",
	}
	for _, provider := range []struct {
		name, id  string
		fake      fake
		secret    string
		encrypted bool
		// accepted are the numbers to which messages go.
		accepted []string
		classes  map[string]sms.Class
	}{
		{"twilio", "SM0123456789abcdef0123456789abcdef", twilio(t), "TWILIO_AUTH_TOKEN", true, []string{goodNumber}, map[string]sms.Class{
			badNumber: sms.BadNumber, poorNumber: sms.Account, busyNumber: sms.NotSent, brokenNumber: sms.Unknown, otherNumber: sms.BadNumber,
		}},
		{"infobip", "ib-17", infobip(t), "INFOBIP_API_KEY", true, []string{goodNumber}, map[string]sms.Class{
			badNumber: sms.BadNumber, poorNumber: sms.Account, busyNumber: sms.NotSent, brokenNumber: sms.Unknown, otherNumber: sms.Policy,
		}},
		{"8x8", "bda3d56d-1424-e711-813c-06ed3428fe67", eightByEight(t), "EIGHT_API_KEY", true, []string{goodNumber}, map[string]sms.Class{
			badNumber: sms.BadNumber, poorNumber: sms.Account, busyNumber: sms.NotSent, brokenNumber: sms.Unknown, otherNumber: sms.BadRequest,
		}},
		{"zenziva", "90771", zenziva(t), "ZENZIVA_PASSKEY", true, []string{goodNumber}, map[string]sms.Class{
			badNumber: sms.BadNumber, poorNumber: sms.Account, busyNumber: sms.NotSent, brokenNumber: sms.Unknown, otherNumber: sms.Unknown,
		}},
		{"kannel", "", kannel(t), "KANNEL_PASSWORD", false, []string{goodNumber, otherNumber}, map[string]sms.Class{
			badNumber: sms.BadNumber, busyNumber: sms.NotSent, brokenNumber: sms.Unknown,
		}},
	} {
		t.Run(provider.name, func(t *testing.T) {
			transport := instead(t, provider.fake, provider.encrypted)
			send := func(to string) (sms.Receipt, error) {
				config, err := loaded(t, filepath.Join("testdata", "senders", provider.name+".caddyfile")).config()
				if err != nil {
					t.Fatal(err)
				}
				config.Transport = transport
				s, err := webhook.New(config)
				if err != nil {
					t.Fatal(err)
				}
				m := sms.Message{To: sms.Number(to), Text: smsText, Code: "123456", Ref: "m-1", Locale: "id", Validity: 4 * time.Minute, Brand: "Example", Purpose: "withdrawal", Attempt: 1}
				return s.Send(t.Context(), m)
			}
			for name, value := range environment {
				t.Setenv(name, value)
			}
			for _, to := range provider.accepted {
				if receipt, err := send(to); err != nil || receipt.ID != provider.id {
					t.Errorf("sending to %s = %v, %v, want id %q", to, receipt, err, provider.id)
				}
			}
			for to, want := range provider.classes {
				if _, err := send(to); err == nil || sms.ClassOf(err) != want {
					t.Errorf("sending to %s = %v, want class %v", to, err, want)
				}
			}
			t.Setenv(provider.secret, "wr0ng")
			if _, err := send(goodNumber); sms.ClassOf(err) != sms.Account {
				t.Errorf("sending with a wrong secret = %v, want class account", err)
			}
		})
	}
}

func TestEverySenderFileIsTried(t *testing.T) {
	files, err := filepath.Glob("testdata/senders/*.caddyfile")
	if err != nil || len(files) != 5 {
		t.Errorf("testdata/senders has %v, %v: add what is new to the test above", files, err)
	}
}

// I8: the admin endpoint shows the configuration as it was written.
func TestInvariantI8TheDumpOfASenderHasPlaceholdersNotSecrets(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{"token": "s3cr3t\n", "hook": testSecret + "\n", "body": `{"to":{{json .to}},"text":{{json .text}}}`} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := &WebhookSender{
		URL: "https://api.example.net/", Auth: &webhook.Auth{Bearer: "{file." + dir + "/token}"},
		Sign: "{file." + dir + "/hook}", TemplateFile: filepath.Join(dir, "body"),
	}
	if err := s.Provision(caddy.Context{}); err != nil {
		t.Fatal(err)
	}
	dump, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	printed := string(dump) + fmt.Sprintf("%v %+v", s.sender, s)
	if strings.Contains(printed, "s3cr3t") || strings.Contains(printed, testSecret) || !strings.Contains(printed, "/token}") {
		t.Errorf("printed %s", printed)
	}
	got := make(chan http.Header, 1)
	config, err := s.config()
	if err != nil {
		t.Fatal(err)
	}
	config.Transport = instead(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- r.Header }), true)
	sender, err := webhook.New(config)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sender.Send(t.Context(), sms.Message{To: goodNumber, Text: "x", Ref: "m-1"}); err != nil {
		t.Fatal(err)
	}
	if header := <-got; header.Get("Authorization") != "Bearer s3cr3t" || header.Get("webhook-id") != "m-1" || header.Get("webhook-signature") == "" {
		t.Errorf("the request has %v", header)
	}
	if err := s.Cleanup(); err != nil {
		t.Error(err)
	}
}

func TestASenderThatCannotSendIsRefusedAtLoad(t *testing.T) {
	t.Setenv("TEST_SMS_EMPTY", "")
	t.Setenv("TEST_SMS_SHORT", "whsec_s3cr3t")
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	fields := []webhook.Field{{Name: "to", Value: "{to}"}, {Name: "text", Value: "{text}"}}
	for name, c := range map[string]struct {
		sender WebhookSender
		want   string
	}{
		"nothing":             {WebhookSender{}, "the url is none"},
		"no such variable":    {WebhookSender{URL: "https://a.example/", Fields: fields, Auth: &webhook.Auth{Bearer: "{env.TEST_SMS_EMPTY}"}}, "TEST_SMS_EMPTY"},
		"no such file":        {WebhookSender{URL: "https://a.example/", Fields: fields, Auth: &webhook.Auth{Bearer: "{file./no/such/file}"}}, "/no/such/file"},
		"a short secret":      {WebhookSender{URL: "https://a.example/", Fields: fields, Sign: "{env.TEST_SMS_SHORT}"}, "openssl rand -base64 32"},
		"two templates":       {WebhookSender{URL: "https://a.example/", Template: "{}", TemplateFile: empty}, "write one of them"},
		"no such template":    {WebhookSender{URL: "https://a.example/", TemplateFile: "/no/such/file"}, "reading template_file"},
		"an empty template":   {WebhookSender{URL: "https://a.example/", TemplateFile: empty}, "is empty"},
		"a negative timeout":  {WebhookSender{URL: "https://a.example/", Fields: fields, Timeout: -1}, "negative"},
		"an operator's words": {WebhookSender{URL: "https://a.example/", Fields: fields, Success: []webhook.Condition{{Of: "jsn", Values: []string{"x"}}}}, "did you mean json?"},
	} {
		err := c.sender.Provision(caddy.Context{})
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%s: Provision = %v, want an error with %q", name, err, c.want)
		}
		if err := c.sender.Cleanup(); err != nil {
			t.Errorf("%s: Cleanup = %v", name, err)
		}
	}
}
