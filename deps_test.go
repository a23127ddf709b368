package stepgate_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/stepgate/stepgate"

// mayImport says, for each package of this module, which others of it the package
// imports at most. Imports run one way: what stands further down knows nothing of
// what stands above it. A pattern ends in "/*" for all packages below.
var mayImport = []struct {
	pattern string
	may     []string
	because string
}{
	{"", []string{"caddymodule"}, "it plugs the modules into a build of Caddy, and nothing else"},
	{"cmd/stepgate", []string{"caddymodule", "examples/casino", "internal/*", "policy", "sms", "sms/*", "store", "store/*"},
		"it is Caddy's command line, and the demo prepares its players in the store"},
	{"caddymodule", []string{"challengepages", "identity", "internal/audit", "internal/courier", "internal/explain", "internal/gate", "internal/notify", "internal/seal", "internal/smsguard",
		"internal/spelling", "internal/standardwebhooks", "policy", "sms", "sms/*", "store", "store/*"},
		"it wires the gate up and decides nothing: it has no business with accounts, challenges or grants"},
	{"internal/gate", []string{"challengepages", "identity", "internal/*", "policy", "sms", "store"},
		"it is the way of one request; which sender and store there are is not its concern"},
	{"internal/account", []string{"internal/audit", "internal/delivery", "internal/factor", "internal/recall", "internal/seal", "policy", "sms", "store"},
		"what must happen once rests on the account's record alone"},
	{"internal/challenge", []string{"internal/audit", "internal/delivery", "internal/factor", "internal/held", "internal/seal", "policy", "sms", "store"},
		"a challenge follows the account and never asks it"},
	{"internal/grant", []string{"internal/seal", "policy"}, "a grant is a signed statement, checked without any store"},
	{"internal/seal", []string{"internal/audit", "store"}, "it seals what is stored, whatever that is"},
	{"internal/explain", []string{"internal/body", "policy"}, "it says what the policy makes of a request; where that comes from is not its concern"},
	{"internal/body", []string{"policy"}, "it reads bytes in the policy's words; who captured them and what follows is decided elsewhere"},
	{"internal/recall", []string{"store"}, "it remembers what was read, whatever that is"},
	{"internal/alias", []string{"internal/recall", "internal/seal", "store"}, "it says whose a name is; what follows is decided elsewhere"},
	{"internal/delivery", []string{"internal/seal"}, "it says when a code goes out, and sends nothing"},
	{"internal/factor", nil, "it verifies, nothing else"},
	{"internal/held", nil, "it captures and restores; who may release is decided elsewhere"},
	{"internal/smsguard", []string{"internal/seal", "sms", "store"}, "it counts and pays in the store; who asks and who sends is decided elsewhere"},
	{"internal/notify", []string{"internal/standardwebhooks", "internal/unanswered"}, "it sends; what there is to tell, and whom, is decided elsewhere"},
	{"internal/standardwebhooks", nil, "it signs bytes, whatever they say"},
	{"internal/unanswered", nil, "it puts an error into words"},
	{"internal/audit", nil, "everybody reports in its words"},
	{"internal/courier", []string{"internal/audit", "internal/seal", "internal/smsguard", "policy", "sms", "store"},
		"it sends what it is given; what a code is for is decided elsewhere"},
	{"internal/gsm7", nil, "it counts characters"},
	{"challengepages", []string{"internal/gsm7", "internal/spelling"}, "view models in, HTML out; errors about an operator's files say what was meant"},
	{"internal/spelling", nil, "it compares words"},
	{"policy", nil, "it is a pure function of a request's facts"},
	{"identity", nil, "a source knows the site and nothing of us"},
	{"store", nil, "a contract depends on nobody who keeps it or uses it"},
	{"store/internal/*", []string{"store"}, "what every store needs to keep the contract"},
	{"store/*", []string{"store", "store/internal/*"}, "a store does not know what it keeps"},
	{"sms", nil, "a contract depends on nobody who keeps it or uses it"},
	{"sms/webhook", []string{"internal/spelling", "internal/standardwebhooks", "internal/unanswered", "sms"}, "a sender does not know what it sends; errors about an operator's words say what was meant"},
	{"sms/*", []string{"sms"}, "a sender does not know what it sends"},
	{"sms/failover", []string{"sms"}, "it knows senders by their contract, and no provider by name"},
	{"sms/vonage/vonagetest", []string{"internal/gsm7"}, "a fake that shared code with the client would share its mistakes"},
	{"internal/leaktest", nil, "it reads logs, whoever wrote them"},
	{"internal/pgserver", nil, "it runs a database for tests and examples, and knows nothing of what is in it"},
	{"internal/pgserver/pgtest", []string{"internal/pgserver"}, "it runs a database for tests"},
	{"examples/casino", nil, "the site knows nothing of Stepgate"},
	{"examples/casino/*", []string{"examples/casino"}, "the site knows nothing of Stepgate"},
	{"examples/htmlsite", nil, "the site knows nothing of Stepgate"},
	{"examples/htmlsite/*", []string{"examples/htmlsite"}, "the site knows nothing of Stepgate"},
	{"examples/spasite", nil, "the site knows nothing of Stepgate"},
	{"examples/spasite/*", []string{"examples/spasite"}, "the site knows nothing of Stepgate"},
	{"examples/phpsite", nil, "the site knows nothing of Stepgate"},
	{"examples/cluster", []string{"examples/casino", "internal/pgserver"}, "it runs what is built, as a cluster"},
	{"e2e", nil, "it drives what is built, from outside"},
	{"e2e/*", nil, "it drives what is built, from outside"},
	{"bench", nil, "it measures what is built, from outside"},
	{"bench/*", nil, "it is what Stepgate is compared with"},
}

// onlyIn says which packages import a module of others directly.
var onlyIn = []struct {
	dependency string
	packages   []string
	because    string
}{
	{"github.com/caddyserver/", []string{"caddymodule", "cmd/stepgate", "bench/caddyplain"}, "the gate must be testable, and usable, without Caddy"},
	{"go.uber.org/zap", []string{"caddymodule", "cmd/stepgate"}, "logging belongs to who runs the gate; packages below report events"},
	{"github.com/prometheus/", []string{"caddymodule"}, "as logging"},
	{"go.etcd.io/bbolt", []string{"store/bolt"}, "the gate rests on the storage contract, not on what one store can do"},
	{"github.com/jackc/pgx", []string{"store/postgres"}, "as bbolt"},
	{"github.com/gorilla/securecookie", []string{"internal/grant"}, "one place signs and opens cookies"},
	{"github.com/pquerna/otp", []string{"internal/factor", "cmd/stepgate"}, "one place computes codes; the demo prints one for its visitors"},
	{"github.com/vektah/gqlparser/", []string{"internal/body"}, "one place reads bodies"},
	{"github.com/andybalholm/brotli", []string{"internal/body"}, "as gqlparser"},
	{"github.com/klauspost/compress", []string{"internal/body"}, "as gqlparser"},
	{"github.com/nyaruka/phonenumbers", []string{"sms"}, "one place reads phone numbers"},
	{"github.com/PuerkitoBio/goquery", []string{"identity"}, "one place reads pages"},
	{"github.com/andybalholm/cascadia", []string{"identity"}, "as goquery"},
	{"github.com/go-jose/", []string{"identity", "sms/vonage"}, "one place reads tokens of players, one those of a provider"},
	{"github.com/mileusna/useragent", []string{"internal/gate"}, "one place says where somebody was"},
	{"golang.org/x/time", []string{"sms/failover"}, "one place keeps to the rates of providers"},
}

// neverReaches says what packages must not depend on, however indirectly.
var neverReaches = []struct {
	pattern      string
	dependencies []string
	because      string
}{
	{"policy", []string{"net/http", "log", "github.com/", "golang.org/x/"}, "it is a pure function in the standard library's terms"},
	{"store", []string{"net/http", "os/exec", "github.com/", "golang.org/x/"}, "a contract brings no dependency to who implements it"},
	{"sms", []string{"net/http", "os/exec"}, "a contract brings no transport to who implements it"},
	{"sms/failover", []string{"net/http", "os/exec"}, "it hands over what others carry"},
	{"internal/account", []string{"net/http"}, "it neither sends a message nor reads a request"},
	{"internal/factor", []string{"net/http"}, "it verifies, nothing else"},
	{"internal/seal", []string{"net/http", "os/exec"}, "keys stay in memory"},
}

type listed struct {
	ImportPath    string
	Imports, Deps []string
}

// packages lists the packages of this module, without their tests, by their path
// in it.
func packages(t *testing.T) map[string]listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports,Deps", "./...")
	out, err := cmd.Output()
	if err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			t.Fatalf("go list: %v\n%s", err, exit.Stderr)
		}
		t.Fatal(err)
	}
	found := map[string]listed{}
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return found
		} else if err != nil {
			t.Fatal(err)
		}
		found[own(p.ImportPath)] = p
	}
}

// own returns a package's path in this module, "." for one of others.
func own(importPath string) string {
	rest, ok := strings.CutPrefix(importPath, module)
	if !ok || rest != "" && rest[0] != '/' {
		return "."
	}
	return strings.TrimPrefix(rest, "/")
}

func matches(pattern, pkg string) bool {
	if below, ok := strings.CutSuffix(pattern, "/*"); ok {
		return strings.HasPrefix(pkg, below+"/")
	}
	return pattern == pkg
}

func TestImportsRunOneWay(t *testing.T) {
	used := map[string]bool{}
	for pkg, p := range packages(t) {
		// The longest pattern counts.
		best := -1
		for i, rule := range mayImport {
			if matches(rule.pattern, pkg) && (best < 0 || len(rule.pattern) > len(mayImport[best].pattern)) {
				best = i
			}
		}
		if best < 0 {
			t.Errorf("%s stands in no line of mayImport: say what it may import, and why", pkg)
			continue
		}
		rule := mayImport[best]
		used[rule.pattern] = true
		for _, imported := range p.Imports {
			target := own(imported)
			if target == "." || slices.ContainsFunc(rule.may, func(pattern string) bool { return matches(pattern, target) }) {
				continue
			}
			t.Errorf("%q imports %s: %s", pkg, target, rule.because)
		}
	}
	for _, rule := range mayImport {
		if !used[rule.pattern] {
			t.Errorf("mayImport has a line for %q, which does not exist", rule.pattern)
		}
	}
}

func TestEachDependencyHasItsPlace(t *testing.T) {
	for pkg, p := range packages(t) {
		for _, imported := range p.Imports {
			for _, rule := range onlyIn {
				if strings.HasPrefix(imported, rule.dependency) && !slices.Contains(rule.packages, pkg) {
					t.Errorf("%q imports %s: %s", pkg, imported, rule.because)
				}
			}
		}
	}
}

func TestDomainPackagesReachNoServerLogOrMetric(t *testing.T) {
	domain := []string{"policy", "store", "sms", "identity", "challengepages", "internal/*", "sms/*", "store/*"}
	for pkg, p := range packages(t) {
		if !slices.ContainsFunc(domain, func(pattern string) bool { return matches(pattern, pkg) }) {
			continue
		}
		for _, dep := range p.Deps {
			for _, forbidden := range []string{"github.com/caddyserver/", "go.uber.org/zap", "github.com/prometheus/"} {
				if strings.HasPrefix(dep, forbidden) {
					t.Errorf("%s reaches %s: it must be usable without Caddy, its logs and its metrics", pkg, dep)
				}
			}
		}
	}
}

func TestPurePackagesStayPure(t *testing.T) {
	found := packages(t)
	for _, rule := range neverReaches {
		p, ok := found[rule.pattern]
		if !ok {
			t.Errorf("neverReaches has a line for %q, which does not exist", rule.pattern)
		}
		for _, dep := range p.Deps {
			for _, forbidden := range rule.dependencies {
				if dep == forbidden || strings.HasSuffix(forbidden, "/") && strings.HasPrefix(dep, forbidden) && own(dep) == "." {
					t.Errorf("%s reaches %s: %s", rule.pattern, path.Clean(dep), rule.because)
				}
			}
		}
	}
}
