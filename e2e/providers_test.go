package e2e

import (
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stepgate/stepgate/examples/casino"
	"github.com/stepgate/stepgate/sms/vonage/vonagetest"
)

// shop is a gateway as an operator runs it, by a Caddyfile of its own: codes go through
// Vonage, or through a second provider. Both are fakes on this machine.
type shop struct {
	*demo
	vonage *vonagetest.Server
	backup *backup
}

// backup is a provider that takes a form.
type backup struct {
	server *httptest.Server
	down   atomic.Bool

	mu   sync.Mutex // guards sent
	sent []message
}

func (b *backup) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if b.down.Load() {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	text := r.FormValue("text")
	b.sent = append(b.sent, message{To: r.FormValue("to"), Text: text, Code: codeInText.FindString(text)})
}

func (b *backup) messages() []message {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]message(nil), b.sent...)
}

var codeInText = regexp.MustCompile(`\b[0-9]{6}\b`)

const (
	shopKey       = "abcd1234"
	shopSecret    = "vonage-api-secret-9041"
	shopSignature = "vonage-signature-secret-of-32-characters"
	shopToken     = "backup-bearer-token-7785"
	// shopHost is where players would reach the site.
	shopHost = "kasino.example"
)

// shopCaddyfile takes the folder, Vonage's URL and the backup's, the port, and the site's
// URL.
const shopCaddyfile = `{
	admin off
	persist_config off
	storage file_system %[1]s/storage
	storage_clean_interval off
	log {
		output file %[1]s/log.json
		format json
		level DEBUG
	}
	stepgate {
		store bolt %[1]s/stepgate.db
		brand "Kasino Melati" {
			color 0b6e4f
			languages id en
			time_zone Asia/Jakarta
			support_url https://bantuan.example/chat
		}
		sms {
			vonage {
				api_key abcd1234
				api_secret {env.VONAGE_SECRET}
				signature_secret {env.VONAGE_SIGNATURE}
				from MELATI
				base_url %[2]s
			}
			provider backup webhook {
				url %[3]s/send
				auth bearer {env.BACKUP_TOKEN}
				body form
				field to {to}
				field text {text}
				not_sent status 503
			}
			countries ID SG
		}
	}
}

http://localhost:%[4]s {
	bind 127.0.0.1
	log
	step_up {
		identity upstream %[5]s/api/me {
			cookie casino_session
			subject json:id
			login json:username
			phone json:phone
		}
		settings /account/security
		login_page /login
		public_url https://kasino.example
		protect withdrawal {
			path /wallet/withdraw
			method POST
			single_use
			show amount {form.amount}
			show to {form.account}
			unenrolled registered_phone
		}
	}
	reverse_proxy %[5]s
}
`

// openShop starts the gateway.
func openShop(t *testing.T) *shop {
	t.Helper()
	site := casino.New(casino.Options{})
	back := httptest.NewServer(site)
	t.Cleanup(back.Close)
	dir := t.TempDir()
	s := &shop{demo: &demo{t: t, site: site, back: back, state: dir}, backup: new(backup)}
	address := freeAddress(t)
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	s.url = "http://localhost:" + port
	s.vonage = vonagetest.New(vonagetest.Options{
		Key: shopKey, Secret: shopSecret, SignatureSecret: shopSignature, StatusURL: s.url + "/.stepgate/sms/receipts/vonage",
	})
	s.backup.server = httptest.NewServer(s.backup)
	t.Cleanup(s.backup.server.Close)
	file := filepath.Join(dir, "Caddyfile")
	text := fmt.Sprintf(shopCaddyfile, dir, s.vonage.Start(t), s.backup.server.URL, port, back.URL)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s.keepSecret()
	cmd := exec.Command(binary, "run", "--config", file, "--adapter", "caddyfile")
	cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_CONFIG_HOME=", "XDG_DATA_HOME=",
		"VONAGE_SECRET="+shopSecret, "VONAGE_SIGNATURE="+shopSignature, "BACKUP_TOKEN="+shopToken)
	s.launch(cmd, func(string) {})
	t.Cleanup(func() { s.stop(); s.checkLogs() })
	s.awaitServing()
	return s
}

// awaitServing waits until the gateway serves.
func (d *demo) awaitServing() {
	d.t.Helper()
	over := time.After(60 * time.Second)
	for tick := time.Tick(20 * time.Millisecond); ; {
		if res, err := http.Get(d.url + "/login"); err == nil {
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case <-tick:
		case <-d.done:
			d.t.Fatalf("the gateway ended before it served:\n%s", d.output())
		case <-over:
			d.t.Fatalf("the gateway does not serve:\n%s", d.output())
		}
	}
}

// checkLogs fails the test if a secret stands in the log, which is kept at DEBUG, or in
// what the gateway has printed (invariant I8).
func (s *shop) checkLogs() {
	for what, secret := range map[string]string{"Vonage's secret": shopSecret, "the signature secret": shopSignature, "the backup's token": shopToken} {
		s.secrets.Add(what, secret)
	}
	s.secrets.Add("Vonage's credentials", base64.StdEncoding.EncodeToString([]byte(shopKey+":"+shopSecret)))
	for _, m := range s.sent() {
		s.secrets.AddNumber("a number", m.To)
		s.secrets.AddCode("a code", m.Code)
		s.secrets.Add("the text of an SMS", m.Text)
	}
	log, err := os.ReadFile(filepath.Join(s.state, "log.json"))
	if err != nil {
		s.t.Error(err) // it did not start, perhaps
		return
	}
	if !strings.Contains(string(log), `"level":"debug"`) {
		s.t.Error("the log has nothing at DEBUG")
	}
	s.secrets.Check(s.t, "log.json", string(log))
	s.secrets.Check(s.t, "what the gateway prints", s.output())
}

// sent returns what Vonage took, and then what the backup took.
func (s *shop) sent() []message {
	var all []message
	for _, m := range s.vonage.Outbox() {
		all = append(all, message{To: "+" + m.To, Text: m.Text, Code: codeInText.FindString(m.Text)})
	}
	return append(all, s.backup.messages()...)
}

// texted returns the last message that Vonage took.
func (s *shop) texted() message {
	s.t.Helper()
	n := len(s.vonage.Outbox())
	if n == 0 {
		s.t.Fatal("Vonage took no message")
	}
	return s.sent()[n-1]
}
