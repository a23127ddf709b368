package policy

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestCompileFillsInDefaults(t *testing.T) {
	set := mustCompile(t,
		Rule{Name: "plain", Paths: []string{"/a"}},
		Rule{Name: "single", Paths: []string{"/b"}, SingleUse: true},
		Rule{
			Name: "full", Paths: []string{"/c", "/d*"}, Methods: []string{"post", "PUT", "Post"}, Factors: []Factor{SMS}, MaxAge: 24 * time.Hour,
			Group: "plain", Details: []Detail{{"to", FromJSON, "payee.account"}}, Anonymous: AnonymousLogin, Unenrolled: UnenrolledAllow,
		},
	)
	want := []Rule{
		{
			Name: "plain", Paths: []string{"/a"}, Factors: []Factor{TOTP, SMS, RecoveryKey}, MaxAge: 5 * time.Minute,
			Group: "plain", Anonymous: AnonymousRefuse, Unenrolled: UnenrolledEnrol,
		},
		{
			Name: "single", Paths: []string{"/b"}, Factors: []Factor{TOTP, SMS, RecoveryKey}, SingleUse: true,
			Group: "single", Anonymous: AnonymousRefuse, Unenrolled: UnenrolledEnrol,
		},
		{
			Name: "full", Paths: []string{"/c", "/d*"}, Methods: []string{"POST", "PUT"}, Factors: []Factor{SMS}, MaxAge: 24 * time.Hour,
			Group: "plain", Details: []Detail{{"to", FromJSON, "payee.account"}}, Anonymous: AnonymousLogin, Unenrolled: UnenrolledAllow,
		},
	}
	if diff := cmp.Diff(want, set.Rules()); diff != "" {
		t.Errorf("Rules (-want +got):\n%s", diff)
	}
	again, err := Compile(set.Rules())
	if err != nil {
		t.Fatalf("compiling compiled rules: %v", err)
	}
	if diff := cmp.Diff(want, again.Rules()); diff != "" {
		t.Errorf("Rules of compiled rules (-want +got):\n%s", diff)
	}
}

// A configuration that changes after it was checked would be one that nobody
// checked.
func TestASetSharesNothingWithItsCallers(t *testing.T) {
	fresh := func() []Rule {
		return []Rule{{Name: "a", Paths: []string{"/a"}, Methods: []string{"POST"}, Factors: []Factor{SMS}, Details: []Detail{{"to", FromForm, "x"}},
			Holds: []Hold{{time.Hour, []Cause{CauseSupport}}}}}
	}
	rules, want := fresh(), mustCompile(t, fresh()...).Rules()
	set := mustCompile(t, rules...)
	spoil := func(r Rule) {
		r.Paths[0], r.Methods[0], r.Factors[0], r.Details[0].Label = "/spoilt", "GET", TOTP, "spoilt"
		r.Holds[0].After[0], r.Holds[0].For = CauseRecovery, time.Minute
	}
	spoil(rules[0])
	spoil(set.Rules()[0])
	if diff := cmp.Diff(want, set.Rules()); diff != "" {
		t.Errorf("Rules after changes outside (-want +got):\n%s", diff)
	}
}

func TestCompileSaysWhatIsWrongAndWhatToWrite(t *testing.T) {
	path := func(p string) []Rule { return []Rule{{Name: "r", Paths: []string{"/ok", p}}} }
	with := func(change func(*Rule)) []Rule {
		r := Rule{Name: "r", Paths: []string{"/ok"}}
		change(&r)
		return []Rule{{Name: "other", Paths: []string{"/other"}}, r}
	}
	for _, c := range []struct {
		rules []Rule
		want  string
	}{
		{[]Rule{{Paths: []string{"/a"}}}, `compiling rule 1: it has no name: write one of a-z, 0-9 and _, such as "withdrawal"`},
		{[]Rule{{Name: "Bank-Account é"}}, `compiling rule 1: name "Bank-Account é" has characters other than a-z, 0-9 and _: write "bank_account__"`},
		{with(func(r *Rule) { r.Name = "other" }), `compiling rule "other": there is another rule of that name: write another name, or add the paths to the first`},
		{with(func(r *Rule) { r.Group = "my group" }), `compiling rule "r": group "my group" has characters other than a-z, 0-9 and _: write "my_group"`},
		{[]Rule{{Name: "r"}}, `compiling rule "r": no path is named: write at least one, such as "/wallet/withdraw", or "/*" for all`},

		{path(""), `compiling rule "r": a path is empty: write "/" for the front page, or "/*" for all`},
		{path("wallet"), `compiling rule "r": path "wallet" does not begin with "/": write "/wallet"`},
		{path("*"), `compiling rule "r": path "*" does not begin with "/": write "/*"`},
		{path("https://casino.example/wallet?x=y"), `compiling rule "r": path "https://casino.example/wallet?x=y" is a whole URL: write "/wallet"`},
		{path("https://casino.example"), `compiling rule "r": path "https://casino.example" is a whole URL: write "/"`},
		{path("/wallet?tab=1"), `compiling rule "r": path "/wallet?tab=1" has a query or a fragment: write "/wallet"`},
		{path("/wallet#top"), `compiling rule "r": path "/wallet#top" has a query or a fragment: write "/wallet"`},
		{path("/my%20wallet"), `compiling rule "r": path "/my%20wallet" is percent-encoded: write "/my wallet"`},
		{path("/100%"), `compiling rule "r": path "/100%" is percent-encoded: write "/100"`},
		{path("/wallet;v=1/x"), `compiling rule "r": path "/wallet;v=1/x" has path parameters: write "/wallet/x"`},
		{path(`/wallet\x`), `compiling rule "r": path "/wallet\\x" has a backslash: write "/wallet/x"`},
		{path("/api/**"), `compiling rule "r": path "/api/**" has "*" beside other text of a segment before its end: write "/api/*"`},
		{path("//wallet/*"), `compiling rule "r": path "//wallet/*" has an empty segment: write "/wallet/*"`},
		{path("/x/../wallet*"), `compiling rule "r": path "/x/../wallet*" has a dot segment: write "/wallet*"`},
		{path("/wallet/."), `compiling rule "r": path "/wallet/." has a dot segment: write "/wallet"`},
		{path("/wallet/..*"), `compiling rule "r": path "/wallet/..*" has a dot segment: write "/*"`},
		{path("/wallet./x"), `compiling rule "r": path "/wallet./x" has a segment that begins or ends with a space, or ends with a dot: write "/wallet/x"`},
		{path("/wallet/x "), `compiling rule "r": path "/wallet/x " has a segment that begins or ends with a space, or ends with a dot: write "/wallet/x"`},
		{path("/ wallet/x*"), `compiling rule "r": path "/ wallet/x*" has a segment that begins or ends with a space, or ends with a dot: write "/wallet/x*"`},
		{path("/wal\u200blet"), `compiling rule "r": path "/wal\u200blet" has a character that cannot be seen: write "/wallet"`},
		{path("/wallet\x00"), `compiling rule "r": path "/wallet\x00" has a character that cannot be seen: write "/wallet"`},
		{path("/wal\xfflet"), `compiling rule "r": path "/wal\xfflet" has a character that cannot be seen: write "/wallet"`},
		{path("/ｗallet"), `compiling rule "r": path "/ｗallet" has a look-alike of an ASCII character: write "/wallet"`},

		{with(func(r *Rule) { r.Methods = []string{"GET", "POST PUT"} }), `compiling rule "r": method "POST PUT" is not a method: write one such as "POST", each on its own`},
		{with(func(r *Rule) { r.Methods = []string{""} }), `compiling rule "r": method "" is not a method: write one such as "POST", each on its own`},
		{with(func(r *Rule) { r.Factors = []Factor{} }), `compiling rule "r": no factor is named: write at least one of totp, sms and recovery_key, or leave factors out for all`},
		{with(func(r *Rule) { r.Factors = []Factor{SMS, "email"} }), `compiling rule "r": factor "email" is not known: write totp, sms or recovery_key`},
		{with(func(r *Rule) { r.Factors = []Factor{SMS, TOTP, SMS} }), `compiling rule "r": factor "sms" is named twice: write it once`},
		{with(func(r *Rule) { r.SingleUse, r.MaxAge = true, time.Minute }), `compiling rule "r": single_use asks for every request, so max_age 1m0s says nothing: write one of the two`},
		{with(func(r *Rule) { r.MaxAge = time.Second - 1 }), `compiling rule "r": max_age 999.999999ms is too short: write 1s to 24h, or single_use to ask for every request`},
		{with(func(r *Rule) { r.MaxAge = -time.Hour }), `compiling rule "r": max_age -1h0m0s is too short: write 1s to 24h, or single_use to ask for every request`},
		{with(func(r *Rule) { r.MaxAge = 24*time.Hour + 1 }), `compiling rule "r": max_age 24h0m0.000000001s is too long: write 1s to 24h`},
		{with(func(r *Rule) { r.Anonymous = "pass" }), `compiling rule "r": anonymous "pass" is not known: write refuse or login`},
		{with(func(r *Rule) { r.Unenrolled = "enroll" }), `compiling rule "r": unenrolled "enroll" is not known: write enrol, registered_phone or allow`},
		{with(func(r *Rule) { r.Details = []Detail{{"", FromForm, "amount"}} }), `compiling rule "r": the detail from form.amount has no label: write one, such as amount or to`},
		{with(func(r *Rule) { r.Details = []Detail{{"amount", "body", "amount"}} }), `compiling rule "r": detail "amount" comes from "body", which is not known: write form, json or query`},
		{with(func(r *Rule) { r.Details = []Detail{{"amount", FromJSON, ""}} }), `compiling rule "r": detail "amount" names no field: write one, such as {json.amount}`},
		{with(func(r *Rule) { r.Details = []Detail{{"amount", FromJSON, "a..b"}} }), `compiling rule "r": detail "amount" has the JSON path "a..b" with an empty name: write the names with one dot between them`},
	} {
		set, err := Compile(c.rules)
		if err == nil || err.Error() != c.want || set != nil {
			t.Errorf("Compile(%+v)\n got %v\nwant %s", c.rules[len(c.rules)-1], err, c.want)
		}
	}
}

// What an error tells the operator to write must not be wrong again.
func TestCompileAcceptsWhatItSuggests(t *testing.T) {
	for _, p := range []string{
		"/", "/*", "/wallet", "/wallet/", "/my wallet", "/wallet*", "/wallet/*", "/wallet/withdraw.php", "/wallet/withdraw.*", "/~user/@x:y", "/提现", "/18+/x",
		"/.well-known/x", "/a.b.c/d",
	} {
		set, err := Compile([]Rule{{Name: "r", Paths: []string{p}}})
		if err != nil {
			t.Errorf("Compile(path %q): %v", p, err)
			continue
		}
		target := p
		if p[len(p)-1] == '*' {
			target = p[:len(p)-1] + "x"
		}
		for _, target := range []string{target, encodeBytes(target, func(byte) bool { return true })} {
			if d := decidePath(set, "GET", target); len(d.Rules) != 1 || d.Refuse != "" {
				t.Errorf("path %q: Decide(%q) = %s, want the rule", p, target, describe(d))
			}
		}
	}
}

// Operators copy paths from the address bar. A site that answers one of these
// answers the others.
func TestARulePathStandsForThePathsThatItCannotBeToldFrom(t *testing.T) {
	for _, c := range []struct {
		path          string
		targets, none []string
	}{
		{"/", []string{"/", "", "/index.php", "/index", "/Default.aspx", "//", "/?x"}, []string{"/x", "/.well-known", "/default", "/indexes"}},
		{"/shop/index.php", []string{"/shop/index.php", "/shop/", "/shop", "/shop/index.php/x"}, []string{"/shop/x", "/"}},
		{"/Shop/Index", []string{"/shop/index", "/shop/", "/shop/index.html"}, []string{"/shop/indexes"}},
		{"/index.php/wallet/send", []string{"/index.php/wallet/send", "/wallet/send", "/Wallet/Send.json"}, []string{"/index.php/wallet", "/index.php"}},
		{"/index.php/wallet/*", []string{"/index.php/wallet/x", "/wallet/x", "/wallet", "/index.php/wallet"}, []string{"/wallets", "/index.php"}},
		{"/wallet/send/", []string{"/wallet/send", "/wallet/send/", "/wallet/send.json", "/wallet/send/.json", "/wallet/send%2f%2ejson"}, []string{"/wallet/send/x"}},
		{"/wallet/send.*", []string{"/wallet/send.json", "/wallet/send.", "/WALLET/SEND.CSV"}, []string{"/wallet/send", "/wallet/sends"}},
		{"/wallet/with draw", []string{"/wallet/with%20draw", "/wallet/with+draw", "/wallet/with%2520draw"}, []string{"/wallet/with", "/wallet/withdraw", "/wallet/with-draw"}},
		{"/18+/x", []string{"/18+/x", "/18%2b/x"}, []string{"/18/y"}},
	} {
		set := mustCompile(t, Rule{Name: "r", Paths: []string{c.path}})
		for _, target := range c.targets {
			if d := decidePath(set, "GET", target); len(d.Rules) != 1 || d.Refuse != "" {
				t.Errorf("path %q: Decide(%q) = %s, want the rule", c.path, target, describe(d))
			}
		}
		for _, target := range c.none {
			if d := decidePath(set, "GET", target); len(d.Rules) != 0 || d.Refuse != "" {
				t.Errorf("path %q: Decide(%q) = %s, want not protected", c.path, target, describe(d))
			}
		}
	}
}
