package vonage

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/go-cmp/cmp"
)

// recording is what the official client put on the wire.
type recording struct {
	Request struct {
		Method, Path  string
		Authorization struct {
			Scheme, Decoded string
			JWTHeader       map[string]string
			ClaimNames      []string
			LifetimeSeconds float64
		}
		BodyParsed struct {
			Kind  string
			Value any
		}
	}
}

const (
	asciiText   = "123456 is your Example sign-in code. Never share it. Valid 5 min."
	specialText = `a=1&b=2 100% + "q" \ ~ €`
	unicodeText = "验证码 123456 — 請勿分享 ✓"
	testNumber  = "6281234567890"
)

// requests make each recorded request. Where we send what was recorded, the whole
// sender does it. Where we never would (in Unicode, with less than we always say, with
// a code or a second channel for Verify), the request is put together from the same
// parts.
var requests = map[string]func(ctx context.Context, t *testing.T, url string) error{
	"messages-sms-basic": func(ctx context.Context, t *testing.T, url string) error {
		return must(t, NewMessages, basicMessagesConfig(url)).call(ctx, asciiText, nil)
	},
	"messages-sms-jwt": func(ctx context.Context, t *testing.T, url string) error {
		return must(t, NewMessages, messagesConfig(url)).call(ctx, asciiText, nil)
	},
	"messages-sms-unicode": func(ctx context.Context, t *testing.T, url string) error {
		return must(t, NewMessages, messagesConfig(url)).call(ctx, "验证码 123456", &messagesSMS{Encoding: "unicode"})
	},
	"messages-sms-jwt-all-options": func(ctx context.Context, t *testing.T, url string) error {
		c := messagesConfig(url)
		c.ContentID, c.EntityID, c.Callback = "1107457532145798767", "1101456324675322134", "https://gw.example.test/status"
		_, err := must(t, NewMessages, c).Send(ctx, testMessage)
		return err
	},
	"sms-ascii": func(ctx context.Context, t *testing.T, url string) error {
		return must(t, NewSMS, smsConfig(url)).call(ctx, smsRequest{To: testNumber, From: "Example", Text: asciiText})
	},
	"sms-ampersand-equals": func(ctx context.Context, t *testing.T, url string) error {
		return must(t, NewSMS, smsConfig(url)).call(ctx, smsRequest{To: testNumber, From: "Example", Text: specialText})
	},
	"sms-unicode": func(ctx context.Context, t *testing.T, url string) error {
		return must(t, NewSMS, smsConfig(url)).call(ctx, smsRequest{To: testNumber, From: "Example", Text: unicodeText, Type: "unicode"})
	},
	"sms-bahasa-all-options": func(ctx context.Context, t *testing.T, url string) error {
		s := must(t, NewSMS, smsConfig(url))
		// With its receipt_token the callback would end in that.
		s.config.Callback, s.config.ReceiptToken = "https://gw.example.test/dlr", ""
		_, err := s.Send(ctx, testMessage)
		return err
	},
	// We send a form only with the credentials in it; these have them in the header.
	"sms-form-ascii": func(ctx context.Context, t *testing.T, url string) error {
		return must(t, NewSMS, smsConfig(url)).callForm(ctx, smsRequest{To: testNumber, From: "Example", Text: asciiText, Ref: "chal-01HZX"})
	},
	"sms-form-ampersand-equals": func(ctx context.Context, t *testing.T, url string) error {
		return must(t, NewSMS, smsConfig(url)).callForm(ctx, smsRequest{To: testNumber, From: "Example", Text: specialText})
	},
	"sms-form-unicode": func(ctx context.Context, t *testing.T, url string) error {
		return must(t, NewSMS, smsConfig(url)).callForm(ctx, smsRequest{To: testNumber, From: "Example", Text: unicodeText, Type: "unicode"})
	},
	"verify2-start": func(ctx context.Context, t *testing.T, url string) error {
		return must(t, NewVerify, verifyConfig(url)).call(ctx, verifyRequest{Brand: "Example", Workflow: []verifyStep{{Channel: "sms", To: testNumber}}})
	},
	"verify2-start-all-options": func(ctx context.Context, t *testing.T, url string) error {
		c := verifyConfig(url)
		c.From = "Example"
		v := must(t, NewVerify, c)
		r := v.request(testMessage)
		return v.call(ctx, struct {
			verifyRequest
			Code     string `json:"code"`
			Fraud    bool   `json:"fraud_check"`
			Template string `json:"template_id"`
			Workflow []any  `json:"workflow"`
		}{r, "123456", false, "e42581ff-951b-4774-9f3f-b495636e3eef", []any{
			struct {
				verifyStep
				Hash string `json:"app_hash"`
			}{r.Workflow[0], "ABC123def45"},
			verifyStep{Channel: "voice", To: testNumber},
		}})
	},
	"verify2-check": func(ctx context.Context, t *testing.T, url string) error {
		_, err := must(t, NewVerify, verifyConfig(url)).Check(ctx, testID, "123456")
		return err
	},
	// A workflow of one step has no next one.
	"verify2-next-workflow": func(ctx context.Context, t *testing.T, url string) error {
		_, err := must(t, NewVerify, verifyConfig(url)).client.call(ctx, http.MethodPost, "/v2/verify/"+testID+"/next_workflow", nil)
		return err
	},
	"verify2-cancel": func(ctx context.Context, t *testing.T, url string) error {
		return must(t, NewVerify, verifyConfig(url)).Cancel(ctx, testID)
	},
}

func (s *Messages) call(ctx context.Context, text string, more *messagesSMS) error {
	_, err := s.client.call(ctx, http.MethodPost, "/v1/messages", messagesRequest{
		Channel: "sms", MessageType: "text", To: testNumber, From: "Example", Text: text, SMS: more,
	})
	return err
}

func (s *SMS) call(ctx context.Context, r smsRequest) error {
	_, err := s.client.call(ctx, http.MethodPost, "/sms/json", s.payload(r))
	return err
}

func (s *SMS) callForm(ctx context.Context, r smsRequest) error {
	_, err := s.client.call(ctx, http.MethodPost, "/sms/json", form(r.params()))
	return err
}

func (v *Verify) call(ctx context.Context, r any) error {
	_, err := v.client.call(ctx, http.MethodPost, "/v2/verify", r)
	return err
}

func TestRequestsEqualThoseOfTheOfficialClient(t *testing.T) {
	files, err := filepath.Glob("../../testdata/vonage/requests/*.json")
	if err != nil || len(files) != len(requests) {
		t.Fatalf("there are %d recordings (%v), and %d requests", len(files), err, len(requests))
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		t.Run(name, func(t *testing.T) {
			var want recording
			read(t, "requests/"+name+".json", &want)
			var got *http.Request
			var body []byte
			address := serve(t, func(w http.ResponseWriter, r *http.Request) {
				got = r
				body, _ = io.ReadAll(r.Body)
				io.WriteString(w, `{"message_uuid":"1","message-count":"1","messages":[{"status":"0","message-id":"1"}],"request_id":"`+testID+`","status":"completed"}`)
			})
			if requests[name] == nil {
				t.Fatal("nothing makes this request")
			}
			if err := requests[name](t.Context(), t, address); err != nil {
				t.Fatal(err)
			}
			if got.Method != want.Request.Method || got.RequestURI != want.Request.Path {
				t.Errorf("%s %s, want %s %s", got.Method, got.RequestURI, want.Request.Method, want.Request.Path)
			}
			if diff := cmp.Diff(want.Request.BodyParsed.Value, parsed(t, want.Request.BodyParsed.Kind, body)); diff != "" {
				t.Errorf("body (-want +got):\n%s", diff)
			}
			checkAuthorization(t, got.Header.Get("Authorization"), want)
		})
	}
}

// parsed returns a body as the recordings have it.
func parsed(t *testing.T, kind string, body []byte) (value any) {
	t.Helper()
	switch kind {
	case "json":
		if err := json.Unmarshal(body, &value); err != nil {
			t.Fatalf("%v in %s", err, body)
		}
		return value
	case "form":
		values, err := url.ParseQuery(string(body))
		if err != nil {
			t.Fatalf("%v in %s", err, body)
		}
		pairs := []any{}
		for _, name := range slices.Sorted(maps.Keys(values)) {
			for _, v := range values[name] {
				pairs = append(pairs, []any{name, v})
			}
		}
		return pairs
	default:
		if len(body) > 0 {
			t.Errorf("body is %q, want none", body)
		}
		return nil
	}
}

var uuid4 = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

func checkAuthorization(t *testing.T, got string, want recording) {
	t.Helper()
	scheme, value, _ := strings.Cut(got, " ")
	a := want.Request.Authorization
	if scheme != a.Scheme {
		t.Fatalf("authorization is %q, want %s", scheme, a.Scheme)
	}
	if scheme == "Basic" {
		if plain, err := base64.StdEncoding.DecodeString(value); err != nil || string(plain) != a.Decoded {
			t.Errorf("Basic %q, %v, want %q", plain, err, a.Decoded)
		}
		return
	}
	head, _, _ := strings.Cut(value, ".")
	text, err := base64.RawURLEncoding.DecodeString(head)
	if err != nil {
		t.Fatal(err)
	}
	var header map[string]string
	if err := json.Unmarshal(text, &header); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(a.JWTHeader, header); diff != "" {
		t.Errorf("header of the token (-want +got):\n%s", diff)
	}
	token, err := jwt.ParseSigned(value, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		t.Fatal(err)
	}
	claims := map[string]any{}
	if err := token.Claims(testPrivateKey().Public(), &claims); err != nil {
		t.Fatal(err)
	}
	if names := slices.Sorted(maps.Keys(claims)); !slices.Equal(names, a.ClaimNames) {
		t.Errorf("claims are %v, want %v", names, a.ClaimNames)
	}
	iat, _ := claims["iat"].(float64)
	exp, _ := claims["exp"].(float64)
	if exp-iat != a.LifetimeSeconds || claims["application_id"] != testApplication || !uuid4.MatchString(fmt.Sprint(claims["jti"])) {
		t.Errorf("claims are %v, want %v s, %s and a UUID", claims, a.LifetimeSeconds, testApplication)
	}
}
