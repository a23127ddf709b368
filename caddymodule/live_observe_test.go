package caddymodule_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/stepgate/stepgate/challengepages"
)

// secrets are what must stand nowhere, by what they are.
type secrets map[string]string

// in returns which of the secrets a text has. Short ones count only where they do
// not stand in a longer number.
func (s secrets) in(text string) []string {
	var found []string
	for what, secret := range s {
		pattern := regexp.QuoteMeta(secret)
		if len(secret) < 8 {
			pattern = `(^|[^0-9.])` + pattern + `([^0-9]|$)`
		}
		if regexp.MustCompile(pattern).MatchString(text) {
			found = append(found, what)
		}
	}
	return found
}

// texts calls visit with every key and every text in a log entry.
func texts(v any, visit func(string)) {
	switch v := v.(type) {
	case string:
		visit(v)
	case []any:
		for _, e := range v {
			texts(e, visit)
		}
	case map[string]any:
		for k, e := range v {
			visit(k)
			texts(e, visit)
		}
	}
}

var (
	setupPattern    = regexp.MustCompile(`name="?stepgate_setup"? value="?([A-Za-z0-9_-]{22})`)
	seedPattern     = regexp.MustCompile(`secret=([A-Z2-7]+)`)
	recoveryPattern = regexp.MustCompile(`data-text="[^"]*: ([A-Z2-7-]+)"`)
)

func find(t *testing.T, p *regexp.Regexp, page string) string {
	t.Helper()
	m := p.FindStringSubmatch(page)
	if m == nil {
		t.Fatalf("%s is not in the page:\n%s", p, page)
	}
	return m[1]
}

// liveThrough does everything that has a secret in it, and returns the secrets.
func liveThrough(t *testing.T, g *gateway) secrets {
	t.Helper()
	s := secrets{"a phone number": "81298765432", "a phone number as it is written here": "0812-9876-5432", "a password": "rahasia", "a bank account": "1234567890"}
	p := g.login("sari")
	s["a session"] = p.cookie("casino_session")

	// A first authenticator, after a code to the phone that the site knows.
	const settings = "/.stepgate/security"
	id := p.post(settings + "/totp").want(http.StatusUnauthorized).challenge()
	s["an SMS code"] = code(t, "+6281298765432")
	page := p.post(settings+"/totp", solution(id, "sms", s["an SMS code"])...).want(http.StatusOK).body
	s["a seed"] = find(t, seedPattern, page)
	now := time.Now()
	s["a TOTP code"] = totpCode(t, s["a seed"], now)
	page = p.post(settings+"/totp/confirm", challengepages.FieldSetup, find(t, setupPattern, page), challengepages.FieldCode, s["a TOTP code"]).want(http.StatusOK).body
	s["a recovery key"] = find(t, recoveryPattern, page)

	// A grant, after a wrong code; the browser's secret came with the challenge.
	id = p.get("/account/email").want(http.StatusUnauthorized).challenge()
	p.post("/account/email", solution(id, "totp", "000000")...).want(http.StatusUnprocessableEntity)
	s["the next TOTP code"] = totpCode(t, s["a seed"], now.Add(30*time.Second))
	p.post("/account/email", solution(id, "totp", s["the next TOTP code"])...).want(http.StatusSeeOther)
	p.get("/account/email").want(http.StatusNotFound) // the casino has only the POST
	s["a grant"] = p.cookie("stepgate-grant")
	s["a browser's secret"] = p.cookie("stepgate-browser")

	// A withdrawal that is held and dropped, one by a script with a bearer token, and
	// the recovery key.
	id = p.withdraw("7.654.321")
	s["a held amount"] = "7.654.321"
	p.post("/wallet/withdraw", challengepages.FieldChallenge, id, challengepages.FieldAction, challengepages.ActionCancel).want(http.StatusOK)
	app := g.visitor()
	app.header = http.Header{"Accept": {"application/json"}, "Authorization": {"Bearer " + s["a session"]}}
	app.do("POST", "/api/v1/withdrawals", "application/json", `{"amount":8765432,"account":"BCA 1234567890"}`).want(http.StatusUnauthorized)
	s["an amount of a script"] = "8765432"
	id = p.withdraw("9.876.543")
	page = p.post("/wallet/withdraw", solution(id, "recovery_key", s["a recovery key"])...).want(http.StatusOK).body
	s["the next recovery key"] = find(t, recoveryPattern, page)
	for what, secret := range s {
		if secret == "" {
			t.Fatalf("there is no %s", what)
		}
	}
	return s
}

func totpCode(t *testing.T, seed string, at time.Time) string {
	t.Helper()
	code, err := totp.GenerateCode(seed, at)
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// I8: nothing of a secret in any log, in the configuration, or in the metrics.
func TestInvariantI8NoSecretInLogsConfigurationOrMetrics(t *testing.T) {
	g := start(t, config{log: true})
	s := liveThrough(t, g)
	entries := g.log("log.json")
	for _, entry := range entries {
		texts(entry, func(text string) {
			for _, what := range s.in(text) {
				t.Errorf("%s is in the log: %v", what, entry)
			}
		})
	}
	if len(entries) < 20 {
		t.Errorf("the log has %d entries: too few for what was done", len(entries))
	}
	for _, path := range []string{"/config/", "/metrics", "/reverse_proxy/upstreams"} {
		if found := s.in(g.admin(path)); len(found) > 0 {
			t.Errorf("%s has %v", path, found)
		}
	}
}

// R47: every outcome is in the audit log, in the metrics and in the access log.
func TestEveryOutcomeIsLoggedAndCounted(t *testing.T) {
	g := start(t, config{log: true})
	liveThrough(t, g)
	g.visitor().post("/wallet/withdraw").want(http.StatusSeeOther)

	seen := map[string]map[string]any{}
	for _, entry := range g.log("audit.json") {
		if entry["logger"] != "stepgate.audit" || entry["msg"] != "step-up" {
			t.Errorf("the audit log has an entry of something else: %v", entry)
		}
		seen[fmt.Sprint(entry["event"])] = entry
	}
	for _, name := range []string{
		"request.challenged", "request.released", "request.anonymous", "challenge.code_sent", "challenge.passed",
		"challenge.wrong_code", "challenge.cancelled", "enrolment.bound",
	} {
		entry := seen[name]
		if entry == nil {
			t.Errorf("%s is not in the audit log", name)
			continue
		}
		if entry["level"] != "info" || entry["client_ip"] != "127.0.0.1" {
			t.Errorf("%s is logged as %v, want it at info and with the client's address", name, entry)
		}
	}
	if entry := seen["challenge.wrong_code"]; entry["rule"] != "contact" || entry["factor"] != "totp" || entry["challenge"] == nil || entry["subject"] == nil {
		t.Errorf("a wrong code is logged as %v, want rule, factor, challenge and subject", entry)
	}
	// It happens as often as the route is used.
	if entry := seen["request.granted"]; entry != nil && entry["level"] != "debug" {
		t.Errorf("a grant's use is logged as %v, want it at debug", entry)
	}
	metrics := g.admin("/metrics")
	for _, line := range []string{
		`stepgate_events_total{event="challenge.wrong_code",factor="totp",rule="contact"}`,
		`stepgate_events_total{event="request.granted",factor="",rule="contact"}`,
		`stepgate_events_total{event="request.anonymous",factor="",rule="withdrawal"}`,
	} {
		if !strings.Contains(metrics, line) {
			t.Errorf("the metrics have no %s", line)
		}
	}
	fields := map[string]bool{}
	for _, entry := range g.log("log.json") {
		if logger, _ := entry["logger"].(string); !strings.HasPrefix(logger, "http.log.access") {
			continue
		}
		if entry["step_up_rule"] == "contact" && entry["step_up_challenge"] != nil {
			fields[fmt.Sprint(entry["step_up_outcome"])] = true
		}
	}
	if !fields["request.challenged"] || !fields["challenge.passed"] {
		t.Errorf("the access log has outcomes %v of the rule contact, want request.challenged and challenge.passed", fields)
	}
}

// The counters go on over a reload, successful or not, and two handlers share
// them.
func TestMetricsGoOnOverReloads(t *testing.T) {
	g := start(t, config{site: ordinarySite + "\n}\n\nhttp://second.example {\n\tbind {BIND}\n" + ordinaryStepUp})
	value := func() string {
		const name = `stepgate_events_total{event="request.anonymous",factor="",rule="withdrawal"} `
		_, rest, _ := strings.Cut(g.admin("/metrics"), name)
		count, _, _ := strings.Cut(rest, "\n")
		return count
	}
	g.visitor().post("/wallet/withdraw").want(http.StatusSeeOther)
	before := value()
	if before == "" {
		t.Fatal("the metrics do not count visitors")
	}
	if err := g.load(config{brand: "Other Casino"}); err != nil {
		t.Fatal(err)
	}
	if got := value(); got != before {
		t.Errorf("after a reload the counter is %q, want %q", got, before)
	}
	if err := g.load(config{fault: "start"}); err == nil {
		t.Fatal("a configuration that fails was loaded")
	}
	g.visitor().post("/wallet/withdraw").want(http.StatusSeeOther)
	if got := value(); got == before || got == "" {
		t.Errorf("after a failed reload the counter stays at %q", got)
	}
}
