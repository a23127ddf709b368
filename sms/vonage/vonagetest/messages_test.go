package vonagetest

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestMessagesRefusesWhatIsNotDocumented(t *testing.T) {
	tests := []struct {
		name  string
		value any // nil for none
		want  string
	}{
		{"channel", nil, "Invalid params"},
		{"channel", "mms", "Unsupported channel"},
		{"message_type", nil, "Invalid params"},
		{"message_type", "image", "Invalid params"},
		{"to", nil, "Invalid params"},
		{"to", "+6281234567890", "Invalid recipient"},
		{"to", "006281234567890", "Invalid recipient"},
		{"to", 6281234567890, "Invalid recipient"},
		{"from", nil, "Invalid params"},
		{"from", "+6281234567890", "Invalid sender"},
		{"from", "Twelve chars", "Invalid sender"},
		{"from", "123456789012345", ""},
		{"text", nil, "Invalid params"},
		{"text", "", "Invalid params"},
		{"text", strings.Repeat("x", 1000), ""},
		{"text", strings.Repeat("x", 1001), "Invalid params"},
		{"client_ref", strings.Repeat("x", 100), ""},
		{"client_ref", strings.Repeat("x", 101), "Invalid client reference"},
		{"client_ref", 1, "Invalid client reference"},
		{"ttl", 300, ""},
		{"ttl", 19, "Invalid params"},
		{"ttl", 604800, ""},
		{"ttl", 300000000, "Invalid params"}, // milliseconds, where seconds are meant
		{"ttl", "300", "Invalid params"},
		{"webhook_url", "https://gateway.test/status", ""},
		{"webhook_url", "/status", "Invalid params"},
		{"webhook_version", "v1", ""},
		{"webhook_version", "v2", "Invalid params"},
		{"sms", map[string]any{"encoding_type": "text", "entity_id": "1101456324675322134", "content_id": "1107457532145798767"}, ""},
		{"sms", map[string]any{"encoding_type": "gsm7"}, "Invalid params"},
		{"sms", map[string]any{"encoding": "text"}, "Invalid params"},
		{"sms", "text", "Invalid params"},
		{"failover", []any{map[string]any{"channel": "sms"}}, ""},
		{"failover", "sms", "Invalid params"},
		{"client-ref", "chal-1", "Invalid params"}, // the spelling of the SMS API
	}
	client := New(options()).Client(t)
	for _, tt := range tests {
		got := send(t, client, messagesRequest(edit(t, goodMessage, tt.name, tt.value)))
		status, title := http.StatusUnprocessableEntity, got.object(t)["title"]
		if tt.want == "" {
			status, title = http.StatusAccepted, ""
		}
		if got.status != status || title != tt.want {
			t.Errorf("%s %v: answered %d %s, want %d %q", tt.name, tt.value, got.status, got.body, status, tt.want)
		}
	}
}

func TestMessagesWantsOneJSONObject(t *testing.T) {
	client := New(options()).Client(t)
	for _, r := range []request{
		messagesRequest(""), messagesRequest("{"), messagesRequest("[]"), messagesRequest("null"), messagesRequest(goodMessage + goodMessage),
		{"POST", "/v1/messages", "text/plain", goodMessage, basicHeader},
	} {
		if got := send(t, client, r); got.status != 422 || !strings.Contains(got.body, "did not contain valid JSON") {
			t.Errorf("%q: answered %d %s, want 422", r.body, got.status, got.body)
		}
	}
}

func TestTheEncodingOfAMessageIsWhatItAsksFor(t *testing.T) {
	for _, tt := range []struct {
		name    string
		options any
		arrives string
		unicode bool
	}{
		{"as text", map[string]any{"encoding_type": "text"}, "a ? b", false},
		{"as Unicode", map[string]any{"encoding_type": "unicode"}, "a – b", true},
		{"automatically", map[string]any{"encoding_type": "auto"}, "a – b", true},
		{"unless it says", nil, "a – b", true},
	} {
		s := New(options())
		body := edit(t, edit(t, edit(t, goodMessage, "text", "a – b"), "sms", tt.options), "ttl", 300)
		got := send(t, s.Client(t), messagesRequest(body))
		if got.status != http.StatusAccepted {
			t.Fatalf("%s: answered %d %s", tt.name, got.status, got.body)
		}
		m := s.Outbox()[0]
		if m.Text != tt.arrives || m.Unicode != tt.unicode {
			t.Errorf("%s: %q arrives, Unicode %v, want %q, %v", tt.name, m.Text, m.Unicode, tt.arrives, tt.unicode)
		}
		if m.API != Messages || m.ID != got.object(t)["message_uuid"] || m.To != "6281234567890" || m.From != "Example" || m.ClientRef != "chal-1" || m.TTL != 5*time.Minute || m.Parts != 1 {
			t.Errorf("%s: the outbox has %+v", tt.name, m)
		}
	}
}

func TestWhatVonageHasNotIsNotFound(t *testing.T) {
	client := New(options()).Client(t)
	for _, r := range []request{
		{method: "GET", path: "/sms/json"}, {method: "POST", path: "/sms/xml"}, {method: "POST", path: "/v1/messages/"}, {method: "PUT", path: "/v2/verify"},
		{method: "GET", path: "/v2/verify/x"}, {method: "DELETE", path: "/v2/verify/x/next_workflow"}, {method: "POST", path: "/v2/verify/x/other"}, {method: "POST", path: "/v2/verify/"},
	} {
		if got := send(t, client, r); got.status != http.StatusNotFound {
			t.Errorf("%s %s: answered %d, want 404", r.method, r.path, got.status)
		}
	}
}
