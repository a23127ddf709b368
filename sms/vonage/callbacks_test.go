package vonage

import (
	"bytes"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stepgate/stepgate/sms"
)

// webhook is a signed callback of testdata/vonage/webhooks.
type webhook struct {
	Expect  string
	Request struct {
		Method, Body string
		Headers      map[string]string
	}
}

func (w webhook) callback() sms.Callback {
	return callback(w.Request.Method, "", w.Request.Body, w.Request.Headers)
}

func callback(method, query, body string, headers map[string]string) sms.Callback {
	h := http.Header{}
	for name, value := range headers {
		h.Set(name, value)
	}
	return sms.Callback{Method: method, Query: query, Header: h, Body: []byte(body)}
}

// reports are what the callbacks that are to be accepted say.
var reports = map[string][]sms.Report{
	"messages-status-submitted":          {{State: sms.Pending}},
	"messages-status-delivered":          {{State: sms.Delivered}},
	"messages-status-rejected-1120":      {{State: sms.Failed, Code: "1120", Class: sms.Account}},
	"messages-status-rejected-1210":      {{State: sms.Failed, Code: "1210", Class: sms.Policy}},
	"messages-status-rejected-1473":      {{State: sms.Failed, Code: "1473", Class: sms.Policy}},
	"messages-status-undeliverable-1180": {{State: sms.Failed, Code: "1180"}},
	"messages-status-undeliverable-1360": {{State: sms.Failed, Code: "1360"}},
	// Its signature is a day old, and may be that of a repetition.
	"policy-old-iat": {{State: sms.Delivered}},
	// An event is not the end.
	"verify2-event-completed":   nil,
	"verify2-summary-completed": {{State: sms.Delivered}},
}

func TestSignedCallbacksAreBelievedAndOthersNot(t *testing.T) {
	files, err := filepath.Glob("../../testdata/vonage/webhooks/*.json")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		if name == "sms-dlr" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			var w webhook
			read(t, "webhooks/"+name+".json", &w)
			messages, verify := must(t, NewMessages, messagesConfig("")), must(t, NewVerify, verifyConfig(""))
			if w.Expect == "reject" {
				for _, r := range []sms.Receiver{messages, verify} {
					if got, err := r.Receive(w.callback()); !errors.Is(err, sms.ErrForged) || got != nil {
						t.Errorf("%v receives %v, %v, want an error that wraps ErrForged", r, got, err)
					}
				}
				return
			}
			want, ok := reports[name]
			if !ok {
				t.Fatal("nothing is said of what it means")
			}
			seen++
			var r sms.Receiver = messages
			id := testApplication // as the recordings have it
			if strings.HasPrefix(name, "verify2-") {
				r, id = verify, testID
			}
			for i := range want {
				want[i].Ref, want[i].ID = "chal-01HZX", id
			}
			got, err := r.Receive(w.callback())
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("%v receives %v, and (-want +got):\n%s", r, err, diff)
			}
		})
	}
	if seen != len(reports) {
		t.Errorf("%d callbacks were believed, want %d", seen, len(reports))
	}
}

func TestASignedCallbackProvesNothingElseThanItself(t *testing.T) {
	var w webhook
	read(t, "webhooks/messages-status-delivered.json", &w)
	token := w.Request.Headers["authorization"]
	parts := strings.Split(token, ".")
	for _, c := range []struct {
		name   string
		config func(*Config)
		change func(*sms.Callback)
	}{
		{"to an account without signature_secret", func(c *Config) { c.SignatureSecret = "" }, func(*sms.Callback) {}},
		{"under another secret", func(c *Config) { c.SignatureSecret = strings.Repeat("x", 32) }, func(*sms.Callback) {}},
		{"with another body", nil, func(c *sms.Callback) { c.Body = append(bytes.Clone(c.Body), ' ') }},
		{"without a body", nil, func(c *sms.Callback) { c.Body = nil }},
		{"as a GET", nil, func(c *sms.Callback) { c.Method = "GET" }},
		{"with two tokens", nil, func(c *sms.Callback) { c.Header["Authorization"] = []string{token, token} }},
		{"under another scheme", nil, func(c *sms.Callback) {
			c.Header["Authorization"] = []string{strings.Replace(token, "Bearer", "Basic", 1)}
		}},
		{"without its signature", nil, func(c *sms.Callback) { c.Header["Authorization"] = []string{parts[0] + "." + parts[1] + "."} }},
		{"without its head", nil, func(c *sms.Callback) { c.Header["Authorization"] = []string{"Bearer ." + parts[1] + "." + parts[2]} }},
		{"as JSON", nil, func(c *sms.Callback) {
			c.Header["Authorization"] = []string{`Bearer {"protected":"` + strings.TrimPrefix(parts[0], "Bearer ") + `","payload":"` + parts[1] + `","signature":"` + parts[2] + `"}`}
		}},
	} {
		config := messagesConfig("")
		if c.config != nil {
			c.config(&config)
		}
		callback := w.callback()
		c.change(&callback)
		if got, err := must(t, NewMessages, config).Receive(callback); !errors.Is(err, sms.ErrForged) || got != nil {
			t.Errorf("%s: Receive = %v, %v, want an error that wraps ErrForged", c.name, got, err)
		}
	}
	// Without an application to compare with, the account's signature is enough.
	config := basicMessagesConfig("")
	config.SignatureSecret = testSignature
	if got, err := must(t, NewMessages, config).Receive(w.callback()); err != nil || len(got) != 1 {
		t.Errorf("Receive for an account = %v, %v, want one report", got, err)
	}
}

func TestCallbacksAboutNothingThatMattersGiveNoReports(t *testing.T) {
	for name, body := range map[string]string{
		"an inbound message":          `{"message_uuid":"a","text":"STOP","from":"6281234567890"}`,
		"a status of another channel": `{"message_uuid":"a","status":"read"}`,
		"a message without a name":    `{"status":"rejected"}`,
		"names that are none":         `{"message_uuid":"a b","client_ref":"+6281234567890","status":"rejected"}`,
	} {
		if got, err := parseMessagesStatus([]byte(body)); err != nil || got != nil {
			t.Errorf("%s: %v, %v, want no reports", name, got, err)
		}
	}
	for name, body := range map[string]string{
		"an event that failed": `{"request_id":"a","type":"event","status":"failed"}`,
		"a summary that ended": `{"request_id":"a","type":"summary","status":"expired"}`,
	} {
		if got, err := parseVerifyCallback([]byte(body)); err != nil || got != nil {
			t.Errorf("%s: %v, %v, want no reports", name, got, err)
		}
	}
	for _, parse := range []func([]byte) ([]sms.Report, error){parseMessagesStatus, parseVerifyCallback} {
		if got, err := parse([]byte("<html>")); err == nil || errors.Is(err, sms.ErrForged) || got != nil {
			t.Errorf("a signed page: %v, %v, want an error that does not call it forged", got, err)
		}
	}
}

func TestAVerificationThatVonageBlocksHasFailed(t *testing.T) {
	for body, want := range map[string]sms.Report{
		`{"request_id":"a","type":"summary","status":"blocked","client_ref":"r"}`: {Ref: "r", ID: "a", State: sms.Failed, Code: "blocked", Class: sms.Policy},
		`{"request_id":"a","type":"summary","status":"failed"}`:                   {ID: "a", State: sms.Failed, Code: "failed"},
	} {
		got, err := parseVerifyCallback([]byte(body))
		if diff := cmp.Diff([]sms.Report{want}, got); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", body, err, diff)
		}
	}
}

// dlrs are the receipts of the SMS API in their three shapes.
func dlrs(t testing.TB) map[string]sms.Callback {
	t.Helper()
	var file struct {
		Receipts []struct{ Name, Method, Path, ContentType, Body string }
	}
	read(t, "webhooks/sms-dlr.json", &file)
	found := map[string]sms.Callback{}
	for _, r := range file.Receipts {
		u, err := url.Parse(r.Path)
		if err != nil {
			t.Fatal(err)
		}
		headers := map[string]string{}
		if r.ContentType != "" {
			headers["Content-Type"] = r.ContentType
		}
		found[r.Name] = callback(r.Method, u.RawQuery, r.Body, headers)
	}
	if len(found) != 14 {
		t.Fatalf("there are %d receipts, want 14", len(found))
	}
	return found
}

// receipts are what the receipts say.
var receipts = map[string]sms.Report{
	"dlr-unsigned-post-json": {State: sms.Delivered}, "dlr-unsigned-post-form": {State: sms.Delivered}, "dlr-unsigned-get": {State: sms.Delivered},
	"dlr-signed-sha256-post-json": {State: sms.Delivered}, "dlr-signed-sha256-post-form": {State: sms.Delivered}, "dlr-signed-sha256-get": {State: sms.Delivered},
	"dlr-accepted-0": {State: sms.Pending}, "dlr-buffered-0": {State: sms.Pending},
	"dlr-expired-1":   {State: sms.Failed, Code: "1"},
	"dlr-failed-11":   {State: sms.Failed, Code: "11", Class: sms.NotSent},
	"dlr-rejected-6":  {State: sms.Failed, Code: "6", Class: sms.Policy},
	"dlr-unknown-1":   {State: sms.Pending, Code: "1"},
	"dlr-failed-2":    {State: sms.Failed, Code: "2"},
	"dlr-rejected-51": {State: sms.Failed, Code: "51", Class: sms.Account},
}

func TestReceiptsAreBelievedByTheirSignatureOrUnderTheToken(t *testing.T) {
	bySignature, byToken := must(t, NewSMS, signedConfig("")), must(t, NewSMS, smsConfig(""))
	for name, c := range dlrs(t) {
		want := receipts[name]
		want.Ref, want.ID = "chal-01HZX", "0A0000000123ABCD1"
		expect := func(s *SMS, c sms.Callback, believed bool) {
			t.Helper()
			got, err := s.Receive(c)
			if !believed {
				if !errors.Is(err, sms.ErrForged) || got != nil {
					t.Errorf("%s under %q: Receive = %v, %v, want an error that wraps ErrForged", name, c.Path, got, err)
				}
				return
			}
			if diff := cmp.Diff([]sms.Report{want}, got); err != nil || diff != "" {
				t.Errorf("%s under %q: %v (-want +got):\n%s", name, c.Path, err, diff)
			}
		}
		expect(bySignature, c, strings.Contains(name, "-signed-"))
		expect(byToken, c, false)
		for path, believed := range map[string]bool{testToken: true, testToken + "/": false, testToken[1:]: false, strings.ToUpper(testToken): false} {
			c.Path = path
			expect(byToken, c, believed)
			expect(bySignature, c, strings.Contains(name, "-signed-"))
		}
	}
}

func TestEveryChangeOfASignedReceiptIsSeen(t *testing.T) {
	s := must(t, NewSMS, signedConfig(""))
	c := dlrs(t)["dlr-signed-sha256-get"]
	params, err := url.ParseQuery(c.Query)
	if err != nil {
		t.Fatal(err)
	}
	forged := func(name, query string) {
		t.Helper()
		c.Query = query
		if got, err := s.Receive(c); !errors.Is(err, sms.ErrForged) || got != nil {
			t.Errorf("%s: Receive = %v, %v, want an error that wraps ErrForged", name, got, err)
		}
	}
	original := c.Query
	for name := range params {
		changed, _ := url.ParseQuery(original)
		changed.Set(name, "1"+changed.Get(name))
		forged("with another "+name, changed.Encode())
		changed.Del(name)
		forged("without "+name, changed.Encode())
		forged("with two of "+name, original+"&"+name+"=x")
	}
	forged("with one more", original+"&more=x")
	forged("with nothing", "")
	forged("that is no query", "a=%zz;")
}

func TestAReceiptForAnotherAccountIsForged(t *testing.T) {
	c := dlrs(t)["dlr-unsigned-get"]
	c.Path, c.Query = testToken, strings.Replace(c.Query, testKey, "ffff9999", 1)
	if got, err := must(t, NewSMS, smsConfig("")).Receive(c); !errors.Is(err, sms.ErrForged) {
		t.Errorf("Receive = %v, %v, want an error that wraps ErrForged", got, err)
	}
}

func TestReceiptsUnderTheTokenThatMakeNoSenseAreRefused(t *testing.T) {
	s := must(t, NewSMS, smsConfig(""))
	jsonType, formType := map[string]string{"Content-Type": "application/json"}, map[string]string{"Content-Type": "application/x-www-form-urlencoded"}
	for name, c := range map[string]sms.Callback{
		"another method":        callback("PUT", "status=failed&messageId=a", "", nil),
		"no content type":       callback("POST", "", "status=failed&messageId=a", nil),
		"a parameter twice":     callback("POST", "", "status=failed&messageId=a&status=delivered", formType),
		"a member twice":        callback("POST", "", `{"status":"failed","messageId":"a","status":"delivered"}`, jsonType),
		"an object in it":       callback("POST", "", `{"status":{"a":"failed"},"messageId":"a"}`, jsonType),
		"a list":                callback("POST", "", `["status"]`, jsonType),
		"more behind it":        callback("POST", "", `{"status":"failed"}{}`, jsonType),
		"JSON that is cut":      callback("POST", "", `{"status":"failed","messageId":"a"`, jsonType),
		"JSON cut after a name": callback("POST", "", `{"status":`, jsonType),
		"no JSON":               callback("POST", "", `<html>`, jsonType),
		"nothing":               callback("POST", "", ``, jsonType),
	} {
		c.Path = testToken
		if got, err := s.Receive(c); err == nil || errors.Is(err, sms.ErrForged) || got != nil {
			t.Errorf("%s: Receive = %v, %v, want an error that does not call it forged", name, got, err)
		}
	}
	number := callback("POST", "", `{"status":"failed","messageId":"a","err-code":3}`, jsonType)
	number.Path = testToken
	if got, err := s.Receive(number); err != nil || len(got) != 1 || got[0].Class != sms.BadNumber {
		t.Errorf("a code that is a number: Receive = %v, %v, want class number", got, err)
	}
	inbound := callback("GET", "msisdn=6281234567890&text=STOP&messageId=a", "", nil)
	inbound.Path = testToken
	if got, err := s.Receive(inbound); err != nil || got != nil {
		t.Errorf("an inbound message: Receive = %v, %v, want no reports", got, err)
	}
}

// Nobody without the secrets makes a report: whatever is accepted is one of the signed
// callbacks as it stands, or another spelling of it.
func FuzzParseCallbacks(f *testing.F) {
	bodies := map[string]bool{}
	files, err := filepath.Glob("../../testdata/vonage/webhooks/*.json")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		if filepath.Base(file) == "sms-dlr.json" {
			continue
		}
		var w webhook
		read(f, "webhooks/"+filepath.Base(file), &w)
		if w.Expect != "reject" {
			bodies[w.Request.Body] = true
		}
		f.Add(w.Request.Method, "", "", w.Request.Headers["authorization"], "application/json", []byte(w.Request.Body))
	}
	for _, c := range dlrs(f) {
		f.Add(c.Method, "", c.Query, "", header(c, "Content-Type"), c.Body)
	}
	messages, verify := must(f, NewMessages, messagesConfig("")), must(f, NewVerify, verifyConfig(""))
	bySignature := must(f, NewSMS, signedConfig(""))
	f.Fuzz(func(t *testing.T, method, path, query, authorization, contentType string, body []byte) {
		c := callback(method, query, string(body), map[string]string{"Authorization": authorization, "Content-Type": contentType})
		c.Path = path
		for _, r := range []sms.Receiver{messages, verify} {
			if got, err := r.Receive(c); err == nil && !bodies[string(body)] {
				t.Errorf("%v believes %q: %v", r, body, got)
			}
		}
		got, err := bySignature.Receive(c)
		if err == nil && (len(got) != 1 || got[0].Ref != "chal-01HZX" || got[0].ID != "0A0000000123ABCD1" || got[0].State != sms.Delivered) {
			t.Errorf("it believes %q %q: %v", query, body, got)
		}
		// And what comes under the token is read without harm.
		params, err := receiptParams(c)
		if err == nil {
			_ = hex.EncodeToString(signature("md5hash", testSignature, params))
		}
		for _, parse := range []func([]byte) ([]sms.Report, error){parseMessagesStatus, parseVerifyCallback} {
			reports, _ := parse(body)
			for _, r := range reports {
				if r.Ref != "" && !isID(r.Ref) || r.ID != "" && !isID(r.ID) || r.Ref+r.ID == "" {
					t.Errorf("a report has names that are none: %v", r)
				}
			}
		}
	})
}
