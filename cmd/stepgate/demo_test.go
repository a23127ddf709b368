package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/stepgate/stepgate/examples/casino"
)

// messages returns what is on the phones, newest first.
func (r *running) messages() []message {
	r.t.Helper()
	a := send(r.t, http.DefaultClient, "GET", r.url+"/.demo/phone", "", http.Header{"Accept": {"application/json"}}).want(r.t, http.StatusOK)
	var all []message
	if err := json.Unmarshal([]byte(a.body), &all); err != nil {
		r.t.Fatalf("the phone says no JSON: %v\n%s", err, a.body)
	}
	return all
}

var setupKey = regexp.MustCompile(`(?m)^ +([A-Z2-7]{4}(?: [A-Z2-7]{4}){7})$`)

// sariKey returns the set-up key that the demo prints.
func (r *running) sariKey() string {
	r.t.Helper()
	m := setupKey.FindStringSubmatch(r.output())
	if m == nil {
		r.t.Fatalf("no set-up key is printed:\n%s", r.output())
	}
	return strings.ReplaceAll(m[1], " ", "")
}

func withdrawals(site *casino.Site, player string) []int64 {
	var amounts []int64
	for _, e := range site.Ledger(player) {
		if e.Kind == casino.Withdrawal {
			amounts = append(amounts, e.Amount)
		}
	}
	return amounts
}

var marker = regexp.MustCompile(`name="stepgate_challenge" value="([^"]+)"`)

func TestBudiWithdrawsWithTheCodeFromThePhone(t *testing.T) {
	site, at := newSite(t)
	d := startDemo(t, "--site", at)
	if got := d.messages(); len(got) > 0 {
		t.Errorf("a new phone has %d messages", len(got))
	}
	c := d.login("budi")
	page := c.form("/wallet/withdraw", "amount", "2500000", "account", "BCA 1234567890").want(t, http.StatusUnauthorized)
	m := marker.FindStringSubmatch(page.body)
	if m == nil {
		t.Fatalf("the answer is no challenge page:\n%s", page.body)
	}
	sms := d.messages()
	if len(sms) != 1 || sms[0].To != "+6281234567890" || !strings.Contains(sms[0].Text, sms[0].Code) || time.Since(sms[0].At).Abs() > time.Minute {
		t.Fatalf("the phones have %+v, want one message with a code to budi, of now", sms)
	}
	if !strings.Contains(d.output(), sms[0].Text) {
		t.Errorf("the message is not printed:\n%s", d.output())
	}
	if got := withdrawals(site, "budi"); got != nil {
		t.Fatalf("before the code the ledger has withdrawals of %v", got)
	}
	done := c.form("/wallet/withdraw", "stepgate_challenge", m[1], "stepgate_factor", "sms",
		"stepgate_code", sms[0].Code, "stepgate_action", "answer").want(t, http.StatusSeeOther)
	if to := done.header.Get("Location"); to != "/wallet" {
		t.Errorf("budi is led to %q, want the wallet", to)
	}
	if got := withdrawals(site, "budi"); !slices.Equal(got, []int64{2_500_000}) {
		t.Errorf("the ledger has withdrawals of %v, want the one", got)
	}
}

// The way that the demo prints for apps. The code is of the very step in which the
// demo was started: setting sari up has not used it.
func TestSariWithdrawsAsAnAppWithThePrintedKey(t *testing.T) {
	site, at := newSite(t)
	d := startDemo(t, "--site", at)
	c := d.login("sari")
	const body = `{"amount":2500000,"account":"BCA 1234567890"}`
	var problem struct {
		Challenge struct {
			ID, URL string
			Factors []string
		}
	}
	a := c.json("/api/v1/withdrawals", body).want(t, http.StatusUnauthorized)
	if err := json.Unmarshal([]byte(a.body), &problem); err != nil {
		t.Fatal(err)
	}
	if got := problem.Challenge.Factors; len(got) == 0 || got[0] != "totp" {
		t.Errorf("sari is asked for %v, want her authenticator first", got)
	}
	code, err := totp.GenerateCode(d.sariKey(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	c.json(problem.Challenge.URL, fmt.Sprintf(`{"factor":"totp","code":%q}`, code)).want(t, http.StatusOK)
	c.json("/api/v1/withdrawals", body, "Step-Up-Challenge", problem.Challenge.ID).want(t, http.StatusCreated)
	if got := withdrawals(site, "sari"); !slices.Equal(got, []int64{2_500_000}) {
		t.Errorf("the ledger has withdrawals of %v, want the one", got)
	}
}

func TestADemoThatIsStoppedLeavesNothingBehind(t *testing.T) {
	for _, with := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		t.Run(with.String(), func(t *testing.T) {
			d := startDemo(t)
			c := d.login("budi")
			c.json("/api/v1/withdrawals", `{"amount":1,"account":"x"}`).want(t, http.StatusUnauthorized)
			// An answer that has no end must not keep the demo from ending.
			live, err := c.Get(d.url + "/live")
			if err != nil {
				t.Fatal(err)
			}
			defer live.Body.Close()
			if _, err := live.Body.Read(make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
			d.stop(with)
			wantExit(t, d.err, 0)
			d.wantNothingLeft(t)
			if strings.Contains(d.output(), `"level"`) {
				t.Errorf("the terminal got a log:\n%s", d.output())
			}
		})
	}
}

func TestADemoThatIsStoppedWhileItStartsLeavesNothingBehind(t *testing.T) {
	t.Run("the process", func(t *testing.T) {
		d := launch(t, "--listen", "localhost:0")
		begun := make(chan struct{})
		go func() {
			defer close(begun)
			for tick := time.Tick(time.Millisecond); ; {
				if found, err := os.ReadDir(d.tmp); err != nil || len(found) > 0 {
					return
				}
				select {
				case <-tick:
				case <-d.ended:
					return
				}
			}
		}()
		d.await(begun, "the demo to make its folder")
		d.stop(syscall.SIGTERM)
		wantExit(t, d.err, 0)
		d.wantNothingLeft(t)
	})
	t.Run("before it has enrolled anybody", func(t *testing.T) {
		tmp := t.TempDir()
		t.Setenv("TMPDIR", tmp)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := (demoOptions{listen: "localhost:0"}).run(ctx, io.Discard); err != nil {
			t.Errorf("run = %v", err)
		}
		if left := inside(t, tmp); len(left) > 0 {
			t.Errorf("it left %q", left)
		}
	})
}

func TestAPortInUseIsSaid(t *testing.T) {
	other, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	first := startDemo(t)
	for name, taken := range map[string]string{
		"by another program": other.Addr().String(),
		// Two Caddys could share the port.
		"by another demo": strings.TrimPrefix(first.url, "http://"),
	} {
		t.Run(name, func(t *testing.T) {
			_, port, err := net.SplitHostPort(taken)
			if err != nil {
				t.Fatal(err)
			}
			d := launch(t, "--listen", "localhost:"+port)
			d.await(d.ended, "the demo to give up")
			wantExit(t, d.err, 1)
			d.wantNothingLeft(t)
			if want := "port " + port + " is in use; try --listen localhost:"; !strings.Contains(d.output(), want) {
				t.Errorf("it says %q, want %q", d.output(), want)
			}
		})
	}
}

func TestAStateFolderKeepsWhatPlayersHaveSetUp(t *testing.T) {
	_, at := newSite(t)
	folder := filepath.Join(t.TempDir(), `a folder with "quotes"`)
	first := startDemo(t, "--state-dir", folder, "--site", at)
	c := first.login("budi")
	c.json("/api/v1/withdrawals", `{"amount":1,"account":"x"}`).want(t, http.StatusUnauthorized)

	beside := launch(t, "--listen", "localhost:0", "--state-dir", folder)
	beside.await(beside.ended, "the second demo on the same folder to give up")
	wantExit(t, beside.err, 1)

	first.kill()
	again := startDemo(t, "--state-dir", folder, "--site", at, "--listen", strings.TrimPrefix(first.url, "http://"))
	if a, b := first.sariKey(), again.sariKey(); a != b {
		t.Error("after a kill and a restart sari has another key")
	}
	// The challenge is open, too: no second SMS.
	c.json("/api/v1/withdrawals", `{"amount":1,"account":"x"}`).want(t, http.StatusUnauthorized)
	if n := len(again.messages()); n > 0 {
		t.Errorf("after the restart %d SMS were sent for a challenge that is open", n)
	}
	again.stop(syscall.SIGINT)
	wantExit(t, again.err, 0)
	again.wantNothingLeft(t)
	if kept := inside(t, folder); len(kept) == 0 {
		t.Error("the state folder is empty")
	}
}

// A page on the web can give its own name to this machine's address.
func TestThePhoneIsForThisMachineOnly(t *testing.T) {
	d := startDemo(t)
	d.login("budi").json("/api/v1/withdrawals", `{"amount":1,"account":"x"}`).want(t, http.StatusUnauthorized)
	code := d.messages()[0].Code
	for _, host := range []string{"evil.example", "localhost.evil.example"} {
		a := send(t, http.DefaultClient, "GET", d.url+"/.demo/phone", "", http.Header{"Host": {host}})
		if strings.Contains(a.body, code) {
			t.Errorf("for host %s the code is shown", host)
		}
	}
	port := d.url[strings.LastIndex(d.url, ":"):]
	if a := send(t, http.DefaultClient, "GET", "http://127.0.0.1"+port+"/.demo/phone", "", http.Header{}); !strings.Contains(a.body, code) {
		t.Errorf("at 127.0.0.1 the code is not shown: %d %s", a.status, a.body)
	}
}

func TestWhatTheDemoCannotDoIsRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		args []string
		want string
	}{
		"every address":  {[]string{"--listen", "0.0.0.0:9080"}, "this machine only"},
		"no host":        {[]string{"--listen", ":9080"}, "this machine only"},
		"another host":   {[]string{"--listen", "casino.example:9080"}, "this machine only"},
		"no port":        {[]string{"--listen", "localhost"}, "write host and port"},
		"port name":      {[]string{"--listen", "localhost:http"}, "0 to 65535"},
		"port too large": {[]string{"--listen", "localhost:65536"}, "0 to 65535"},
		"site over TLS":  {[]string{"--site", "https://127.0.0.1:1"}, "write scheme and host"},
		"site with path": {[]string{"--site", "http://127.0.0.1:1/"}, "write scheme and host"},
		"site of one":    {[]string{"--site", "127.0.0.1:1"}, "write scheme and host"},
		"an argument":    {[]string{"now"}, "unknown command"},
	} {
		t.Run(name, func(t *testing.T) {
			c := stepgate(t, append([]string{"demo"}, tc.args...)...)
			out, err := c.CombinedOutput()
			wantExit(t, err, 1)
			c.wantNothingLeft(t)
			if !strings.Contains(string(out), tc.want) {
				t.Errorf("it says %q, want %q", out, tc.want)
			}
		})
	}
}
