package vonagetest

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// documented returns the documented answers by their keys.
func documented(t testing.TB) map[string]received {
	t.Helper()
	var list []struct {
		Key    string
		Status int
		Body   json.RawMessage
	}
	readJSON(t, "documented-responses.json", &list)
	answers := map[string]received{}
	for _, a := range list {
		answers[a.Key] = received{status: a.Status, body: string(a.Body)}
	}
	return answers
}

func TestWhatTheOfficialClientSentIsAccepted(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(recordings, "requests", "*.json"))
	if err != nil || len(files) != 16 {
		t.Fatalf("found %d recordings, %v, want 16", len(files), err)
	}
	answers := documented(t)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
			var recording struct {
				Request struct {
					Method, Path, Body string
					Headers            map[string]string
					Authorization      struct {
						Scheme    string
						JWTClaims map[string]any `json:"jwtClaims"`
					}
				}
				Answered string
			}
			readJSON(t, filepath.Join("requests", filepath.Base(file)), &recording)
			s := New(options())
			client := s.Client(t)
			r := request{recording.Request.Method, recording.Request.Path, recording.Request.Headers["content-type"], recording.Request.Body, recording.Request.Headers["authorization"]}
			if c := recording.Request.Authorization.JWTClaims; c != nil {
				c["iat"], c["exp"] = epoch.Unix(), epoch.Unix()+900
				r.authorization = "Bearer " + token(t, rs256, c)
			}
			// The verification that the recording speaks of has to be there.
			const recorded = "c11236f4-00bf-4b89-84ba-88b25df97315"
			if strings.Contains(r.path, recorded) {
				start := `{"brand":"Example","code":"123456","workflow":[{"channel":"sms","to":"6281234567890"},{"channel":"voice","to":"6281234567890"}]}`
				id := text(send(t, client, verifyRequest(start)).object(t)["request_id"])
				r.path = strings.Replace(r.path, recorded, id, 1)
			}
			got := send(t, client, r)
			want := answers[recording.Answered]
			if got.status != want.status {
				t.Fatalf("answered %d %s, want %d", got.status, got.body, want.status)
			}
			if r.path == "/sms/json" && statusOf(t, got) != "0" {
				t.Errorf("answered %s, want status 0", got.body)
			}
			sent := 1
			if strings.HasSuffix(r.path, "/next_workflow") {
				sent = 2
			}
			if n := len(s.Outbox()); n != sent {
				t.Errorf("%d messages were sent, want %d", n, sent)
			}
		})
	}
}

// sameProblem compares two errors without what differs from one to the next.
func sameProblem(t *testing.T, got, want received) {
	t.Helper()
	g, w := got.object(t), want.object(t)
	for _, name := range []string{"type", "title", "detail"} {
		if g[name] != w[name] {
			t.Errorf("answered %d with the %s %q, want %q", got.status, name, g[name], w[name])
		}
	}
	if got.status != want.status || got.contentType != "application/json" || text(g["instance"]) == "" {
		t.Errorf("answered %d %s with the instance %q, want %d application/json and one", got.status, got.contentType, g["instance"], want.status)
	}
}

func TestErrorsAreTheDocumentedOnes(t *testing.T) {
	answers := documented(t)
	to := func(number string) string { return edit(t, goodMessage, "to", number) }
	for key, r := range map[string]request{
		"messages.401-credentials":  {"POST", "/v1/messages", "application/json", goodMessage, ""},
		"messages.402-low-balance":  messagesRequest(to("628000040200")),
		"messages.422-channel":      messagesRequest(edit(t, goodMessage, "channel", "pigeon")),
		"messages.422-sender":       messagesRequest(edit(t, goodMessage, "from", "Example Ltd")),
		"messages.422-recipient":    messagesRequest(to("+6281234567890")),
		"messages.422-params":       messagesRequest(edit(t, goodMessage, "text", nil)),
		"messages.422-client-ref":   messagesRequest(edit(t, goodMessage, "client_ref", strings.Repeat("x", 101))),
		"messages.429-throttled":    messagesRequest(to("628000042900")),
		"messages.500-internal":     messagesRequest(to("628000050000")),
		"sms.http-401-unauthorized": smsRequest(edit(t, goodSMS, "to", "628000040100")),
		"verify2.start.401":         {"POST", "/v2/verify", "application/json", goodVerify, ""},
		"verify2.start.422-invalid": verifyRequest(edit(t, goodVerify, "brand", nil)),
		"verify2.start.429-throttled": verifyRequest(edit(t, goodVerify, "workflow",
			[]any{map[string]any{"channel": "sms", "to": "628000042900"}})),
	} {
		t.Run(key, func(t *testing.T) {
			sameProblem(t, send(t, New(options()).Client(t), r), answers[key])
		})
	}
}

func TestEveryDocumentedStatusOfTheSMSAPICanBeAskedForByNumber(t *testing.T) {
	s := New(options())
	client := s.Client(t)
	asked := 0
	for key, want := range documented(t) {
		status, ok := strings.CutPrefix(key, "sms.error-")
		if !ok {
			continue
		}
		asked++
		got := send(t, client, smsRequest(edit(t, goodSMS, "to", "6280000000"+status)))
		if status == "02" || status == "03" { // their texts name a parameter
			if statusOf(t, got) != status[1:] {
				t.Errorf("%s: answered %s", key, got.body)
			}
			continue
		}
		g, _ := json.Marshal(got.object(t))
		w, _ := json.Marshal(want.object(t))
		if string(g) != string(w) || got.status != http.StatusOK {
			t.Errorf("%s: answered %d %s, want %s", key, got.status, g, w)
		}
	}
	if asked != 19 {
		t.Errorf("asked for %d statuses, want 19", asked)
	}
	if n := len(s.Outbox()); n != 0 {
		t.Errorf("%d messages were sent, want none", n)
	}
}
