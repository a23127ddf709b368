package sites

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience is how long something may take that has to happen, on a busy machine.
const patience = time.Minute

// builds is a folder that ends with the tests.
var builds string

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	var err error
	if builds, err = os.MkdirTemp("", "stepgate-sites-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(builds)
	return m.Run()
}

// stepgate builds the command, once for all tests, and returns where it is.
var stepgate = sync.OnceValues(func() (string, error) {
	binary := filepath.Join(builds, "stepgate")
	if out, err := exec.Command("go", "build", "-o", binary, "../../cmd/stepgate").CombinedOutput(); err != nil {
		return "", fmt.Errorf("building stepgate: %w\n%s", err, out)
	}
	return binary, nil
})

// gateway is a running gateway in front of a site.
type gateway struct {
	t   *testing.T
	url string

	mu      sync.Mutex // guards printed
	printed strings.Builder
	more    chan struct{} // tells that more was printed
}

// start runs the gateway with the Caddyfile of an example in front of its site.
func start(t *testing.T, example, site string) *gateway {
	t.Helper()
	return startWith(t, filepath.Join("../../examples", example, "Caddyfile"), site)
}

// startWith is start with the Caddyfile at a path.
func startWith(t *testing.T, caddyfile, site string) *gateway {
	t.Helper()
	if testing.Short() {
		t.Skip("builds and runs the gateway")
	}
	binary, err := stepgate()
	if err != nil {
		t.Fatal(err)
	}
	address, state := freeAddress(t), t.TempDir()
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	g := &gateway{t: t, url: "http://localhost:" + port, more: make(chan struct{}, 1)}
	cmd := exec.Command(binary, "run", "--config", caddyfile, "--adapter", "caddyfile")
	cmd.Env = append(os.Environ(), "HOME="+state, "XDG_CONFIG_HOME=", "XDG_DATA_HOME=", "PORT="+port, "SITE="+site)
	cmd.Stdout, cmd.Stderr = g, g
	runs(t, cmd, address, g.output)
	return g
}

// runs starts a server and waits until it listens. It ends with the test.
func runs(t *testing.T, cmd *exec.Cmd, address string, output func() string) {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // reports the kill
		close(ended)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
	})
	for deadline := time.Now().Add(patience); ; {
		if conn, err := net.Dial("tcp", address); err == nil {
			_ = conn.Close()
			return
		}
		select {
		case <-ended:
			t.Fatalf("%s ended:\n%s", filepath.Base(cmd.Path), output())
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not listen:\n%s", filepath.Base(cmd.Path), output())
		}
	}
}

// freeAddress returns an address of loopback where nobody listens now.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// Write keeps what the gateway prints.
func (g *gateway) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case g.more <- struct{}{}:
	default:
	}
	return g.printed.Write(p)
}

func (g *gateway) output() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.printed.String()
}

// printedSMS is an SMS as the console sender prints it.
var printedSMS = regexp.MustCompile(`SMS to (\+\d+) [^\n]*\n│ [^\n]*?\b(\d{6})\b`)

// sent returns the codes that went to a phone, the oldest first.
func (g *gateway) sent(phone string) []string {
	var codes []string
	for _, m := range printedSMS.FindAllStringSubmatch(g.output(), -1) {
		if m[1] == phone {
			codes = append(codes, m[2])
		}
	}
	return codes
}

// code returns the code of the n-th SMS to a phone, once it is there. That there is
// none after it is part of the test: every SMS costs money.
func (g *gateway) code(phone string, n int) string {
	g.t.Helper()
	deadline := time.After(patience)
	for {
		codes := g.sent(phone)
		if len(codes) > n {
			g.t.Fatalf("%d SMS went out, want %d", len(codes), n)
		}
		if len(codes) == n {
			return codes[n-1]
		}
		select {
		case <-g.more:
		case <-deadline:
			g.t.Fatalf("%d SMS went out, want %d:\n%s", len(codes), n, g.output())
		}
	}
}
