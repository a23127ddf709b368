package caddymodule

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddyserver/caddy/v2"

	_ "github.com/caddyserver/caddy/v2/modules/standard"

	"github.com/stepgate/stepgate/internal/smsguard"
	"github.com/stepgate/stepgate/policy"
)

// validate provisions and validates a configuration of an app and a handler, each
// given as JSON, as `caddy validate` does.
func validate(t *testing.T, app, handler string) error {
	t.Helper()
	return validateLogging(t, app, handler, t.TempDir())
}

// validateLogging is validate with a log of warnings in a folder.
func validateLogging(t *testing.T, app, handler, dir string) error {
	t.Helper()
	servers := ""
	if handler != "" {
		servers = `"s":{"listen":["127.0.0.1:0"],"automatic_https":{"disable":true},"routes":[{"handle":[` + handler + `]}]}`
	}
	return validateServers(t, app, servers, dir)
}

// validateServers is validateLogging with the servers of the app http as they stand in
// its JSON; either may be empty.
func validateServers(t *testing.T, app, servers, dir string) error {
	t.Helper()
	t.Setenv("XDG_DATA_HOME", dir)
	apps := []string{}
	if app != "" {
		apps = append(apps, `"stepgate":`+app)
	}
	if servers != "" {
		apps = append(apps, `"http":{"servers":{`+servers+`}}`)
	}
	text := fmt.Sprintf(`{"admin":{"disabled":true},"storage":{"module":"file_system","root":%q},"logging":{"logs":{"default":{"level":"WARN","writer":{"output":"file","filename":%q}}}},"apps":{%s}}`,
		dir, filepath.Join(dir, "log.json"), strings.Join(apps, ","))
	var cfg *caddy.Config
	if err := json.Unmarshal([]byte(text), &cfg); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return caddy.Validate(cfg)
}

const (
	plainApp      = `{"brand":{"name":"Example Casino"}}`
	plainIdentity = `"identity":{"module":"placeholder","subject":"{http.auth.user.id}"}`
	// askingIdentity sees a login of the site.
	askingIdentity = `"identity":{"module":"upstream","url":"http://127.0.0.1:9/me","sessions":[{"kind":"cookie","name":"sid"}],"subject":"id"}`
	// tokenIdentity takes tokens in a cookie.
	tokenIdentity = `"identity":{"module":"jwt","jwks":"https://login.invalid/jwks","issuer":"https://login.invalid","audience":["x"],"sessions":[{"kind":"cookie","name":"sid"}]}`
	smsApp        = `{"brand":{"name":"Example Casino"},"sms":{"providers":[{"sender":{"module":"console"}}]}}`
)

func handlerJSON(more string) string {
	return `{"handler":"step_up",` + plainIdentity + more + `}`
}

// What the Caddyfile cannot say JSON can, and it is checked all the same.
func TestConfigurationsThatCannotWorkAreRefused(t *testing.T) {
	logo := filepath.Join(t.TempDir(), "logo.svg")
	if err := os.WriteFile(logo, []byte("<html/>"), 0o600); err != nil {
		t.Fatal(err)
	}
	pages := t.TempDir()
	if err := writeNew(filepath.Join(pages, "messages", "en.toml"), []byte("[messages]\n\"do.anser\" = \"Go\"\n")); err != nil {
		t.Fatal(err)
	}
	rule := func(fields string) string { return handlerJSON(`,"rules":[{"name":"a","paths":["/a"]` + fields + `}]`) }
	for _, c := range []struct{ name, app, handler, want string }{
		{"no app", "", handlerJSON(""), "add a stepgate block to the global options"},
		{"no brand", `{}`, "", "no brand"},
		{"a brand without a name", `{"brand":{}}`, "", "brand name"},
		{"a logo that is not there", `{"brand":{"name":"x","logo":"/no/such/logo.svg"}}`, "", "reading logo"},
		{"a logo that is none", fmt.Sprintf(`{"brand":{"name":"x","logo":%q}}`, logo), "", "checking logo"},
		{"pages that are not there", `{"brand":{"name":"x","pages":"/no/such/pages"}}`, "", "reading pages"},
		{"pages with a mistake", fmt.Sprintf(`{"brand":{"name":"x","pages":%q}}`, pages), "", `loading brand with the pages in ` + pages + `: messages/en.toml:2: message "do.anser"`},
		{"a language without messages", `{"brand":{"name":"x","languages":["th"]}}`, "", `there are no messages for "th"`},
		{"an unknown field", `{"brand":{"name":"x"},"stor":{}}`, "", "unknown field"},
		{"an unknown store", `{"brand":{"name":"x"},"store":{"module":"mysql"}}`, "", "mysql"},
		{"sms without a sender", `{"brand":{"name":"x"},"sms":{}}`, "", "no sender is configured"},
		{"two senders", `{"brand":{"name":"x"},"sms":{"providers":[{"sender":{"module":"console"}},{"sender":{"module":"console"}}]}}`, "", `two providers are named "console"`},
		{"an unknown country", `{"brand":{"name":"x"},"sms":{"providers":[{"sender":{"module":"console"}}],"countries":["XX"]}}`, "", "XX"},
		{"premium numbers", `{"brand":{"name":"x"},"sms":{"providers":[{"sender":{"module":"console"}}],"numbers":["mobile","premium_rate"]}}`, "", "get no codes"},
		{"a negative sms timeout", `{"brand":{"name":"x"},"sms":{"providers":[{"sender":{"module":"console"}}],"total_timeout":-1}}`, "", "negative"},
		{"a limit for what is not counted", `{"brand":{"name":"x"},"sms":{"providers":[{"sender":{"module":"console"}}],"limits":[{"scope":"host","max":1,"window":"1h"}]}}`, "", "host"},
		{"a limit without a window", `{"brand":{"name":"x"},"sms":{"providers":[{"sender":{"module":"console"}}],"limits":[{"scope":"number","max":1}]}}`, "", "want at least 1, per 1s"},
		{"no identity", plainApp, `{"handler":"step_up"}`, "no identity source"},
		{"a body that no store takes", plainApp, handlerJSON(`,"max_body":1048577`), "max_body"},
		{"a negative body", plainApp, handlerJSON(`,"max_body":-1`), "max_body"},
		{"a prefix that is no path", plainApp, handlerJSON(`,"prefix":"stepgate"`), "prefix"},
		{"a login page elsewhere", plainApp, handlerJSON(`,"login_page":"//evil.example"`), "login_page"},
		{"a pass that lasts too long", plainApp, handlerJSON(`,"new_device":{"session_pass":"2h"}`), "session_pass"},
		{"a trust of half a day", plainApp, handlerJSON(`,"new_device":{"remember":"12h"}`), "remember"},
		{"two rules for new devices", plainApp, handlerJSON(`,"new_device":{},"rules":[{"name":"new_device","paths":["/a"]}]`), "another rule of that name"},
		{"a login that is everything", plainApp, handlerJSON(`,"logins":["/login","/*"]`), "takes every request for a login"},
		{"a logout that is everything", plainApp, handlerJSON(`,"new_device":{},"logouts":["/*"]`), "takes every request for a logout"},
		{"new devices by sms only, without sms", plainApp, handlerJSON(`,"new_device":{"factors":["sms"]}`), "sms block"},
		{"a public URL in plain", plainApp, handlerJSON(`,"public_url":"http://casino.example"`), "write https"},
		{"an origin that is none", plainApp, handlerJSON(`,"trusted_origins":["example.com"]`), "trusted origin"},
		{"two rules of one name", plainApp, handlerJSON(`,"rules":[{"name":"a","paths":["/a"]},{"name":"a","paths":["/b"]}]`), "another rule of that name"},
		{"a rule without a path", plainApp, handlerJSON(`,"rules":[{"name":"a"}]`), "no path"},
		{"anonymous login without a login page", plainApp, rule(`,"anonymous":"login"`), "login_page"},
		{"a hold without a time", plainApp, rule(`,"holds":[{"after":["recovery"]}]`), "write 1s to 2160h"},
		{"a hold after nothing", plainApp, rule(`,"holds":[{"for":"24h"}]`), "says not what it follows"},
		{"a hold after something unknown", plainApp, rule(`,"holds":[{"for":"24h","after":["login"]}]`), `hold after "login" is not known`},
		{"a recovery key that opens what its use closes", plainApp, rule(`,"factors":["totp","recovery_key"],"holds":[{"for":"24h","after":["recovery"]}]`), "take recovery_key out"},
		{"sms only without sms", plainApp, rule(`,"factors":["sms"]`), "sms block"},
		{"sms and recovery key without sms", plainApp, rule(`,"factors":["sms","recovery_key"]`), "sms block"},
		{"recovery key only", smsApp, rule(`,"factors":["recovery_key"]`), "stands in"},
		{"registered phone without sms", plainApp, rule(`,"unenrolled":"registered_phone"`), "registered_phone needs SMS"},
	} {
		if err := validate(t, c.app, c.handler); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: validating = %v, want an error with %q", c.name, err, c.want)
		}
	}
	for name, c := range map[string][2]string{
		"a plain app":               {plainApp, handlerJSON("")},
		"sms only, with sms":        {smsApp, rule(`,"factors":["sms"]`)},
		"registered phone with sms": {smsApp, rule(`,"unenrolled":"registered_phone"`)},
		"holds of several times":    {plainApp, rule(`,"holds":[{"for":"24h","after":["recovery","support"]},{"for":"3d","after":["factor_change"]}]`)},
		"a fresh login":             {`{"brand":{"name":"x"},"first_enrolment":{"mode":"login"}}`, `{"handler":"step_up",` + askingIdentity + `,"login_page":"/login"}`},
		"a fresh login by tokens":   {`{"brand":{"name":"x"},"first_enrolment":{"mode":"login"}}`, `{"handler":"step_up",` + tokenIdentity + `,"login_page":"/login"}`},
		"an issuer that is trusted": {plainApp, `{"handler":"step_up",` + tokenIdentity + `,"rules":[{"name":"r","paths":["/x"],"factors":["totp"],"trust":{"acr":["mfa"]}}]}`},
		"a public URL":              {plainApp, handlerJSON(`,"public_url":"https://casino.example:8443"`)},
		"enrolment by support":      {`{"brand":{"name":"x"},"first_enrolment":{"mode":"support"}}`, handlerJSON("")},
		"players who go through":    {plainApp, rule(`,"unenrolled":"allow"`)},
	} {
		if err := validate(t, c[0], c[1]); err != nil {
			t.Errorf("%s: validating = %v", name, err)
		}
	}
}

// What weakens the gate on purpose is said at each start.
func TestDangerousChoicesAreLogged(t *testing.T) {
	dir := t.TempDir()
	handler := `{"handler":"step_up","identity":{"module":"placeholder","subject":"{http.request.header.Remote-User}","unsafe_header":"behind a proxy that sets it"},
		"rules":[{"name":"open_rule","paths":["/a"],"unenrolled":"allow"},{"name":"closed_rule","paths":["/b"]}]}`
	app := strings.Replace(smsApp, `"sms":{`, `"sms":{"numbers":["mobile","fixed_or_mobile","voip"],`, 1)
	if err := validateLogging(t, app, handler, dir); err != nil {
		t.Fatal(err)
	}
	log, err := os.ReadFile(filepath.Join(dir, "log.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"behind a proxy that sets it", "open_rule", "SMS codes and full numbers are printed", `"numbers":["voip"]`} {
		if !strings.Contains(string(log), want) {
			t.Errorf("the log does not tell of %q:\n%s", want, log)
		}
	}
	if strings.Contains(string(log), "closed_rule") {
		t.Errorf("the log tells of a rule that is not dangerous:\n%s", log)
	}
}

func TestVisitorsGoToTheLoginPageWhereThereIsOne(t *testing.T) {
	rules := []Rule{{Name: "a", Paths: []string{"/a"}}, {Name: "b", Paths: []string{"/b"}, Anonymous: policy.AnonymousRefuse}}
	for _, c := range []struct {
		hasLogin bool
		want     []policy.Anonymous
	}{
		{true, []policy.Anonymous{policy.AnonymousLogin, policy.AnonymousRefuse}},
		{false, []policy.Anonymous{policy.AnonymousRefuse, policy.AnonymousRefuse}},
	} {
		h := &StepUp{Rules: rules}
		if c.hasLogin {
			h.LoginPage = "/login"
		}
		set, err := h.compile(true)
		if err != nil {
			t.Fatal(err)
		}
		var got []policy.Anonymous
		for _, r := range set.Rules()[:len(rules)] {
			got = append(got, r.Anonymous)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("compile with a login page %v (-want +got):\n%s", c.hasLogin, diff)
		}
	}
}

// A rule of the configuration is the rule of the policy, field by field.
func TestNoFieldOfARuleIsLost(t *testing.T) {
	r := Rule{
		Name: "a", Paths: []string{"/a"}, Methods: []string{"POST"}, Factors: []policy.Factor{policy.TOTP}, MaxAge: caddy.Duration(time.Minute),
		SingleUse: true, Group: "g", Details: []Detail{{Label: "amount", Source: policy.FromJSON, Name: "a.b"}},
		Anonymous: policy.AnonymousLogin, Unenrolled: policy.UnenrolledAllow,
		Holds: []Hold{{For: caddy.Duration(time.Hour), After: []policy.Cause{policy.CauseSupport}}},
		Hosts: []string{"h"}, Conditions: []Condition{{Place: policy.InForm, Name: "a", Values: []string{"b"}}},
		NamedBy:     []Naming{{Source: policy.FromForm, Name: "email"}},
		Amounts:     []Amount{{Source: policy.FromForm, Name: "a", Operator: ">", Limit: "1"}},
		ExceptPaths: []string{"/b"}, ExceptMethods: []string{"GET"}, Mode: ModeReport,
	}
	want := policy.Rule{
		Name: "a", Paths: []string{"/a"}, Methods: []string{"POST"}, Factors: []policy.Factor{policy.TOTP}, MaxAge: time.Minute,
		SingleUse: true, Group: "g", Details: []policy.Detail{{Label: "amount", Source: policy.FromJSON, Name: "a.b"}},
		Anonymous: policy.AnonymousLogin, Unenrolled: policy.UnenrolledAllow,
		Holds: []policy.Hold{{For: time.Hour, After: []policy.Cause{policy.CauseSupport}}},
		Hosts: []string{"h"}, Conditions: []policy.Condition{{Place: policy.InForm, Name: "a", Values: []string{"b"}}},
		NamedBy:     []policy.Naming{{Source: policy.FromForm, Name: "email"}},
		Amounts:     []policy.Amount{{Source: policy.FromForm, Name: "a", Operator: ">", Limit: "1"}},
		ExceptPaths: []string{"/b"}, ExceptMethods: []string{"GET"}, Report: true,
	}
	if diff := cmp.Diff(want, r.policy()); diff != "" {
		t.Errorf("policy (-want +got):\n%s", diff)
	}
}

func TestConfiguredLimitsTakeThePlaceOfThoseOfTheirScope(t *testing.T) {
	s := SMS{Limits: []SMSLimit{
		{Scope: smsguard.PerNumber, Max: 2, Window: caddy.Duration(time.Hour)},
		{Scope: smsguard.PerNumber, Max: 3, Window: caddy.Duration(24 * time.Hour)},
	}}
	want := smsguard.DefaultLimits()
	want[smsguard.PerNumber] = []smsguard.Limit{{Max: 2, Window: time.Hour}, {Max: 3, Window: 24 * time.Hour}}
	if diff := cmp.Diff(want, s.limits()); diff != "" {
		t.Errorf("limits (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(smsguard.DefaultLimits(), new(SMS).limits()); diff != "" {
		t.Errorf("limits of nothing (-want +got):\n%s", diff)
	}
}
