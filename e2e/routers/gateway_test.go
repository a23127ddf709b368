package routers

import (
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

var discard = log.New(io.Discard, "", 0)

// stepgate builds the command, once for all tests, and returns where it is.
var stepgate = sync.OnceValues(func() (string, error) {
	binary := filepath.Join(builds, "stepgate")
	if out, err := exec.Command("go", "build", "-o", binary, "../../cmd/stepgate").CombinedOutput(); err != nil {
		return "", fmt.Errorf("building stepgate: %w\n%s", err, out)
	}
	return binary, nil
})

// builds is a folder that ends with the tests.
var builds string

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	var err error
	if builds, err = os.MkdirTemp("", "stepgate-routers-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(builds)
	return m.Run()
}

const gatewayOptions = `{
	admin off
	persist_config off
	auto_https off
	storage file_system %[1]q
	storage_clean_interval off
	grace_period 1s
	log {
		output discard
	}
	stepgate {
		store bolt %[2]q
		brand "Kasino Melati"
		sms {
			console {
				unsafe_console "nobody but these tests reaches it"
			}
			countries ID
		}
	}
}
`

// guarded is a site behind Stepgate: its address, a line for a profile and those
// for the rules' methods, and the router. bare is the same behind plain Caddy.
const (
	guarded = `
http://%s {
	vars player dewi
	step_up {
		identity placeholder {http.vars.player} {
			credential cookie session
		}
		%s
		protect withdrawal {
			path /wallet/withdraw
			%s
		}
		protect export {
			path /account/export/*
			%s
		}
		protect phone {
			path /account/phone
			%s
		}
		protect transfer {
			path /api/users/*
			%s
		}
	}
	reverse_proxy %s
}
`
	bare = `
http://%s {
	reverse_proxy %s
}
`
)

// gateway is the addresses at which each router is reached through Stepgate, and
// through Caddy alone.
type gateway struct{ guarded, bare map[string]string }

// startGateway runs the gateway in front of all routers.
func startGateway(t *testing.T, routers map[string]string) *gateway {
	t.Helper()
	binary, err := stepgate()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	g := &gateway{map[string]string{}, map[string]string{}}
	var config strings.Builder
	fmt.Fprintf(&config, gatewayOptions, dir, filepath.Join(dir, "stepgate.db"))
	free := freeAddresses(2 * len(routers))
	for name, address := range routers {
		// What a site needs, its operator writes: a profile, and the rules' methods.
		lines := []any{"", "method POST", "method GET", "method PUT", "method POST"}
		switch name {
		case "php-scripts": // they ask for no method
			lines = []any{"", "", "", "", ""}
		case "php-query", "php-request": // every path is rewritten to one script
			lines[0] = "profile php"
		}
		g.guarded[name], g.bare[name] = free[0], free[1]
		free = free[2:]
		fmt.Fprintf(&config, guarded, append(append([]any{anyHost(g.guarded[name])}, lines...), address)...)
		fmt.Fprintf(&config, bare, anyHost(g.bare[name]), address)
	}
	file := filepath.Join(dir, "Caddyfile")
	if err := os.WriteFile(file, []byte(config.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "run", "--config", file, "--adapter", "caddyfile")
	cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_CONFIG_HOME=", "XDG_DATA_HOME=")
	var printed strings.Builder
	cmd.Stdout, cmd.Stderr = &printed, &printed
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
	})
	ready := make(chan error, 1)
	go func() {
		for _, addresses := range []map[string]string{g.guarded, g.bare} {
			for _, address := range addresses {
				if err := listens(address); err != nil {
					ready <- err
					return
				}
			}
		}
		ready <- nil
	}()
	select {
	case err := <-ready:
		if err != nil {
			t.Fatal(err)
		}
	case <-ended:
		t.Fatalf("the gateway ended:\n%s", printed.String())
	}
	return g
}

// anyHost is the address of a site that takes requests whatever host they name.
func anyHost(address string) string {
	return ":" + address[strings.LastIndexByte(address, ':')+1:]
}
