package explain

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stepgate/stepgate/policy"
)

func site(tb testing.TB, hosts ...string) *Site {
	tb.Helper()
	set, err := policy.Compile([]policy.Rule{
		{
			Name: "withdrawal", Paths: []string{"/wallet/withdraw"}, Methods: []string{"POST"}, SingleUse: true,
			Details: []policy.Detail{{Label: "amount", Source: policy.FromForm, Name: "amount"}},
			Holds: []policy.Hold{
				{For: 24 * time.Hour, After: []policy.Cause{policy.CauseFactorChange, policy.CauseRecovery}},
				{For: time.Hour, After: []policy.Cause{policy.CauseSupport}},
			},
		},
		{Name: "rpc", Paths: []string{"/rpc"}, Conditions: []policy.Condition{{Place: policy.InJSON, Name: "method", Values: []string{"withdraw"}}}},
		{
			Name: "reset", Paths: []string{"/password/reset"}, SingleUse: true,
			NamedBy: []policy.Naming{{Source: policy.FromForm, Name: "email"}, {Source: policy.FromJSON, Name: "user.email"}},
		},
		{Name: "account", Paths: []string{"/password/reset/mine"}},
		{
			Name: "mine", Paths: []string{"/password/reset/mine"}, NamedBy: []policy.Naming{{Source: policy.FromQuery, Name: "login"}},
		},
		{Name: "trial", Paths: []string{"/trial"}, Report: true},
		{Kind: policy.NewDevice, Name: "new_device", Paths: []string{"/lobby/*"}, ExceptPaths: []string{"/lobby/logout"}},
		{Kind: policy.Login, Name: "site_login", Paths: []string{"/login"}},
		{Kind: policy.Logout, Name: "site_logout", Paths: []string{"/lobby/logout"}},
	})
	if err != nil {
		tb.Fatal(err)
	}
	return &Site{Hosts: hosts, Rules: set, Prefix: "/.stepgate", Settings: "/lobby/security"}
}

func explained(t *testing.T, method, url, body string, known bool) string {
	t.Helper()
	var content []byte
	if known {
		content = []byte(body)
	}
	r, err := NewRequest(method, url, nil, content)
	if err != nil {
		t.Fatal(err)
	}
	report, err := Explain(site(t, "casino.example"), r)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := report.Print(&b, false); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestExplainSaysWhatARequestMeets(t *testing.T) {
	for _, c := range []struct {
		method, url, body string
		known             bool
		want              []string
	}{
		{"POST", "https://casino.example/x/..;/wallet/%77ithdraw", "amount=1", true, []string{
			"rule withdrawal applies", "met       method POST", "=> a challenge, for this request alone, by totp, sms; it shows amount",
			"; refused for 24h0m0s after factor_change, recovery; refused for 1h0m0s after support; nobody logged in",
			`read as "/wallet/withdraw" by decode, params, resolve`, "--all prints them",
		}},
		{"GET", "https://casino.example/wallet/withdraw", "", false, []string{"rule withdrawal does not apply", "not met   method POST", "=> it goes on"}},
		{"POST", "https://casino.example/rpc", "", false, []string{"rule rpc may apply", "depends   json method withdraw", "=> it depends on the body"}},
		{"POST", "https://casino.example/rpc", `{"method":"withdraw"}`, true, []string{"rule rpc applies", "=> a challenge, opens for 5m0s"}},
		{"POST", "https://casino.example/rpc", `{"method":"play"}`, true, []string{"rule rpc does not apply", "=> it goes on"}},
		{"POST", "https://casino.example/wallet/withdraw%00", "", true, []string{"=> refused with 400 (control_byte)"}},
		{"POST", "https://casino.example/password/reset", "email=budi", true, []string{
			"rule reset applies, and asks the account that form.email or json.user.email names, wherever it stands",
			"=> a challenge, for this request alone, by totp, sms, recovery_key; to the account that is named, whoever is logged in",
		}},
		{"POST", "https://casino.example/password/reset/mine", "", true, []string{
			"rule account applies\n", "rule mine applies, and asks the account that query.login names",
			"=> a challenge, opens for 5m0s, by totp, sms, recovery_key; nobody logged in: refuse; no factor yet: enrol\n  => a challenge, opens for 5m0s",
		}},
		{"GET", "https://casino.example/trial", "", true, []string{"rule trial applies, but only REPORTS", "=> it goes on"}},
		{"GET", "https://casino.example/lobby/1", "", true, []string{
			"rule new_device applies, to players whose browser is not trusted", "=> a challenge, opens for 24h0m0s", "; nobody logged in: it goes on; ",
		}},
		{"POST", "https://casino.example/lobby/logout", "", true, []string{
			"rule new_device does not apply", "rule site_logout applies, and holds nothing back: it names a logout", "=> it goes on",
		}},
		{"GET", "https://casino.example/lobby/security", "", true, []string{"casino.example:\n  => the gateway's own"}},
		{"POST", "https://casino.example/.stepgate/security/totp", "", true, []string{"casino.example:\n  => the gateway's own"}},
		{"GET", "https://casino.example/.stepgate.js", "", true, []string{"=> it goes on"}},
		{"GET", "https://casino.example", "", true, []string{"no rule has a path that any reading of this request hits", "=> it goes on"}},
	} {
		got := explained(t, c.method, c.url, c.body, c.known)
		for _, want := range c.want {
			if !strings.Contains(got, want) {
				t.Errorf("%s %s %s does not say %q:\n%s", c.method, c.url, c.body, want, got)
			}
		}
	}
}

func TestATargetThatNoServerTakesIsSaid(t *testing.T) {
	r, err := NewRequest("GET", "https://casino.example/%zz", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Explain(site(t), r); err == nil || !strings.Contains(err.Error(), "400") {
		t.Errorf("Explain = %v, want that the server answers 400", err)
	}
}

func TestRequestsThatAreNoneAreNamed(t *testing.T) {
	for _, c := range []struct{ url, header, want string }{
		{"/wallet", "", `"/wallet" is no URL`},
		{"https:///wallet", "", "names no host"},
		{"https://casino.example/", "no colon", `"no colon" is no header`},
	} {
		var headers []string
		if c.header != "" {
			headers = []string{c.header}
		}
		if _, err := NewRequest("GET", c.url, headers, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("NewRequest(%q, %q) = %v, want %q", c.url, c.header, err, c.want)
		}
	}
}

func TestHostsLeadToTheirSite(t *testing.T) {
	s := &Site{Hosts: []string{"casino.example", "*.wallet.example"}}
	for host, want := range map[string]bool{
		"casino.example": true, "CASINO.example:8443": true, "casino.example.": true, "id.wallet.example": true,
		"wallet.example": false, "a.b.wallet.example": false, "other.example": false, "": false,
	} {
		if got := s.Serves(host); got != want {
			t.Errorf("Serves(%q) = %v, want %v", host, got, want)
		}
	}
}

func line(user, ip, method, host, uri string) string {
	return fmt.Sprintf(`{"level":"info","logger":"http.log.access","user_id":%q,"request":{"client_ip":%q,"method":%q,"host":%q,"uri":%q,"headers":{"Cookie":["REDACTED"]}}}`+"\n",
		user, ip, method, host, uri)
}

func TestReplayCountsRequestsAndPlayersByRule(t *testing.T) {
	log := line("budi", "192.0.2.1", "POST", "casino.example", "/wallet/withdraw") +
		line("budi", "192.0.2.2", "POST", "casino.example", "/WALLET/withdraw?x") +
		line("", "192.0.2.3", "POST", "casino.example:443", "/wallet//withdraw") +
		line("", "192.0.2.3", "POST", "casino.example", "/rpc") +
		line("", "192.0.2.3", "GET", "casino.example", "/games") +
		line("", "192.0.2.3", "GET", "other.example", "/wallet/withdraw") +
		line("", "192.0.2.3", "POST", "casino.example", "/wallet/withdraw%00") +
		"not JSON\n{}\n" + strings.Repeat("x", 2*maxLine) + "\n" +
		strings.TrimSuffix(line("", "192.0.2.4", "POST", "casino.example", "/wallet/withdraw"), "\n")
	tally, err := Replay(strings.NewReader(log), []*Site{site(t, "casino.example")})
	if err != nil {
		t.Fatal(err)
	}
	if tally.Lines != 11 || tally.Requests != 7 || tally.GoesOn != 1 || tally.Refused != 1 || tally.Others != 3 {
		t.Errorf("tally = %+v", tally)
	}
	if r := tally.Rules["withdrawal"]; r.Challenged != 4 || r.Players != 3 || r.Depends != 0 {
		t.Errorf("withdrawal = %+v, want 4 requests of 3 players", r)
	}
	if r := tally.Rules["rpc"]; r.Challenged != 0 || r.Depends != 1 || r.Players != 1 {
		t.Errorf("rpc = %+v, want 1 that depends", r)
	}
	var b strings.Builder
	if err := tally.Print(&b); err != nil {
		t.Fatal(err)
	}
	if want := `refused 1 times: "/wallet/withdraw%00"`; !strings.Contains(b.String(), want) {
		t.Errorf("the tally does not say %s:\n%s", want, b.String())
	}
}

// What only names a login or a logout holds no request back, and the gateway's own pages
// are nobody's play. A log does not tell visitors from players.
func TestReplayTellsNewDevicesFromWhatHoldsNothingBack(t *testing.T) {
	var log strings.Builder
	for _, uri := range []string{"/login", "/lobby/logout", "/lobby/1", "/lobby/2", "/lobby/security", "/.stepgate/assets/a.css"} {
		log.WriteString(line("budi", "192.0.2.1", "POST", "casino.example", uri))
	}
	tally, err := Replay(strings.NewReader(log.String()), []*Site{site(t, "casino.example")})
	if err != nil {
		t.Fatal(err)
	}
	if tally.Requests != 6 || tally.GoesOn != 2 || tally.Own != 2 || tally.Rules["new_device"].Challenged != 2 {
		t.Errorf("tally = %+v", tally)
	}
	var b strings.Builder
	if err := tally.Print(&b); err != nil {
		t.Fatal(err)
	}
	if got := b.String(); strings.Contains(got, "site_lo") || !strings.Contains(got, "rule new_device: 2 requests that players on new devices would be challenged at, of 1 visitors and players") {
		t.Errorf("the tally says:\n%s", got)
	}
}

// Whoever writes the log's requests is an attacker.
func FuzzReplay(f *testing.F) {
	f.Add(line("budi", "192.0.2.1", "POST", "casino.example", "/wallet/withdraw"))
	f.Add(line("", "", "", "", "//%00\x1b[2J"))
	f.Add(`{"request":{"uri":"*","method":"OPTIONS"}}`)
	f.Add("\n\n{}\n[]")
	sites := []*Site{site(f)}
	f.Fuzz(func(t *testing.T, log string) {
		tally, err := Replay(strings.NewReader(log), sites)
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		if err := tally.Print(&b); err != nil {
			t.Fatal(err)
		}
		if strings.ContainsFunc(b.String(), func(r rune) bool { return r < ' ' && r != '\n' || r == 0x7f }) {
			t.Errorf("a control character of the log is printed: %q", b.String())
		}
	})
}

func BenchmarkReplay(b *testing.B) {
	sites := []*Site{site(b, "casino.example")}
	log := strings.Repeat(line("budi", "192.0.2.1", "GET", "casino.example", "/games/slots/book-of-luck?lang=id"), 1000)
	b.SetBytes(int64(len(log)))
	for b.Loop() {
		if _, err := Replay(strings.NewReader(log), sites); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(1000*b.N)/b.Elapsed().Seconds(), "lines/s")
}
