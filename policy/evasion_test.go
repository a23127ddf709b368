package policy

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// evasionSet holds the rules that the evasions try to get past: an exact path, a
// path and all below, a prefix, a script, and one outside ASCII.
func evasionSet(tb testing.TB) *Set {
	tb.Helper()
	return mustCompile(tb,
		Rule{Name: "withdrawal", Paths: []string{"/wallet/withdraw"}, Methods: []string{"POST"}},
		Rule{Name: "vault", Paths: []string{"/vault/*"}},
		Rule{Name: "admin", Paths: []string{"/admin*"}},
		Rule{Name: "payout", Paths: []string{"/pay/send.php"}},
		Rule{Name: "kelime", Paths: []string{"/提现/ÉTÉ"}},
		Rule{Name: "kiosk", Paths: []string{"/kiosk/staff"}},
	)
}

// evasions are spellings that some router, framework or proxy reads as the path
// of the rule.
var evasions = map[string][]string{
	"withdrawal": {
		"/wallet/withdraw", "/wallet/withdraw/", "/wallet/withdraw//", "/WALLET/WITHDRAW", "/Wallet/wIthdraw/",
		// dot segments and slashes
		"//wallet/withdraw", "///wallet///withdraw", "/wallet//withdraw", "/./wallet/withdraw", "/wallet/./withdraw",
		"/wallet/withdraw/.", "/wallet/withdraw/./", "/x/../wallet/withdraw", "/../wallet/withdraw", "/../../wallet/withdraw",
		"/wallet/x/../withdraw", "/wallet/withdraw/x/..", "/wallet/../wallet/withdraw", "/wallet//../withdraw", "/x//../../wallet/withdraw",
		"/x/y/../../wallet/withdraw", "/x/..//wallet/withdraw", "/wallet/withdraw/x/../", "/a/b/c/../../../wallet/./withdraw",
		// percent-encoding, once and again
		"/%77allet/withdraw", "/wallet/%77ithdraw", "/wallet/%57ITHDRAW", "/wallet%2fwithdraw", "/wallet%2Fwithdraw", "%2fwallet%2fwithdraw",
		"/%2fwallet/withdraw", "/wallet/withdraw%2f", "/wallet%252fwithdraw", "/%2577allet/withdraw", "/%25%37%37allet/withdraw",
		"/%252577allet/withdraw", "/wallet%25252fwithdraw", "/%77%61%6c%6c%65%74%2f%77%69%74%68%64%72%61%77", "/wallet/%2577ithdraw",
		"/x/%2e%2e/wallet/withdraw", "/x/%2E%2E/wallet/withdraw", "/x/.%2e/wallet/withdraw", "/x/%2e./wallet/withdraw", "/x/..%2fwallet/withdraw",
		"/x/%2e%2e%2fwallet/withdraw", "/x%2f..%2fwallet%2fwithdraw", "/x/%252e%252e/wallet/withdraw", "/x/%252e%252e%252fwallet/withdraw",
		"/%2e/wallet/withdraw", "/wallet/%2e/withdraw", "/wallet/withdraw/%2e", "/wallet/withdraw/x/%2e%2e", "/wallet/x/..%2fwithdraw",
		"/x%2fy/../%77allet/withdraw", "/x%252fy/../wallet/withdraw", "/%u0077allet/withdraw", "/wallet%u002fwithdraw", "/%25u0077allet/withdraw",
		"/%%37%37allet/withdraw", "/x/..%252f..%252fwallet/withdraw",
		// backslashes
		`/wallet\withdraw`, `\wallet\withdraw`, `/x\..\wallet\withdraw`, `/x/..\wallet/withdraw`, "/wallet%5cwithdraw", "/wallet%5Cwithdraw",
		"/x/%5c../wallet/withdraw", "/x%5c..%5cwallet%5cwithdraw", "/wallet%255cwithdraw", `/wallet/withdraw\`, "/wallet/withdraw%5c", `/\wallet/withdraw`,
		`/a\b/../wallet/withdraw`, "/%5cwallet/withdraw",
		// parameters
		"/wallet/withdraw;", "/wallet/withdraw;a=b", "/wallet;a=b/withdraw", "/wallet;/withdraw;/", "/;/wallet/withdraw", "/;a=b/wallet/withdraw",
		"/x/..;/wallet/withdraw", "/x/..;a=b/wallet/withdraw", "/x/.;/../wallet/withdraw", "/.;/wallet/withdraw", "/x/%2e%2e;/wallet/withdraw",
		"/x/..%3b/wallet/withdraw", "/x/%2e%2e%3ba=b/wallet/withdraw", "/wallet/withdraw%3bjsessionid=1", "/wallet/withdraw;jsessionid=1/x",
		"/wallet/withdraw;jsessionid=1.node", "/wallet/withdraw%253b", "/wallet/withdraw.json;a=b", "/..;/wallet/withdraw", "/wallet/..;/wallet/withdraw",
		"/wallet/withdraw;/../x", "/wallet;%2f../withdraw",
		// what stands behind
		"/wallet/withdraw.json", "/wallet/withdraw.XML", "/wallet/withdraw.html", "/wallet/withdraw.json/", "/wallet/withdraw.tar.gz", "/wallet/withdraw.",
		"/wallet/withdraw..", "/wallet/withdraw...", "/wallet/withdraw./", "/wallet./withdraw", "/wallet.../withdraw", "/wallet/withdraw%20",
		"/wallet/withdraw%20%20", "/wallet%20/withdraw", "/wallet/%20withdraw", "/%20wallet/withdraw", "/wallet/withdraw.%20.", "/wallet/withdraw%2e",
		"/wallet/withdraw+", "/wallet/withdraw%2b", "/wallet/withdraw%09", "/wallet/withdraw%2ejson", "/wallet/withdraw.json%00", "/wallet/withdraw%2520",
		"/wallet/withdraw/index", "/wallet/withdraw/index.php", "/wallet/withdraw/INDEX.HTML", "/wallet/withdraw/default.aspx", "/wallet/withdraw/index.php/",
		"//wallet/withdraw%5c.json", "/wallet/withdraw/..x", "/..%2e/wallet/withdraw", "..%20/.json/wallet/withdraw",
		// cuts
		"/wallet/withdraw%00", "/wallet/withdraw%00.css", "/wallet/withdraw%00/x", "/wallet/withdraw/%00", "/wallet/withdraw%0a", "/wallet/withdraw%0d%0aHost:x",
		"/wallet/withdraw%3f", "/wallet/withdraw%3Fx=y", "/wallet/withdraw%23", "/wallet/withdraw%23/../x", "/wallet/withdraw%253fx", "/wallet/withdraw%20HTTP/1.1",
		"/wallet/withdraw%3f/../../x", "/wallet/withdraw%2500", "/x/../wallet/withdraw%00/../..", "/wallet/withdraw?x", "/wallet/withdraw#x",
		"/wallet/withdraw ", "/wallet/withdraw\x00", "/wallet/withdraw\tx", "/wallet/with\x7fdraw",
		// characters in other clothes
		"/wallet%c0%afwithdraw", "/x/%c0%ae%c0%ae/wallet/withdraw", "/wallet%e0%80%afwithdraw", "/wallet%f0%80%80%afwithdraw", "/wallet%f8%80%80%80%afwithdraw",
		"/wallet%c1%9cwithdraw", "/wallet%c0%2fwithdraw", "/%c1%b7allet/withdraw", "/wallet%fc%80%80%80%80%afwithdraw", "/wallet%25c0%25afwithdraw",
		"/wallet%ef%bc%8fwithdraw", "/wallet%ef%bc%bcwithdraw", "/x/%ef%bc%8e%ef%bc%8e/wallet/withdraw", "/%ef%bd%97allet/withdraw", "/wallet%e2%88%95withdraw",
		"/wallet%e2%81%84withdraw", "/x/%e2%80%a5/wallet/withdraw", "/x/%e2%80%a4%e2%80%a4/wallet/withdraw", "/wallet%u2215withdraw", "/wallet／withdraw",
		"/wallet/w%c4%b1thdraw", "/wallet/W%C4%B0THDRAW", "/wallet/withdraw%ff", "/wallet/with%ffdraw", "/wallet/with%00draw", "/wal%0alet/withdraw",
		"/wallet/with%09draw", "/wallet/with%e2%80%8bdraw", "/wallet/with%c2%addraw", "/%ef%bb%bfwallet/withdraw", "/wallet/withdraw%ef%bf%bd", "/wallet/with%7fdraw",
		"/wallet/%ef%bc%8577ithdraw", "/wallet/w%69thdraw%80",
		"/wallet%e2%88%96withdraw", "/wallet%ef%b9%a8withdraw", "/wallet/withdraw%ef%b9%94x", "/wallet/%ef%b9%aa77ithdraw", "/x/%ef%b9%92%ef%b9%92/wallet/withdraw",
		"/wallet%e0%81%9cwithdraw", "/wallet/with%e2%80%aedraw", "/wallet/with%ef%b8%8fdraw", "/wallet/with%e1%85%9fdraw",
		// broken escapes
		"/wallet/withdraw%", "/wallet/withdraw%2", "/wallet/with%zzdraw", "/wallet/with%draw", "/%wallet/withdraw", "/wallet/withdraw%25", "/wallet/%zzwithdraw%2",
		"/wallet%/withdraw", "/wallet%z/withdraw",
		// whole URLs, and paths without a root
		"http://evil/wallet/withdraw", "https://evil:8443/wallet/withdraw", "//evil/wallet/withdraw", `/\evil/wallet/withdraw`, `\\evil\wallet\withdraw`,
		"/http://evil/wallet/withdraw", "wallet/withdraw", "./wallet/withdraw", "../wallet/withdraw", "%2f%2fevil/wallet/withdraw", "HTTP://u:p@evil/wallet/withdraw",
		"///evil/wallet/withdraw", "http:%2f%2fevil%2fwallet%2fwithdraw",
		// scripts before and behind
		"/index.php/wallet/withdraw", "/index.php/wallet/withdraw/", "/app_dev.php/wallet/withdraw", "/public/index.php/wallet/withdraw", "/cgi-bin/app.cgi/wallet/withdraw",
		"/INDEX.PHP/wallet/withdraw", "/index.php%2fwallet/withdraw", "/x.php/y.php/wallet/withdraw", "/wallet/withdraw.php", "/wallet/withdraw.php/x", "/index%2ephp/wallet/withdraw",
		"/index.php/x/../wallet/withdraw", "/index.php;a=b/wallet/withdraw",
		// all at once
		"/x/%252e%252e;a=b%255cwallet/./%2577ithdraw.json;x", "/index.php/%2e%2e;/wallet%5cwithdraw/.",
	},
	"vault": {
		"/vault", "/vault/", "/vault/x", "/VAULT/x/y", "/vault/x/../../y", "/vault/..;/x", "/x/..%2fvault/", "/vault/%2e%2e", "/vault//", "/%76ault%2fx", `/vault\x`,
		"/vault.json", "/vault/x%2f..%2f..%2fy", "/vault/../public/x", "/vault/%2e%2e/public/x", "/vault/..%2fpublic/x", "/vault;/x", "/x/../vault", "/index.php/vault/x",
	},
	"admin": { // caddy-facts A4.2 and its kin
		"/ADMIN", "//admin", "/./admin", "/x/../admin", "/x/%2e%2e/admin", "/x/..%2fadmin", "/%61dmin", "/admin%00", "http://evil/admin", "/x/..;/admin", "/;a=b/admin",
		`/x\..\admin`, "/x/%5c../admin", "/admin/..%2fpublic/x", "/admin/%2e%2e/public/x", "/admin/../public/x", "/public/..;/admin/x", "/administrator", "/admin.php",
		"/admin/x.json", "/admin-users/7", "/adm%69n/x%2f..%2f..", "/public/..%2fadmin", "/a/./b/../../admin/users",
	},
	"payout": {
		"/pay/send.php", "/PAY/SEND.PHP", "/pay/send.php/", "/pay/send.php/x/y", "/pay/send.php;x", "/pay/send.php%00.jpg", "/pay/send.php.", "/pay/send.php%20",
		"/pay/send.php/x.css", "/pay/send.php/../x", "/pay/./send%2ephp", "/pay%5csend.php", "/pay/send.php%2fx.png", "/index.php/pay/send.php",
	},
	"kelime": {
		"/提现/ÉTÉ", "/%e6%8f%90%e7%8e%b0/%C3%89T%C3%89", "/%E6%8F%90%E7%8E%B0/%c3%a9t%c3%a9", "/提现/été", "/提现/Été.json", "/x/../提现/été", "/%25e6%258f%2590现/été",
	},
	"kiosk": { // characters that case mapping leads into ASCII
		"/%e2%84%aaiosk/staff", "/kios%e2%84%aa/staff", "/kiosk/%c5%bftaff", "/k%c4%b1osk/sta%ef%ac%80", "/kio%c5%bfk/%ef%ac%86aff", "/kiosk/st%61%ef%ac%80", "/KIOSK/%ef%ac%85AFF",
	},
}

func decidePath(set *Set, method, path string) Decision {
	return set.Decide(&Request{Method: method, Targets: [2]string{path}})
}

func protectedBy(d Decision, name string) bool {
	return d.Refuse != "" || slices.ContainsFunc(d.Rules, func(r *Rule) bool { return r.Name == name })
}

func TestInvariantI1EverySpellingOfAProtectedPathIsProtected(t *testing.T) {
	set := evasionSet(t)
	for name, paths := range evasions {
		for _, path := range paths {
			if d := decidePath(set, "POST", path); !protectedBy(d, name) {
				t.Errorf("Decide(POST %q) = %+v, want rule %q or a refusal", path, d, name)
			}
		}
	}
}

// The rule must be found, not only guessed: a refusal because of the bounds is
// for what nobody can follow.
func TestEvasionsAreUnderstoodWithinTheBounds(t *testing.T) {
	set := evasionSet(t)
	for name, paths := range evasions {
		for _, path := range paths {
			d := decidePath(set, "POST", path)
			if d.Refuse == RefusedAmbiguous || len(d.Rules) == 0 {
				t.Errorf("Decide(POST %q) = %+v, want rule %q", path, d, name)
			}
		}
	}
}

// A second reader may stand behind the first, so each evasion is tried once more
// behind one more encoding of every byte that could matter.
func TestInvariantI1EncodedEvasionsAreProtected(t *testing.T) {
	set := evasionSet(t)
	encodings := map[string]func(byte) bool{
		"punctuation": func(c byte) bool { return c != '/' && !('a' <= c|0x20 && c|0x20 <= 'z') && !('0' <= c && c <= '9') },
		"slashes":     func(c byte) bool { return c == '/' },
		"letters":     func(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' },
		"everything":  func(c byte) bool { return true },
	}
	for name, paths := range evasions {
		for _, path := range paths {
			for kind, chosen := range encodings {
				if spelled := encodeBytes(path, chosen); !protectedBy(decidePath(set, "POST", spelled), name) {
					t.Errorf("%s encoded: Decide(POST %q) is not protected by %q", kind, spelled, name)
				}
			}
		}
	}
}

// encodeBytes percent-encodes the chosen bytes, and "%" so that what was encoded
// stays so below.
func encodeBytes(p string, chosen func(byte) bool) string {
	var b strings.Builder
	for i := range len(p) {
		if p[i] == '%' || chosen(p[i]) {
			fmt.Fprintf(&b, "%%%02x", p[i])
		} else {
			b.WriteByte(p[i])
		}
	}
	return b.String()
}

// I2: a path that one reader takes for a lenient place and another for a strict
// one meets the demands of both.
func TestInvariantI2AnAmbiguousPathMeetsTheDemandsOfAllItsReadings(t *testing.T) {
	set := mustCompile(t,
		Rule{Name: "public", Paths: []string{"/public/*"}, Factors: []Factor{SMS, TOTP}, MaxAge: time.Hour, Unenrolled: UnenrolledAllow, Anonymous: AnonymousLogin},
		Rule{Name: "vault", Paths: []string{"/vault/*"}, Factors: []Factor{TOTP}, SingleUse: true},
	)
	for _, path := range []string{
		"/public/../vault/x", "/public/..%2fvault/x", "/public/%2e%2e/vault/x", "/public/..;/vault/x", `/public/..\vault\x`, "/public/%252e%252e/vault/x",
		"/vault/../public/x", "/vault/..%2fpublic/x", "/vault/%2e%2e/public/x", "/vault/..;/public/x", `/vault\..\public/x`, "/vault/x%2f..%2f../public/x",
		"/vault/x/..%252f..%252fpublic/x", "//vault/public/../../public/x", "/public/app.php/vault/x", "/vault/%3f/../../public/x", "/public/%c0%ae%c0%ae/vault/x",
	} {
		got := Require(decidePath(set, "GET", path).Rules)
		if got.Name() != "public+vault" || !got.SingleUse || len(got.Factors) != 1 || got.Unenrolled != UnenrolledEnrol || got.Anonymous != AnonymousRefuse {
			t.Errorf("Require(Decide(GET %q)) = %+v, want the demands of both rules", path, got)
		}
	}
	for _, path := range []string{"/public/x", "/public/vault", "/public/x%20y", "/public/./x", "/public//x", "/public/x;v=1"} {
		if got := Require(decidePath(set, "GET", path).Rules); got.Name() != "public" {
			t.Errorf("Require(Decide(GET %q)) = %+v, want the demands of public only", path, got)
		}
	}
}

// I12: ordinary neighbours of protected paths are nobody's business.
func TestInvariantI12NeighboursAreNotProtected(t *testing.T) {
	set := evasionSet(t)
	for _, path := range []string{
		"/", "", "/wallet", "/wallet/", "/wallets/withdraw", "/wallet/withdrawal", "/wallet/withdrawals", "/wallet/withdraw-history", "/wallet/withdraw/history",
		"/wallet/withdraw/2026/01", "/wallet/deposit", "/wallet/with", "/withdraw", "/withdraw/wallet", "/assets/withdraw.css", "/assets/wallet/withdraw",
		"/assets/wallet/withdraw.css", "/xwallet/withdraw", "/wallet/withdraw2", "/wallet/withdraw_json", "/wallet/xwithdraw", "/wallet/.withdraw", "/wallet/index.php",
		"/vaults", "/vault-tour", "/x/vault", "/adm", "/public/administrator", "/pay", "/pay/", "/pay/send", "/pay/send.html", "/pay/send.phpx", "/pay/sent.php",
		"/提现", "/提现/ete", "/%e6%8f%90%e7%8e%b0", "/kiosk", "/kiosk/sta", "/blog/how-to-withdraw-from-your-wallet", "/help/wallet/withdraw",
		"/games/tom%20jerry", "/games/50%25+bonus", "/search/wallet%20withdraw", "/search/wallet+withdraw", "/img/https%3A%2F%2Fcdn.example%2Fa%2Fb.png",
		"/img/https://cdn.example/a.png", "/c%C3%A0ng", "/f;v=2/app.js", "/a//b", "/x/../y", "/wallet%2fdeposit", "/wallet/%64eposit", "/wallet/deposit;jsessionid=1",
		"/.well-known/acme-challenge/x", "/v1.2/games", "/app.js.map", "/@user", "/~user/x", "/wallet/../deposit", "/wallet/withdraw/../deposit",
		"/wallet%e0%a0%afwithdraw", "/wallet/.withdraw;v=1",
		"/x%00", "/wallet/deposit%00", "/%zz", "/100%", "/wallet%", "/index.php/wallet/deposit", "/index.php", "/play.php/level/1", "*",
		"//evil/deposit", "/%25252525252561", "/wallet/deposit%25252525252561", "/" + strings.Repeat("%2561", 400), "/" + strings.Repeat("a;b/..%2f%5c%252e.;x//", 40),
	} {
		if d := decidePath(set, "POST", path); len(d.Rules) > 0 || d.Near || d.Refuse != "" {
			t.Errorf("Decide(POST %q) = %v, want not protected", path, describe(d))
		}
	}
}

// describe writes a decision for a failed test.
func describe(d Decision) string {
	return fmt.Sprintf("rules %q, near %v, refuse %q", Require(d.Rules).Name(), d.Near, d.Refuse)
}

func TestUnsafePathsAreRefusedOnlyWhereTheyTouchARule(t *testing.T) {
	set := evasionSet(t)
	flood := strings.Repeat("a;b/..%2f%5c%252e.;x//%3b%2b", 40)
	for _, c := range []struct{ path, want string }{
		{"/wallet/withdraw%00", RefusedControlByte},
		{"/wallet/with%0adraw", RefusedControlByte},
		{"/vault/x%7f", RefusedControlByte},
		{"/vault/x%2500", RefusedControlByte},
		{"/wallet/with%zzdraw", RefusedEncoding},
		{"/vault/%", RefusedEncoding},
		{"/%2525252525252577allet/withdraw", RefusedAmbiguous},
		{"/" + flood + "/wallet/withdraw", RefusedAmbiguous},
		{"/" + flood + "/wallet/deposit", ""},
		{"/" + flood + "/%ff", RefusedAmbiguous}, // its text is not certain
		{"/" + flood + "/%zz", RefusedAmbiguous},
		{"/%" + strings.Repeat("25", 1200) + "41", RefusedAmbiguous},
		{"/" + strings.Repeat(flood, 3), RefusedAmbiguous},                      // too long to be weighed
		{"/a;b%20c+d.e%2541%5c" + strings.Repeat("x", 16000), RefusedAmbiguous}, // too much text
		{"//x%2f..;/%c0%ae/WALLET//withdraw%2f%00", RefusedAmbiguous},
		{"/a;b/..%2f%5c%252e.;x//wallet;/withdraw%3b%00", RefusedAmbiguous},
		{"/vault/100%25", ""},
		{"/vault/caf%e9", ""},
		{"/vault/plain", ""},
		{"/games/x%00", ""},
		{"/games/%zz", ""},
	} {
		if d := decidePath(set, "GET", c.path); d.Refuse != c.want {
			t.Errorf("Decide(GET %.60q).Refuse = %q, want %q", c.path, d.Refuse, c.want)
		}
	}
}

// The bounds end the search, not the protection: what is beyond them is refused
// for every kind of rule path.
func TestInvariantI1PathsBeyondTheBoundsAreRefusedForEveryKindOfRule(t *testing.T) {
	flood := strings.Repeat("a;b/..%2f%5c%252e.;x//%3b", 20)
	for rule, spelled := range map[string]string{
		"/":                      "/" + flood + "/x",
		"/*":                     "/" + flood + "/x",
		"/vault/*":               "/" + flood + "/%2525VAULT",
		"/wallet/with*":          "/" + flood + "/wallet/withdraw",
		"/18+/x":                 "/" + flood + "/18%2b/X",
		"/my wallet/x":           "/" + flood + "/my+wallet/x",
		"/提现/é":                  "/" + flood + "/%e6%8f%90现/É",
		"/kiosk":                 "/" + flood + "/%e2%84%aaiosk",
		"/index.php/wallet/send": "/" + flood + "/wallet/send",
		"/wallet/index.html":     "/" + flood + "/wallet",
		"/send.php":              "/" + flood + "/ｓend.php/x",
		"/safe/x":                "/" + flood + "/sa%00fe/x",
		"/a/b/c":                 "/a/" + flood + "/b/" + flood + "/c",
	} {
		set := mustCompile(t, Rule{Name: "r", Paths: []string{rule}})
		if d := decidePath(set, "GET", spelled); d.Refuse == "" {
			t.Errorf("path %q: Decide(…%q) = %s, want a refusal", rule, spelled[max(0, len(spelled)-30):], describe(d))
		}
	}
	set := mustCompile(t, Rule{Name: "r", Paths: []string{"/a/b/c"}})
	if d := decidePath(set, "GET", "/c/"+flood+"/d"); d.Refuse != "" || len(d.Rules) > 0 {
		t.Errorf("Decide of a flood without the rule's segments = %s, want not protected", describe(d))
	}
}

func TestASetWithoutRulesLetsEverythingPass(t *testing.T) {
	set := mustCompile(t)
	for _, path := range []string{"/", "/%zz", "/x%00", "/" + strings.Repeat("%25", 9000)} {
		if d := decidePath(set, "POST", path); len(d.Rules) > 0 || d.Near || d.Refuse != "" {
			t.Errorf("Decide(POST %.40q) = %s, want not protected", path, describe(d))
		}
	}
}

func TestARuleForAllPathsMeetsEveryTarget(t *testing.T) {
	set := mustCompile(t, Rule{Name: "all", Paths: []string{"/*"}})
	for _, path := range []string{"/", "", "*", "/x", "x", "//", "/%zz", "/..", "http://x", "/x%00"} {
		if d := decidePath(set, "OPTIONS", path); !protectedBy(d, "all") {
			t.Errorf("Decide(OPTIONS %q) = %s, want rule all", path, describe(d))
		}
	}
}
