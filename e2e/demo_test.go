package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/stepgate/stepgate/examples/casino"
	"github.com/stepgate/stepgate/internal/leaktest"
)

// binary is the stepgate command, built once for all tests.
var binary string

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "stepgate-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "stepgate")
	if out, err := exec.Command("go", "build", "-o", binary, "../cmd/stepgate").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building stepgate: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// demo is a running `stepgate demo`.
type demo struct {
	t   *testing.T
	url string
	// site is the casino behind it, which lives in the test's own process so that
	// its ledger can be read and survives the gateway's death.
	site *casino.Site
	back *httptest.Server
	// state is the folder that the gateway keeps its state in.
	state string
	cmd   *exec.Cmd
	mu    sync.Mutex // guards out
	out   strings.Builder
	done  chan struct{}
	// phone says that the process has a page with what went to the phones.
	phone bool
	// secrets are what the process must print and log nowhere, but where it is there for
	// that: among the messages to the phones.
	secrets leaktest.Secrets
}

// demoCrowd is how many players the site has beside those whom the demo names.
const demoCrowd = 100

// startDemo starts the demo in front of a site of the test's own.
func startDemo(t *testing.T) *demo {
	t.Helper()
	site := casino.New(casino.Options{Crowd: demoCrowd})
	back := httptest.NewServer(site)
	t.Cleanup(back.Close)
	d := &demo{t: t, site: site, back: back, state: t.TempDir(), phone: true}
	d.keepSecret()
	d.start("localhost:0")
	t.Cleanup(func() { d.stop(); d.checkOutput() })
	return d
}

var ready = regexp.MustCompile(`Demo ready at (http://\S+)`)

// start runs the binary and waits until it says that it is ready.
func (d *demo) start(listen string) {
	d.t.Helper()
	found := make(chan string, 1)
	cmd := exec.Command(binary, "demo", "--listen", listen, "--site", d.back.URL, "--state-dir", d.state)
	cmd.Env = append(os.Environ(), "STEPGATE_DEMO_LOG=DEBUG")
	d.launch(cmd, func(line string) {
		if m := ready.FindStringSubmatch(line); m != nil {
			found <- m[1]
		}
	})
	select {
	case d.url = <-found:
	case <-d.done:
		d.t.Fatalf("the demo ended before it was ready:\n%s", d.output())
	case <-time.After(60 * time.Second):
		d.t.Fatalf("the demo is not ready:\n%s", d.output())
	}
}

// launch starts a process and keeps what it prints. Each line of its standard output is
// shown to seen.
func (d *demo) launch(cmd *exec.Cmd, seen func(line string)) {
	d.t.Helper()
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		d.t.Fatal(err)
	}
	cmd.Stderr = d
	if err := cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	d.cmd, d.done = cmd, make(chan struct{})
	go func() {
		defer close(d.done)
		lines := bufio.NewScanner(pipe)
		for lines.Scan() {
			fmt.Fprintln(d, lines.Text())
			seen(lines.Text())
		}
		_ = cmd.Wait()
	}()
}

// Write keeps what the process prints.
func (d *demo) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.out.Write(p)
}

func (d *demo) output() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.out.String()
}

// address is where the demo listens.
func (d *demo) address() string { return strings.TrimPrefix(d.url, "http://") }

// kill ends the process as a power cut does.
func (d *demo) kill() {
	_ = d.cmd.Process.Kill()
	<-d.done
}

// stop ends the process as Ctrl-C does.
func (d *demo) stop() {
	if d.phone {
		_, _ = d.tryMessages() // a process that is gone has none
	}
	_ = d.cmd.Process.Signal(syscall.SIGINT)
	select {
	case <-d.done:
	case <-time.After(30 * time.Second):
		d.kill()
	}
}

// restart starts the process again over the same state and address.
func (d *demo) restart() {
	d.t.Helper()
	d.start(d.address())
}

type message struct {
	To   string    `json:"to"`
	Text string    `json:"text"`
	Code string    `json:"code"`
	At   time.Time `json:"at"`
}

// messages returns what went to the phones, newest first.
func (d *demo) messages() []message {
	d.t.Helper()
	all, err := d.tryMessages()
	if err != nil {
		d.t.Fatalf("reading the demo's phone: %v", err)
	}
	return all
}

// tryMessages is messages while the process may be killed.
func (d *demo) tryMessages() ([]message, error) {
	req, err := http.NewRequest("GET", d.url+"/.demo/phone", nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	var all []message
	err = json.NewDecoder(res.Body).Decode(&all)
	for _, m := range all {
		d.secrets.AddNumber("a number", m.To)
		d.secrets.AddCode("a code", m.Code)
		d.secrets.Add("the text of an SMS", m.Text)
	}
	return all, err
}

// code returns the code of the newest message.
func (d *demo) code() string {
	d.t.Helper()
	all := d.messages()
	if len(all) == 0 {
		d.t.Fatal("no SMS was sent")
	}
	return all[0].Code
}

var setupKey = regexp.MustCompile(`(?m)\b([A-Z2-7]{4}(?: ?[A-Z2-7]{4}){7})\b`)

// sariSecret returns the setup key that the demo prints for sari.
func (d *demo) sariSecret() string {
	d.t.Helper()
	m := setupKey.FindStringSubmatch(d.output())
	if m == nil {
		d.t.Fatalf("the demo prints no setup key:\n%s", d.output())
	}
	return strings.ReplaceAll(m[1], " ", "")
}

const (
	codeStep = 30 * time.Second
	// codeTyping is how long a test takes at most from a code to the answer with it.
	codeTyping = 3 * time.Second
)

// totpCodes hands out codes of one secret, each of a step of its own: a step
// works once. It takes the steps that the gateway's clock skew allows.
type totpCodes struct {
	t      *testing.T
	secret string
	last   int64
}

func (c *totpCodes) next() string {
	c.t.Helper()
	now := time.Now()
	step := now.Unix()/30 - 1
	if end := now.Truncate(codeStep).Add(codeStep).Sub(now); c.last < step && end < codeTyping {
		// The oldest code that is accepted would be too old before it has been typed. The
		// one after it leaves as many to come, since the next step is so near.
		step++
	}
	if c.last >= step {
		step = c.last + 1
	}
	if end := now.Truncate(codeStep).Add(codeStep).Sub(now); step == now.Unix()/30+2 && end < codeTyping {
		// The one that was passed over above is missing now, for these few seconds.
		time.Sleep(end)
		now = time.Now()
	}
	if step > now.Unix()/30+1 {
		c.t.Fatal("the test uses codes faster than the clock makes them")
	}
	c.last = step
	code, err := totp.GenerateCode(c.secret, time.Unix(step*30, 0))
	if err != nil {
		c.t.Fatal(err)
	}
	return code
}

// withdrawals returns the player's withdrawals at the site.
func (d *demo) withdrawals(player string) []casino.Entry {
	var all []casino.Entry
	for _, e := range d.site.Ledger(player) {
		if e.Kind == casino.Withdrawal {
			all = append(all, e)
		}
	}
	return all
}

func (d *demo) wantWithdrawals(player string, amounts ...int64) {
	d.t.Helper()
	got := d.withdrawals(player)
	ok := len(got) == len(amounts)
	for i := range got {
		ok = ok && got[i].Amount == amounts[i]
	}
	if !ok {
		d.t.Fatalf("the ledger of %s has withdrawals %+v, want %v", player, got, amounts)
	}
}
