package caddymodule

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

// typed runs a command as if it was typed, and returns what it prints.
func typed(t *testing.T, prepare func(*cobra.Command, *bytes.Buffer), args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd := &cobra.Command{Use: "x", SilenceUsage: true, SilenceErrors: true}
	prepare(cmd, &out)
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

func checked(t *testing.T, caddyfile string, args ...string) (string, error) {
	t.Helper()
	return typed(t, func(cmd *cobra.Command, out *bytes.Buffer) {
		(&checkCLI{out: out, client: &http.Client{Timeout: 5 * time.Second}}).prepare(cmd)
	}, append([]string{"--config", written(t, caddyfile)}, args...)...)
}

func written(t *testing.T, caddyfile string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "Caddyfile")
	if err := os.WriteFile(file, []byte(caddyfile), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// siteOf is a Caddyfile with a site that has these lines in its step_up block, and
// whatever follows.
func siteOf(lines, more string) string {
	return "{\n\tstepgate {\n\t\tbrand x\n\t}\n}\ncasino.example {\n\tstep_up {\n\t\tidentity placeholder {http.auth.user.id}\n" + lines +
		"\n\t}\n\treverse_proxy 127.0.0.1:8080\n}\n" + more
}

// serverOf is siteOf with options of the server, and more servers; the last of which, at
// port 81, trusts proxies.
func serverOf(options, more string) string {
	return strings.Replace(siteOf(withdrawal, more), "{\n\tstepgate",
		"{\n\tservers :443 {\n"+options+"\n\t}\n\tservers :81 {\n\t\ttrusted_proxies static 10.0.0.1/32\n\t}\n\tstepgate", 1)
}

const withdrawal = "protect withdrawal {\n path /wallet/withdraw\n method POST\n factors totp\n}\n"

// resetRule is a password reset with these further lines.
func resetRule(lines string) string {
	return "protect reset {\n path /password/reset\n identity form.email\n factors totp\n " + lines + "\n}\n"
}

func TestCheckFindsWaysAroundAndRulesThatDoNothing(t *testing.T) {
	for name, c := range map[string]struct {
		caddyfile string
		want      string
		wrong     bool
	}{
		"another host": {siteOf("protect a {\n path /a\n host other.example\n factors totp\n}", ""), `error   casino.example: a: it never matches: the site does not serve the host "other.example"`, true},
		"own prefix":   {siteOf("protect a {\n path /.stepgate/x\n factors totp\n}", ""), "error   casino.example: a: it never matches: everything below /.stepgate is the gateway's own", true},
		"a second way": {siteOf(withdrawal, "admin.example {\n reverse_proxy 127.0.0.1:8080\n}"), `error   admin.example: the site at "127.0.0.1:8080" is reached here without step_up`, true},
		"a second handle": {
			siteOf(withdrawal, "m.example {\n handle /a* {\n step_up {\n identity placeholder {http.auth.user.id}\n }\n reverse_proxy 127.0.0.1:9000\n }\n handle {\n reverse_proxy 127.0.0.1:9000\n }\n}"),
			`error   m.example: the site at "127.0.0.1:9000" is reached here without step_up`, true,
		},
		"a second name": {siteOf(withdrawal, "admin.example {\n reverse_proxy localhost:8080\n}"), `error   admin.example: the site at "127.0.0.1:8080" is reached here`, true},
		"behind every answer": {
			siteOf(withdrawal, "m.example {\n route {\n reverse_proxy 127.0.0.1:9000\n step_up {\n identity placeholder {http.auth.user.id}\n }\n }\n}"),
			"error   m.example: reverse_proxy answers before step_up, so that nothing is protected", true,
		},
		"behind the proxy": {
			siteOf(withdrawal, "m.example {\n route {\n file_server /x/*\n step_up {\n identity placeholder {http.auth.user.id}\n }\n }\n}"),
			"warning m.example: file_server answers before step_up", false,
		},
		"errors":                        {siteOf(withdrawal, "m.example {\n handle_errors {\n file_server\n }\n}"), "handle_errors serves by file_server", false},
		"a duplicate":                   {siteOf(withdrawal+"protect b {\n path /wallet/withdraw\n method POST\n factors totp\n}", ""), "b: it protects the same requests as withdrawal", false},
		"an asset":                      {siteOf("protect a {\n path /app.js\n factors totp\n}", ""), "/app.js looks like a file that pages load by themselves", false},
		"graphql":                       {siteOf("protect a {\n path /graphql\n factors totp\n}", ""), "/graphql is one path for everything", false},
		"report mode":                   {siteOf("mode report\n"+withdrawal, ""), "withdrawal: it is in report mode and protects nothing", false},
		"allow":                         {siteOf("protect a {\n path /a\n factors totp\n unenrolled allow\n}", ""), "players without a second factor pass it", false},
		"a reset without names":         {siteOf(resetRule("method POST"), ""), "the identity source names no login, email or phone", false},
		"a reset that asks of its page": {siteOf(resetRule(""), ""), "it asks of the page of the form too", false},
		"a reset for who has a factor":  {siteOf(resetRule("method POST\n unenrolled enrol"), ""), "players without a second factor cannot pass it", false},
		"devices without a logout":      {siteOf("login_page /login\nnew_device", ""), "new_device: no logout is named: players on new devices cannot leave without a code", false},
		"devices without a login":       {siteOf("logout /logout\nnew_device", ""), "new_device: no login is named", false},
		"devices and pictures":          {siteOf("login_page /login\nlogout /logout\nnew_device", ""), "new_device: it covers scripts, styles and pictures too", false},
		"a logout of the wallet":        {siteOf("logout /wallet/*\n"+withdrawal, ""), "withdrawal: logout /wallet/* takes /wallet/withdraw for a logout: what a player has confirmed ends with each request there; write", false},
		"a wide logout":                 {siteOf("login_page /login\nlogout /account/*\nnew_device {\n factors totp\n}", ""), "note    casino.example: new_device: logout /account/* leaves alone all that begins so", false},
		"a login of the wallet":         {siteOf("login /wallet/withdraw\n"+withdrawal, ""), "withdrawal: login /wallet/withdraw takes /wallet/withdraw for a login", false},
		"nothing else of devices":       {siteOf("login_page /login\nlogin /api/login\nlogout /logout\nnew_device {\n except path /assets/*\n factors totp\n}\n"+withdrawal, ""), "note ", false},
		"nothing else of a reset": {
			strings.Replace(siteOf(resetRule("method POST")+"protect other {\n path /password/reset\n method POST\n factors totp\n}", ""), "{http.auth.user.id}\n", "{http.auth.user.id} {\n email {http.auth.user.email}\n}\n", 1), "note ", false,
		},
		"doors":                           {siteOf(withdrawal, ""), "if the site is made with nextjs, write profile nextjs: data routes", false},
		"open doors":                      {siteOf("profile nextjs\n"+withdrawal, ""), "profile nextjs leaves open: server actions", false},
		"public site":                     {strings.Replace(siteOf(withdrawal, ""), "127.0.0.1:8080", "203.0.113.5:80", 1), `the site is at "203.0.113.5:80", which is not a private address`, false},
		"every host":                      {strings.Replace(siteOf("protect a {\n path /a\n host x.example\n factors totp\n}", ""), "casino.example {", ":443 {", 1), "the site block takes every host, and the rule protects only x.example", false},
		"loose proxy":                     {serverOf("trusted_proxies static 10.0.0.1/32", ""), "warning the server at :443: trusted_proxies without trusted_proxies_strict takes an address that the client chose", false},
		"loose socket":                    {serverOf("trusted_proxies_unix", ""), "warning the server at :443: trusted_proxies_unix without trusted_proxies_strict", false},
		"socket":                          {strings.Replace(siteOf(withdrawal, ""), "\tstep_up", "\tbind unix//run/x.sock\n\tstep_up", 1), "warning the server at unix//run/x.sock: clients that come over a unix socket have no address", false},
		"nothing else":                    {siteOf(withdrawal, ""), "note ", false},
		"nothing else of a strict server": {serverOf("trusted_proxies static 10.0.0.1/32\n trusted_proxies_unix\n trusted_proxies_strict", ""), "note ", false},
		"nothing else of another server":  {serverOf("", "http://x.example:81 {\n respond x\n}\n"), "note ", false},
	} {
		out, err := checked(t, c.caddyfile)
		if !strings.Contains(out, c.want) || (err != nil) != c.wrong {
			t.Errorf("%s: check = %v, want an error: %v, and %q:\n%s", name, err, c.wrong, c.want, out)
		}
		if strings.HasPrefix(name, "nothing else") && (strings.Contains(out, "error") || strings.Contains(out, "warning")) {
			t.Errorf("a sound configuration is found fault with:\n%s", out)
		}
	}
}

func TestCheckSaysWhatItCannotRead(t *testing.T) {
	for caddyfile, want := range map[string]string{
		"{\n\tstepgate {\n\t\tbrand x\n\t}\n}\ncasino.example {\n\treverse_proxy 127.0.0.1:8080\n}\n": "no step_up block",
		siteOf("protect a {\n path wallet\n}", ""):                                                    `path "wallet" does not begin with "/"`,
	} {
		if _, err := checked(t, caddyfile); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("check = %v, want %q", err, want)
		}
	}
}

func TestCheckAsksTheSiteWhatItIsMadeWith(t *testing.T) {
	asked := map[string]bool{}
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked[r.Method] = true
		w.Header().Set("X-Powered-By", "Express")
		http.SetCookie(w, &http.Cookie{Name: "laravel_session", Value: "x"})
		http.Redirect(w, r, "https://elsewhere.invalid/", http.StatusFound)
	}))
	defer site.Close()
	out, err := checked(t, siteOf("profile express\n"+withdrawal, ""), "--against", site.URL)
	if err != nil || !strings.Contains(out, "look like laravel: write profile laravel") || strings.Contains(out, "look like express") {
		t.Errorf("check = %v:\n%s", err, out)
	}
	if len(asked) != 1 || !asked["GET"] {
		t.Errorf("the site was asked by %v, want GET alone", asked)
	}
	if _, err := checked(t, siteOf(withdrawal, ""), "--against", "nonsense"); err == nil || !strings.Contains(err.Error(), "is no address of a site") {
		t.Errorf("check --against nonsense = %v", err)
	}
}

func TestExplainReadsTheConfiguration(t *testing.T) {
	config := written(t, siteOf(withdrawal, ""))
	other := written(t, strings.Replace(siteOf(withdrawal, "admin.example {\n reverse_proxy 127.0.0.1:8080\n}"), "casino.example {", ":443 {", 1))
	shut := written(t, "{\n stepgate {\n brand x\n }\n}\ncasino.example {\n route {\n reverse_proxy 127.0.0.1:8080\n step_up {\n identity placeholder {http.auth.user.id}\n "+withdrawal+"\n }\n }\n}")
	small := written(t, siteOf("max_body 1KiB\nprotect pay {\n path /pay\n form action pay\n factors totp\n}", ""))
	log := filepath.Join(t.TempDir(), "access.log")
	if err := os.WriteFile(log, []byte(`{"request":{"client_ip":"192.0.2.1","method":"POST","host":"casino.example","uri":"/wallet/withdraw"}}`+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want string // of what is printed, or of the error
	}{
		{[]string{"POST", "https://casino.example/x/..;/wallet/withdraw"}, "=> a challenge, opens for 5m0s, by totp"},
		{[]string{"--json", "POST", "https://casino.example/wallet/withdraw"}, `"outcome": "challenge"`},
		{[]string{"-H", "X-Original-URL: /wallet/withdraw", "-d", "a=b", "POST", "https://casino.example/"}, "from the header X-Original-Url"},
		{[]string{"--log", log}, "rule withdrawal: 1 requests without a grant challenged"},
		{[]string{"--log", log, "--json"}, `"challenged": 1`},
		{[]string{"GET", "https://other.example/"}, `no step_up block serves the host "other.example"`},
		{[]string{"GET"}, "write a method and a URL"},
		{[]string{"--log", log, "GET", "x"}, "leave out method and URL"},
		{[]string{"--log", "no-such-file"}, "opening access log"},
		{[]string{"--config", other, "POST", "https://admin.example/wallet/withdraw"}, `no step_up block serves the host "admin.example"`},
		{[]string{"--config", other, "POST", "https://x.example/wallet/withdraw"}, "=> a challenge"},
		{[]string{"--config", shut, "POST", "https://casino.example/wallet/withdraw"}, "reverse_proxy answers before step_up"},
		{[]string{"--config", small, "-d", "a=" + strings.Repeat("x", 1<<11), "POST", "https://casino.example/pay"}, "=> a challenge"},
		{[]string{"--json", "POST", "https://casino.example/wallet/withdraw?\u202e"}, `"outcome": "challenge"`},
	} {
		out, err := typed(t, func(cmd *cobra.Command, out *bytes.Buffer) {
			(&explainCLI{in: strings.NewReader(""), out: out}).prepare(cmd)
		}, append([]string{"--config", config}, c.args...)...)
		if err != nil {
			out += err.Error()
		}
		if !strings.Contains(out, c.want) || strings.ContainsRune(out, '\u202e') {
			t.Errorf("explain %q does not say %q:\n%s", c.args, c.want, out)
		}
	}
}
