package caddymodule_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stepgate/stepgate/sms/vonage/vonagetest"
)

// providers are an account at a fake of Vonage, and a small provider of one's own that
// stands in for it.
type providers struct {
	t      *testing.T
	vonage *vonagetest.Server
	backup *httptest.Server
	// down makes the backup answer 503.
	down atomic.Bool
	// gateway is where callbacks go, once it runs.
	gateway *gateway
	// vonageURL is where Vonage is, and key the file with the application's private key.
	vonageURL, key string

	mu   sync.Mutex // guards sent
	sent []posted   // what the backup took
}

// posted is an SMS as the backup gets it.
type posted struct{ to, text, ref string }

const (
	vonageAccount   = "abcd1234"
	vonageSecret    = "vonage-api-secret-9041"
	vonageSignature = "vonage-signature-secret-of-32-characters"
	vonageToken     = "receipt-token-0123456789"
	backupToken     = "backup-bearer-token-7785"
	vonageAppID     = "aaaaaaaa-bbbb-4ccc-8ddd-0123456789ab"
)

// applicationKey is made once: it takes longer than a test.
var applicationKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

func newProviders(t *testing.T) *providers {
	t.Helper()
	p := &providers{t: t, key: filepath.Join(t.TempDir(), "vonage.pem")}
	key, err := applicationKey()
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p.key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	// As Vonage is told them: the gateway's port is not known to it.
	const receipts = "http://localhost/.stepgate/sms/receipts/vonage"
	p.vonage = vonagetest.New(vonagetest.Options{
		Key: vonageAccount, Secret: vonageSecret, Application: vonageAppID, PublicKey: &key.PublicKey, SignatureSecret: vonageSignature,
		StatusURL: receipts, VerifyURL: receipts, ReceiptURL: receipts + "/" + vonageToken, ReceiptShape: vonagetest.Query,
		Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", p.gateway.address)
		}},
	})
	p.vonageURL = p.vonage.Start(t)
	p.backup = httptest.NewServer(http.HandlerFunc(p.take))
	t.Cleanup(p.backup.Close)
	return p
}

// take is the backup.
func (p *providers) take(w http.ResponseWriter, r *http.Request) {
	if p.down.Load() {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	if r.Header.Get("Authorization") != "Bearer "+backupToken {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent = append(p.sent, posted{r.FormValue("to"), r.FormValue("text"), r.FormValue("ref")})
	w.WriteHeader(http.StatusAccepted)
}

// backups returns what the backup took.
func (p *providers) backups() []posted {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]posted(nil), p.sent...)
}

// messages is the block of Vonage's Messages API, and verify that of its Verify API.
func (p *providers) messages() string {
	return `
			vonage {
				application_id ` + vonageAppID + `
				private_key_file ` + p.key + `
				api_key ` + vonageAccount + `
				signature_secret {env.TEST_VONAGE_SIGNATURE}
				from EXAMPLE
				base_url ` + p.vonageURL + `
			}`
}

func (p *providers) verify() string {
	return strings.Replace(strings.Replace(p.messages(), "vonage {", "vonage {\n\t\t\t\tapi verify", 1), "from EXAMPLE", "", 1)
}

// both has Vonage and, after it, the backup.
func (p *providers) both() string {
	return p.messages() + `
			provider backup webhook {
				url ` + p.backup.URL + `/send
				auth bearer {env.TEST_BACKUP_TOKEN}
				body form
				field to {to}
				field text {text}
				field ref {ref}
				success status 202
				not_sent status 503
			}
			route ID vonage backup`
}

// start runs a gateway that sends through the providers.
func (p *providers) start(c config) *gateway {
	p.t.Helper()
	p.t.Setenv("TEST_VONAGE_SIGNATURE", vonageSignature)
	p.t.Setenv("TEST_VONAGE_SECRET", vonageSecret)
	p.t.Setenv("TEST_VONAGE_TOKEN", vonageToken)
	p.t.Setenv("TEST_BACKUP_TOKEN", backupToken)
	c.log = true
	g := start(p.t, c)
	p.gateway = g
	// Before the logs are searched, which start has put off to the end.
	p.t.Cleanup(p.keepSecret)
	return g
}

// keepSecret makes secret what went over the wires: the account's own, each number and
// code, and what proved the gateway to the provider.
func (p *providers) keepSecret() {
	s := &p.gateway.secrets
	for what, secret := range map[string]string{
		"the account's secret": vonageSecret, "the signature secret": vonageSignature, "the receipt token": vonageToken, "the backup's token": backupToken,
	} {
		s.Add(what, secret)
		s.Add(what+" as credentials", base64.StdEncoding.EncodeToString([]byte(vonageAccount+":"+secret)))
	}
	key, err := os.ReadFile(p.key)
	if err != nil {
		p.t.Error(err)
	}
	for line := range strings.Lines(string(key)) {
		if !strings.HasPrefix(line, "-----") {
			s.Add("the private key", strings.TrimSpace(line))
		}
	}
	for _, r := range p.vonage.Requests() {
		_, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		s.Add("the credentials of a request", token)
	}
	for _, m := range p.vonage.Outbox() {
		s.AddNumber("a number", "+"+m.To)
		s.Add("the text of an SMS", m.Text)
		s.AddCode("a code", codeIn(m.Text))
	}
	for _, m := range p.backups() {
		s.AddNumber("a number", m.to)
		s.Add("the text of an SMS", m.text)
		s.AddCode("a code", codeIn(m.text))
	}
}

var codePattern = regexp.MustCompile(`\b[0-9]{6}\b`)

// codeIn returns the code that a text carries: the first of six digits.
func codeIn(text string) string { return codePattern.FindString(text) }

// last returns the last message that Vonage took.
func (p *providers) last() vonagetest.Message {
	p.t.Helper()
	all := p.vonage.Outbox()
	if len(all) == 0 {
		p.t.Fatal("Vonage took no message")
	}
	return all[len(all)-1]
}

// report has Vonage report on a message, and wants a status.
func (p *providers) report(m vonagetest.Message, r vonagetest.Report, want int) {
	p.t.Helper()
	if got, err := p.vonage.Report(p.t.Context(), m, r); err != nil || got != want {
		p.t.Fatalf("a callback is answered %d, %v, want %d", got, err, want)
	}
}
