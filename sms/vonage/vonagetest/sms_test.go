package vonagetest

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestTheSMSAPIRefusesWhatIsNotDocumented(t *testing.T) {
	tests := []struct {
		name  string
		value any // nil for none
		want  string
	}{
		{"to", nil, "2"},
		{"from", nil, "2"},
		{"text", nil, "2"},
		{"text", "", "2"},
		{"to", "+6281234567890", "3"},
		{"to", "006281234567890", "3"},
		{"to", "628123", "3"},
		{"to", "6281234567890123", "3"},
		{"to", "62 812 3456 7890", "3"},
		{"to", []string{"6281234567890"}, "3"},
		{"from", "123456789012345", "0"},
		{"from", "1234567890123456", "15"},
		{"from", "Elevenchars", "0"},
		{"from", "Twelve chars", "15"},
		{"from", "+62812345678", "15"},
		{"type", "unicode", "0"},
		{"type", "utf8", "3"},
		{"ttl", 20000, "0"},
		{"ttl", 300, "3"}, // seconds, where milliseconds are meant
		{"ttl", 604800001, "3"},
		{"ttl", "soon", "3"},
		{"ttl", 20000.5, "3"},
		{"status-report-req", true, "0"},
		{"status-report-req", "1", "0"},
		{"status-report-req", "yes", "3"},
		{"callback", "https://gateway.test/dlr", "0"},
		{"callback", "gateway.test/dlr", "23"},
		{"client-ref", strings.Repeat("x", 40), "0"},
		{"client-ref", strings.Repeat("x", 41), "3"},
		{"message-class", 0, "0"},
		{"message-class", 4, "3"},
		{"entity-id", "1101456324675322134", "0"},
		{"client_ref", "chal-1", "3"}, // the spelling of Messages
		{"text", strings.Repeat("x", 3200), "0"},
		{"text", strings.Repeat("x", 3201), "12"},
	}
	s := New(options())
	client := s.Client(t)
	sent := 0
	for _, tt := range tests {
		got := send(t, client, smsRequest(edit(t, goodSMS, tt.name, tt.value)))
		if got.status != http.StatusOK || statusOf(t, got) != tt.want {
			t.Errorf("%s %v: answered %d %s, want status %s", tt.name, tt.value, got.status, got.body, tt.want)
		}
		if tt.want == "0" {
			sent++
		}
		if n := len(s.Outbox()); n != sent {
			t.Fatalf("%s %v: %d messages in all, want %d", tt.name, tt.value, n, sent)
		}
	}
}

func TestAParameterThatIsThereTwiceIsRefused(t *testing.T) {
	r := request{"POST", "/sms/json", "application/x-www-form-urlencoded", "to=6281234567890&from=Example&text=x&text=y", basicHeader}
	if got := send(t, New(options()).Client(t), r); statusOf(t, got) != "3" {
		t.Errorf("answered %s, want status 3", got.body)
	}
}

func TestTheOutboxHasWhatArrives(t *testing.T) {
	tests := []struct {
		name, text string
		unicode    bool
		arrives    string
		parts      int
	}{
		{"one part", strings.Repeat("x", 160), false, strings.Repeat("x", 160), 1},
		{"two parts", strings.Repeat("x", 161), false, strings.Repeat("x", 161), 2},
		{"three parts", strings.Repeat("x", 307), false, strings.Repeat("x", 307), 3},
		{"characters that cost two", strings.Repeat("€", 80), false, strings.Repeat("€", 80), 1},
		{"and one more", strings.Repeat("€", 81), false, strings.Repeat("€", 81), 2},
		{"a dash that GSM-7 has not", "a – b", false, "a ? b", 1},
		{"the same as Unicode", "a – b", true, "a – b", 1},
		{"a full part of Unicode", strings.Repeat("x", 70), true, strings.Repeat("x", 70), 1},
		{"more of it", strings.Repeat("x", 71), true, strings.Repeat("x", 71), 2},
		{"characters of two units", strings.Repeat("😀", 36), true, strings.Repeat("😀", 36), 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := New(options())
			body := edit(t, goodSMS, "text", tt.text)
			if tt.unicode {
				body = edit(t, body, "type", "unicode")
			}
			got := send(t, s.Client(t), smsRequest(edit(t, body, "ttl", 300000)))
			entries, _ := got.object(t)["messages"].([]any)
			m := s.Outbox()[0]
			if m.Text != tt.arrives || m.Parts != tt.parts || len(m.IDs) != tt.parts || len(entries) != tt.parts {
				t.Errorf("%q arrives in %d parts, answered %s, want %q in %d", m.Text, m.Parts, got.body, tt.arrives, tt.parts)
			}
			if m.API != SMS || m.To != "6281234567890" || m.From != "Example" || m.ClientRef != "chal-1" || m.TTL != 5*time.Minute || m.Unicode != tt.unicode || !m.At.Equal(epoch) {
				t.Errorf("the outbox has %+v", m)
			}
		})
	}
}

func TestMoreRequestsThanTheRateAreThrottled(t *testing.T) {
	now := &clock{now: epoch}
	o := options()
	o.Now, o.Rate = now.Now, 2
	s := New(o)
	client := s.Client(t)
	for i, want := range []string{"0", "0", "1"} {
		if got := send(t, client, smsRequest(goodSMS)); statusOf(t, got) != want {
			t.Errorf("request %d: answered %s, want status %s", i+1, got.body, want)
		}
	}
	for _, r := range []request{messagesRequest(goodMessage), verifyRequest(goodVerify)} {
		if got := send(t, client, r); got.status != 429 {
			t.Errorf("%s in the same second: answered %d, want 429", r.path, got.status)
		}
	}
	now.advance(time.Second)
	if got := send(t, client, smsRequest(goodSMS)); statusOf(t, got) != "0" {
		t.Errorf("a second later: answered %s, want status 0", got.body)
	}
}

func TestConversionFeedbackHasToBeEnabledAndWhole(t *testing.T) {
	post := func(body string) request {
		return request{"POST", "/conversions/sms", "application/x-www-form-urlencoded", body, basicHeader}
	}
	const good = "message-id=0A0000000123ABCD1&delivered=true&timestamp=2026-09-21+14:13:20"
	if got := send(t, New(options()).Client(t), post(good)); got.status != 402 {
		t.Errorf("not enabled: answered %d, want 402", got.status)
	}
	o := options()
	o.Conversions = true
	s := New(o)
	client := s.Client(t)
	for body, want := range map[string]int{
		good: 200,
		"delivered=true&timestamp=2026-09-21+14:13:20":                              420,
		"message-id=0A&delivered=maybe&timestamp=2026-09-21+14:13:20":               420,
		"message-id=0A&delivered=true":                                              420,
		"message-id=0A&delivered=true&timestamp=1790000000":                         420,
		"message-id=0A&message-id=0B&delivered=0&timestamp=2026-09-21+14%3A13%3A20": 420,
	} {
		if got := send(t, client, post(body)); got.status != want {
			t.Errorf("%s: answered %d, want %d", body, got.status, want)
		}
	}
	inQuery := post("")
	inQuery.path += "?message-id=0B&delivered=0&timestamp=2026-09-21+14%3A13%3A20"
	if got := send(t, client, inQuery); got.status != 200 {
		t.Errorf("in the query: answered %d, want 200", got.status)
	}
	nobody := post(good)
	nobody.authorization = ""
	if got := send(t, client, nobody); got.status != 401 {
		t.Errorf("from nobody: answered %d, want 401", got.status)
	}
	at := time.Date(2026, 9, 21, 14, 13, 20, 0, time.UTC)
	got := s.Conversions()
	if len(got) != 2 || got[0] != (Conversion{"0A0000000123ABCD1", true, at}) || got[1] != (Conversion{"0B", false, at}) {
		t.Errorf("the feedback is %v", got)
	}
}
