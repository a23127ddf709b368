package stepgate_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/stepgate/stepgate"

// forbidden says what a package must not reach, however far away, and why.
// Packages are named without the module's path; "internal" stands for all domain
// packages below it.
var forbidden = []struct {
	from []string
	not  []string
	why  string
}{
	{
		[]string{"policy"}, []string{"net/http", module + "/"},
		"the policy is a pure function of a request's facts",
	},
	{
		[]string{"policy", "store", "store/storetest", "store/bolt", "sms", "sms/console", "identity", "challengepages", "internal"},
		[]string{"github.com/caddyserver/caddy", "go.uber.org/zap", "github.com/prometheus"},
		"only caddymodule knows the server; everything else can be tested and used without it",
	},
	{
		[]string{"policy", "store", "sms", "sms/console", "identity", "challengepages", "internal"},
		[]string{"go.etcd.io/bbolt", "github.com/jackc/pgx"},
		"a store's engine appears in its own package, so that the contract is one and not the shadow of an engine",
	},
	{
		[]string{"store", "sms", "identity", "policy"}, []string{module + "/internal", module + "/challengepages", module + "/caddymodule"},
		"contracts do not know who uses them",
	},
	{
		[]string{"internal/factor", "internal/held", "internal/seal", "internal/grant", "internal/account", "internal/challenge"},
		[]string{module + "/internal/gate", module + "/challengepages", module + "/identity"},
		"the domain does not know the way of a request",
	},
	{
		[]string{"examples/casino", "examples/casino/cmd/casino"},
		[]string{module + "/internal", module + "/policy", module + "/caddymodule", module + "/challengepages", module + "/identity", module + "/sms", module + "/store"},
		"the site behind the gateway knows nothing of it",
	},
}

type listed struct {
	ImportPath string
	Deps       []string
}

func TestImportsRunOneWay(t *testing.T) {
	packages := list(t)
	for _, rule := range forbidden {
		for _, from := range rule.from {
			found := false
			for _, p := range packages {
				name := strings.TrimPrefix(p.ImportPath, module+"/")
				if name != from && !(from == "internal" && strings.HasPrefix(name, "internal/")) {
					continue
				}
				found = true
				for _, dep := range p.Deps {
					if dep != p.ImportPath && slices.ContainsFunc(rule.not, func(not string) bool { return reaches(dep, not) }) {
						t.Errorf("%s reaches %s: %s", name, dep, rule.why)
					}
				}
			}
			if !found {
				t.Errorf("there is no package %s", from)
			}
		}
	}
}

// Caddy is known to caddymodule and cmd, to what makes the plugin of it, and to
// the plain Caddy that the benchmark compares with.
func TestOnlyCaddymoduleAndCommandsImportCaddy(t *testing.T) {
	for _, p := range list(t) {
		name := strings.TrimPrefix(p.ImportPath, module+"/")
		if name == module || name == "caddymodule" || strings.HasPrefix(name, "cmd/") || strings.HasPrefix(name, "bench") {
			continue
		}
		for _, dep := range p.Deps {
			if reaches(dep, "github.com/caddyserver/caddy") {
				t.Errorf("%s reaches %s", name, dep)
			}
		}
	}
}

func reaches(dep, not string) bool {
	return dep == not || strings.HasPrefix(dep, strings.TrimSuffix(not, "/")+"/")
}

func list(t *testing.T) []listed {
	t.Helper()
	out, err := exec.Command("go", "list", "-deps=false", "-json=ImportPath,Deps", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []listed
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}
