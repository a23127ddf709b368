package vonagetest

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
)

// start begins a verification and returns its id.
func start(t *testing.T, client *http.Client, body string) string {
	t.Helper()
	got := send(t, client, verifyRequest(body))
	if got.status != http.StatusAccepted {
		t.Fatalf("answered %d %s, want 202", got.status, got.body)
	}
	return text(got.object(t)["request_id"])
}

func checkRequest(id, code string) request {
	return request{"POST", "/v2/verify/" + id, "application/json", `{"code":"` + code + `"}`, basicHeader}
}

func nextRequest(id string) request {
	return request{"POST", "/v2/verify/" + id + "/next_workflow", "", "", basicHeader}
}

func cancelRequest(id string) request {
	return request{"DELETE", "/v2/verify/" + id, "", "", basicHeader}
}

func TestVerifyRefusesWhatIsNotDocumented(t *testing.T) {
	steps := func(step map[string]any) []any {
		for name, v := range map[string]any{"channel": "sms", "to": "6281234567890"} {
			if _, ok := step[name]; !ok {
				step[name] = v
			}
		}
		return []any{step}
	}
	tests := []struct {
		name  string
		value any // nil for none
		good  bool
	}{
		{"brand", nil, false},
		{"brand", "", false},
		{"brand", strings.Repeat("x", 16), true},
		{"brand", strings.Repeat("x", 17), false},
		{"brand", "Example: 1", false},
		{"workflow", nil, false},
		{"workflow", []any{}, false},
		{"workflow", steps(map[string]any{"to": "+6281234567890"}), false},
		{"workflow", steps(map[string]any{"channel": "pigeon"}), false},
		{"workflow", steps(map[string]any{"from": "Ex"}), false},
		{"workflow", steps(map[string]any{"from": "Example"}), true},
		{"workflow", steps(map[string]any{"app_hash": "ABC123def45"}), true},
		{"workflow", steps(map[string]any{"app_hash": "ABC"}), false},
		{"workflow", steps(map[string]any{"apphash": "ABC123def45"}), false},
		{"workflow", steps(map[string]any{"entity_id": "1101456324675322134", "content_id": "1107457532145798767"}), true},
		{"locale", "id-id", true},
		{"locale", "id", false},
		{"channel_timeout", 15, true},
		{"channel_timeout", 14, false},
		{"channel_timeout", 901, false},
		{"channel_timeout", "300", false},
		{"client_ref", strings.Repeat("x", 16), true},
		{"client_ref", strings.Repeat("x", 17), false},
		{"code_length", 10, true},
		{"code_length", 3, false},
		{"code_length", 11, false},
		{"code", "12345678ab", true},
		{"code", "123", false},
		{"code", "1234-5", false},
		{"code", 123456, false},
		{"fraud_check", false, true},
		{"fraud_check", "false", false},
		{"template_id", "e42581ff-951b-4774-9f3f-b495636e3eef", true},
		{"template_id", "mine", false},
		{"fraudCheck", false, false},
	}
	for _, tt := range tests {
		got := send(t, New(options()).Client(t), verifyRequest(edit(t, goodVerify, tt.name, tt.value)))
		want := http.StatusUnprocessableEntity
		if tt.good {
			want = http.StatusAccepted
		}
		if got.status != want {
			t.Errorf("%s %v: answered %d %s, want %d", tt.name, tt.value, got.status, got.body, want)
		}
	}
}

func TestAVerificationAnswersAsDocumented(t *testing.T) {
	answers := documented(t)
	s := New(options())
	client := s.Client(t)
	id := start(t, client, goodVerify)

	second := send(t, client, verifyRequest(goodVerify))
	sameProblem(t, second, answers["verify2.start.409-concurrent"])
	if second.object(t)["request_id"] != id {
		t.Errorf("the second start names %v, want the first one's %s", second.object(t)["request_id"], id)
	}
	sameProblem(t, send(t, client, checkRequest(id, "654321")), answers["verify2.check.400-wrong-code"])
	if got := send(t, client, checkRequest(id, "")); got.status != 422 {
		t.Errorf("an empty code: answered %d, want 422", got.status)
	}
	sameProblem(t, send(t, client, nextRequest(id)), answers["verify2.next.409-no-events"])
	if got := send(t, client, checkRequest(id, "123456")); got.status != 200 || got.object(t)["status"] != "completed" || got.object(t)["request_id"] != id {
		t.Errorf("the right code: answered %d %s, want 200 completed", got.status, got.body)
	}
	want := answers["verify2.check.404-not-found"]
	want.body = strings.ReplaceAll(want.body, "c11236f4-00bf-4b89-84ba-88b25df97315", id)
	sameProblem(t, send(t, client, checkRequest(id, "123456")), want)
	sameProblem(t, send(t, client, cancelRequest(id)), want)
	sameProblem(t, send(t, client, nextRequest(id)), want)

	id = start(t, client, goodVerify)
	for range 2 {
		sameProblem(t, send(t, client, checkRequest(id, "654321")), answers["verify2.check.400-wrong-code"])
	}
	sameProblem(t, send(t, client, checkRequest(id, "654321")), answers["verify2.check.410-too-many"])
	if got := send(t, client, checkRequest(id, "123456")); got.status != 404 {
		t.Errorf("the right code after three wrong ones: answered %d, want 404", got.status)
	}

	id = start(t, client, goodVerify)
	if got := send(t, client, cancelRequest(id)); got.status != 204 || got.body != "" {
		t.Errorf("cancel: answered %d %q, want 204", got.status, got.body)
	}
	if got := send(t, client, cancelRequest(id)); got.status != 404 {
		t.Errorf("cancel again: answered %d, want 404", got.status)
	}

	silent := start(t, client, edit(t, goodVerify, "workflow", []any{map[string]any{"channel": "silent_auth", "to": "6281234567890"}}))
	sameProblem(t, send(t, client, checkRequest(silent, "123456")), answers["verify2.check.409-no-code"])
	if got := send(t, client, request{"POST", "/v2/verify/" + silent, "application/json", `{"code":"1"}`, ""}); got.status != 401 {
		t.Errorf("a check by nobody: answered %d, want 401", got.status)
	}
}

func TestAVerificationGoesOnToItsNextStepAndExpires(t *testing.T) {
	now := &clock{now: epoch}
	o := options()
	o.Now = now.Now
	s := New(o)
	client := s.Client(t)
	two := edit(t, edit(t, goodVerify, "channel_timeout", 60), "workflow", []any{
		map[string]any{"channel": "sms", "to": "6281234567890", "from": "Example"}, map[string]any{"channel": "voice", "to": "6281234567890"},
	})
	id := start(t, client, two)
	now.advance(59 * time.Second)
	if got := send(t, client, nextRequest(id)); got.status != 200 {
		t.Errorf("next workflow: answered %d %s, want 200", got.status, got.body)
	}
	now.advance(59 * time.Second) // of the second step's time
	if got := send(t, client, verifyRequest(two)); got.status != 409 {
		t.Errorf("a second start: answered %d, want 409", got.status)
	}
	now.advance(time.Second)
	if got := send(t, client, checkRequest(id, "123456")); got.status != 404 {
		t.Errorf("the right code after the end: answered %d, want 404", got.status)
	}

	id = start(t, client, two)
	now.advance(61 * time.Second)
	if got := send(t, client, checkRequest(id, "123456")); got.status != 200 {
		t.Errorf("the right code in the second step: answered %d %s, want 200", got.status, got.body)
	}
	start(t, client, two)
	now.advance(2 * time.Minute)
	start(t, client, two) // the one before has expired, unasked

	var channels []string
	for _, m := range s.Outbox() {
		channels = append(channels, m.Channel)
	}
	if got := strings.Join(channels, " "); got != "sms voice sms voice sms voice sms" {
		t.Errorf("the steps sent over %s", got)
	}
}

func TestTheCodeOfAVerificationIsTheGivenOneOrMade(t *testing.T) {
	s := New(options())
	client := s.Client(t)
	id := start(t, client, goodVerify)
	if got := s.Code(id); got != "123456" {
		t.Errorf("Code = %q, want the given one", got)
	}
	if m := s.Outbox()[0]; m.API != Verify || m.ID != id || m.Text != "123456 is your Example code" || m.ClientRef != "chal-1" {
		t.Errorf("the outbox has %+v", m)
	}
	body := edit(t, edit(t, goodVerify, "code", nil), "workflow", []any{map[string]any{"channel": "sms", "to": "6281234567891"}})
	id = start(t, client, body)
	if got := s.Code(id); !regexp.MustCompile(`^[0-9]{4}$`).MatchString(got) {
		t.Errorf("Code = %q, want four digits", got)
	}
	send(t, client, cancelRequest(id))
	id = start(t, client, edit(t, body, "code_length", 8))
	code := s.Code(id)
	if !regexp.MustCompile(`^[0-9]{8}$`).MatchString(code) {
		t.Errorf("Code = %q, want eight digits", code)
	}
	if got := send(t, client, checkRequest(id, code)); got.status != 200 {
		t.Errorf("the made code: answered %d, want 200", got.status)
	}
	if got := s.Code("another"); got != "" {
		t.Errorf("Code of no verification = %q", got)
	}
}
