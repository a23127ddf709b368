package caddymodule_test

import (
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// validateVariable names the file of a configuration that a copy of this test
// binary validates instead of running tests.
const validateVariable = "STEPGATE_TEST_VALIDATE"

func TestMain(m *testing.M) {
	if file := os.Getenv(validateVariable); file != "" {
		os.Exit(validate(file))
	}
	os.Exit(m.Run())
}

// validate does what `caddy validate` does.
func validate(file string) int {
	text, err := os.ReadFile(file)
	if err == nil {
		var cfg *caddy.Config
		if err = caddy.StrictUnmarshalJSON(text, &cfg); err == nil {
			err = caddy.Validate(cfg)
		}
	}
	if err != nil {
		os.Stderr.WriteString("INVALID: " + err.Error() + "\n")
		return 1
	}
	return 0
}

// validates runs validate in a process of its own.
func (g *gateway) validates(c config) (output string, err error) {
	g.t.Helper()
	file := filepath.Join(g.dir, "validate.json")
	if err := os.WriteFile(file, g.json(c), 0o600); err != nil {
		g.t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), validateVariable+"="+file)
	text, err := cmd.CombinedOutput()
	return string(text), err
}

// A configuration can be checked beside the gateway that runs: nothing is locked
// and nothing opened.
func TestValidatingBesideARunningGatewaySucceeds(t *testing.T) {
	g := start(t, config{})
	if output, err := g.validates(config{brand: "Other Casino"}); err != nil {
		t.Errorf("validate = %v\n%s", err, output)
	}
	if output, err := g.validates(config{fault: "provision"}); err == nil || !strings.Contains(output, "INVALID") {
		t.Errorf("validating what cannot be provisioned = %v\n%s", err, output)
	}
	g.login(budisLogin).withdraw("100.000")
}

// load keeps clients at work until stop is closed, and counts what they meet.
type load struct {
	g    *gateway
	stop chan struct{}
	once sync.Once
	wg   sync.WaitGroup
	// granted counts protected requests that went on with a grant, unavailable those
	// that were answered 503, dropped those of any kind that nobody has seen.
	granted, unavailable, open, refused, dropped atomic.Int64
}

// worker sends requests of one kind and checks each answer.
func (l *load) worker(send func() (answer, error), check func(answer) error) {
	l.wg.Go(func() {
		for {
			select {
			case <-l.stop:
				return
			default:
			}
			a, err := send()
			if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
				// net/http closes a connection on which it reads a request while it shuts
				// down, and gives the request to nobody. Browsers send it again.
				l.dropped.Add(1)
				continue
			}
			if err == nil {
				err = check(a)
			}
			if err != nil {
				l.g.t.Error(err)
				return
			}
		}
	})
}

func (l *load) begin() {
	visitor, budi, sari := l.g.visitor(), l.g.login(budisLogin), l.g.login("sari")
	budi.pass("/account/email")
	l.worker(func() (answer, error) { return visitor.send("GET", "/", "", "") }, func(a answer) error {
		l.open.Add(1)
		if a.status != http.StatusOK || !strings.Contains(a.body, "<html") {
			return errors.New("an open request was answered " + a.body)
		}
		return nil
	})
	withdrawal := form("amount", "100.000", "account", "BCA 1")
	for _, p := range []*player{sari, visitor} {
		l.worker(func() (answer, error) { return p.send("POST", "/wallet/withdraw", formType, withdrawal) }, func(a answer) error {
			l.refused.Add(1)
			switch a.status {
			case http.StatusUnauthorized, http.StatusServiceUnavailable:
				return nil
			case http.StatusSeeOther: // a visitor, on the way to the login page
				if a.header.Get("Location") == "/login" {
					return nil
				}
			}
			return errors.New("a protected request without a grant was answered " + http.StatusText(a.status))
		})
	}
	l.worker(func() (answer, error) {
		return budi.send("POST", "/account/email", formType, form("email", "budi@example.com"))
	}, func(a answer) error {
		switch a.status {
		case http.StatusSeeOther:
			l.granted.Add(1)
		case http.StatusServiceUnavailable:
			l.unavailable.Add(1)
		default:
			return errors.New("a protected request with a grant was answered " + http.StatusText(a.status) + ": " + a.body)
		}
		return nil
	})
}

// end stops the clients. It may be called again.
func (l *load) end() {
	l.once.Do(func() { close(l.stop) })
	l.wg.Wait()
}

// goroutines returns how many goroutines run code of ours, and how many there are.
func goroutines() (ours, all int) {
	buffer := make([]byte, 8<<20)
	for stack := range strings.SplitSeq(string(buffer[:runtime.Stack(buffer, true)]), "\n\n") {
		all++
		if strings.Contains(stack, "github.com/stepgate/stepgate/") && !strings.Contains(stack, "caddymodule_test") {
			ours++
		}
	}
	return ours, all
}

// settle returns how many goroutines there are once they are no more than wanted,
// or after a while.
func settle(ours, all int) (int, int) {
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if o, a := goroutines(); o <= ours && a <= all {
			return o, a
		}
		select {
		case <-deadline:
			return goroutines()
		case <-tick.C:
		}
	}
}

// steady returns how many goroutines there are once their number stays the same.
func steady() (ours, all int) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for same := 0; same < 10; {
		<-tick.C
		o, a := goroutines()
		if o == ours && a == all {
			same++
		} else {
			ours, all, same = o, a, 0
		}
	}
	return ours, all
}

// I10: fifty reloads in a row, half of which fail, under load.
func TestInvariantI10FiftyReloadsUnderLoadDropAndPassNothing(t *testing.T) {
	g := start(t, config{})
	// What the process starts once is not counted as a leak.
	if err := g.load(config{brand: "First Casino"}); err != nil {
		t.Fatal(err)
	}
	ours, all := steady()
	l := &load{g: g, stop: make(chan struct{})}
	l.begin()
	defer l.end()
	for i := range 50 {
		c := config{brand: "Example Casino " + string(rune('A'+i%26))}
		switch i % 4 {
		case 1:
			c.fault = "provision"
		case 3:
			c.fault = "start"
		}
		if err := g.load(c); (err != nil) != (c.fault != "") {
			t.Fatalf("reload %d with fault %q = %v", i, c.fault, err)
		}
	}
	l.end()
	if l.granted.Load() == 0 || l.open.Load() == 0 || l.refused.Load() == 0 {
		t.Errorf("%d granted, %d open, %d refused: want some of each", l.granted.Load(), l.open.Load(), l.refused.Load())
	}
	t.Logf("%d open, %d refused, %d granted, %d unavailable, %d dropped",
		l.open.Load(), l.refused.Load(), l.granted.Load(), l.unavailable.Load(), l.dropped.Load())
	if n := len(g.site.reached("/wallet/withdraw")); n != 0 {
		t.Errorf("the site got %d withdrawals without a code, want none", n)
	}
	// One store is open, with its committer and its janitor, however many
	// configurations there were.
	if o, a := settle(ours, all+5); o > ours || a > all+5 {
		buffer := make([]byte, 1<<20)
		t.Errorf("%d goroutines of ours of %d, want %d of about %d:\n%s", o, a, ours, all, buffer[:runtime.Stack(buffer, true)])
	}
}

// I10: what fails leaves the gate of before at work, with its store open.
func TestInvariantI10AFailedReloadLeavesTheGateAtWork(t *testing.T) {
	g := start(t, config{})
	p := g.login(budisLogin)
	for _, fault := range []string{"provision", "start"} {
		for range 4 { // apps start in random order
			if err := g.load(config{brand: "Other Casino", fault: fault}); err == nil {
				t.Fatalf("a configuration that fails to %s was loaded", fault)
			}
		}
		id := p.withdraw("100.000")
		p.post("/wallet/withdraw", solution(id, "sms", code(t, budisPhone))...).want(http.StatusSeeOther)
		if a := p.get("/account/security"); !strings.Contains(a.body, "Example Casino") {
			t.Error("the configuration that failed is the one that answers")
		}
	}
	if n := len(g.site.reached("/wallet/withdraw")); n != 2 {
		t.Errorf("the site got %d withdrawals, want 2", n)
	}
}

// What the gateway cannot do without is checked before it takes over.
func TestAReloadWithADamagedKeyRingFailsAndSaysSo(t *testing.T) {
	g := start(t, config{})
	ring := filepath.Join(g.dir, "caddy", "stepgate", "keys.json")
	whole, err := os.ReadFile(ring)
	if err != nil {
		t.Fatal(err)
	}
	for want, damage := range map[string]func() error{
		"keys.json in Caddy's storage is damaged": func() error { return os.WriteFile(ring, whole[1:], 0o600) },
		"no key ring in Caddy's storage":          func() error { return os.Remove(ring) },
	} {
		if err := damage(); err != nil {
			t.Fatal(err)
		}
		err := g.load(config{brand: "Other Casino"})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), string(whole[60:80])) {
			t.Errorf("Load = %v, want an error with %q and nothing of the ring", err, want)
		}
		// Apps start in random order: the server of the configuration that fails may have
		// taken a connection in its last moment. It has no store, and answers 503 (I10).
		p := g.login(budisLogin)
		withdraw := func() answer { return p.post("/wallet/withdraw", "amount", "100.000", "account", "BCA 1234567890") }
		got := withdraw()
		for end := time.Now().Add(10 * time.Second); got.status == http.StatusServiceUnavailable && time.Now().Before(end); {
			got = withdraw()
		}
		if got.want(http.StatusUnauthorized); !strings.Contains(got.body, "Example Casino") {
			t.Error("the configuration that failed is the one that answers")
		}
		if err := os.WriteFile(ring, whole, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.load(config{brand: "Other Casino"}); err != nil {
		t.Errorf("Load with the ring in its place = %v", err)
	}
}

// I10: the old configuration is cleaned up while its requests are under way. They
// go on with the store, which the new one keeps open.
func TestInvariantI10RequestsUnderWayOutliveTheirConfiguration(t *testing.T) {
	g := start(t, config{})
	p := g.login(budisLogin)
	p.pass("/account/email")
	release := g.site.hold()
	defer release()
	answers := make(chan answer, 3)
	var wg sync.WaitGroup
	for _, send := range []func() (answer, error){
		func() (answer, error) { return p.send("GET", "/slow", "", "") },
		func() (answer, error) {
			return p.send("POST", "/account/email", formType, form("email", "budi@example.com"))
		},
		func() (answer, error) {
			return p.send("POST", "/wallet/withdraw", formType, form("amount", "100.000", "account", "BCA 1"))
		},
	} {
		wg.Go(func() {
			a, err := send()
			if err != nil {
				t.Error(err)
			}
			answers <- a
		})
		// It waits at the site, for its answer or for whose session it is.
		<-g.site.paused
	}
	if err := g.load(config{brand: "Other Casino"}); err != nil {
		t.Fatal(err)
	}
	release()
	wg.Wait()
	close(answers)
	got := map[int]int{}
	for a := range answers {
		got[a.status]++
	}
	if got[http.StatusOK] != 1 || got[http.StatusSeeOther] != 1 || got[http.StatusUnauthorized] != 1 {
		t.Errorf("statuses = %v, want 200 for the open request, 303 for the one with a grant, 401 for the one without", got)
	}
	if n := len(g.site.reached("/wallet/withdraw")); n != 0 {
		t.Errorf("the site got %d withdrawals without a code, want none", n)
	}
}

// I10: nobody keeps the store open for a request that outlives the last
// configuration; it is refused.
func TestInvariantI10ARequestThatOutlivesTheStoreIsRefused(t *testing.T) {
	g := start(t, config{})
	p := g.login(budisLogin)
	p.pass("/account/email")
	release := g.site.hold()
	defer release()
	done := make(chan answer, 1)
	go func() {
		a, err := p.send("POST", "/account/email", formType, form("email", "budi@example.com"))
		if err != nil {
			t.Error(err)
		}
		done <- a
	}()
	<-g.site.paused
	before := len(g.site.reached("/account/email"))
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	release()
	(<-done).want(http.StatusServiceUnavailable)
	if n := len(g.site.reached("/account/email")) - before; n != 0 {
		t.Errorf("the site got %d requests that nobody could check, want none", n)
	}
}
