package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/stepgate/stepgate/sms"
	"github.com/stepgate/stepgate/sms/console"
)

// keptMessages is how many messages the phones keep.
const keptMessages = 50

// phones are the players' phones: all messages that were sent to any of them.
type phones struct {
	terminal console.Sender
	now      func() time.Time

	mu       sync.Mutex // guards messages
	messages []message  // the newest first
}

type message struct {
	To   string    `json:"to"`
	Text string    `json:"text"`
	Code string    `json:"code"`
	At   time.Time `json:"at"`
}

func newPhones(terminal io.Writer, now func() time.Time) *phones {
	return &phones{terminal: console.Sender{W: terminal}, now: now}
}

// register makes the phones known to Caddy as modules, as the init function of a
// third party does. It is done for the demo only: in a gateway before real
// players, a page that shows codes must not even be possible to configure.
func (p *phones) register() {
	caddy.RegisterModule(&phoneSender{phones: p})
	caddy.RegisterModule(&phonePage{phones: p})
	httpcaddyfile.RegisterHandlerDirective("demo_phone", func(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
		h.Next() // the directive
		return &phonePage{phones: p}, nil
	})
	// Before step_up, which stands after forward_auth.
	httpcaddyfile.RegisterDirectiveOrder("demo_phone", httpcaddyfile.Before, "forward_auth")
}

// receive keeps a message and prints it.
func (p *phones) receive(ctx context.Context, m sms.Message) (sms.Receipt, error) {
	p.mu.Lock()
	p.messages = slices.Insert(p.messages, 0, message{To: m.To.E164(), Text: m.Text, Code: m.Code, At: p.now()})
	p.messages = p.messages[:min(len(p.messages), keptMessages)]
	p.mu.Unlock()
	// The terminal may be gone; the page has the message all the same.
	_, _ = p.terminal.Send(ctx, m)
	return sms.Receipt{ID: m.Ref}, nil
}

// all returns the messages, the newest first.
func (p *phones) all() []message {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]message{}, p.messages...)
}

// phoneSender hands text messages to the phones.
type phoneSender struct{ phones *phones }

// CaddyModule returns the Caddy module information.
func (s *phoneSender) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "stepgate.senders.demo_phone", New: func() caddy.Module { return &phoneSender{phones: s.phones} }}
}

// Send delivers one message.
func (s *phoneSender) Send(ctx context.Context, m sms.Message) (sms.Receipt, error) {
	return s.phones.receive(ctx, m)
}

// UnmarshalCaddyfile sets up the sender from Caddyfile tokens:
//
//	demo_phone
func (*phoneSender) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the module's name
	if d.NextArg() {
		return d.ArgErr()
	}
	return nil
}

// phonePage shows what is on the phones.
type phonePage struct{ phones *phones }

// CaddyModule returns the Caddy module information.
func (h *phonePage) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.demo_phone", New: func() caddy.Module { return &phonePage{phones: h.phones} }}
}

var (
	//go:embed demo/phone.html
	phoneHTML string
	//go:embed demo/phone.css
	phoneStyle string

	phoneTemplate = template.Must(template.New("phone").Parse(phoneHTML))
)

// ServeHTTP answers with a page if the client wants one, and with JSON otherwise.
func (h *phonePage) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		return caddyhttp.Error(http.StatusMethodNotAllowed, errors.New("the phone is for reading"))
	}
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	header.Set("Vary", "Accept")
	header.Set("X-Content-Type-Options", "nosniff")
	if !strings.Contains(r.Header.Get("Accept"), "text/html") {
		header.Set("Content-Type", "application/json")
		return json.NewEncoder(w).Encode(h.phones.all())
	}
	var page bytes.Buffer
	err := phoneTemplate.Execute(&page, struct {
		Style    template.CSS
		Messages []message
	}{template.CSS(phoneStyle), h.phones.all()})
	if err != nil {
		return fmt.Errorf("showing the phone: %w", err)
	}
	sum := sha256.Sum256([]byte(phoneStyle))
	header.Set("Content-Security-Policy",
		"default-src 'none'; style-src 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Content-Type", "text/html; charset=utf-8")
	_, err = page.WriteTo(w)
	return err
}

var (
	_ caddyhttp.MiddlewareHandler = (*phonePage)(nil)
	_ caddyfile.Unmarshaler       = (*phoneSender)(nil)
	_ sms.Sender                  = (*phoneSender)(nil)
)
