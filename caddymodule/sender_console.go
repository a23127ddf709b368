package caddymodule

import (
	"context"
	"os"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/stepgate/stepgate/sms"
	"github.com/stepgate/stepgate/sms/console"
)

func init() { caddy.RegisterModule(new(ConsoleSender)) }

// ConsoleSender prints every SMS, code and number included, to standard error and
// sends nothing. It is for development: whoever reads the terminal, or the journal
// that it ends in, passes every challenge.
type ConsoleSender struct {
	sender *console.Sender
}

// CaddyModule returns the Caddy module information.
func (*ConsoleSender) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: senderNamespace + ".console", New: func() caddy.Module { return new(ConsoleSender) }}
}

// Provision warns of what was configured.
func (s *ConsoleSender) Provision(ctx caddy.Context) error {
	s.sender = &console.Sender{W: os.Stderr}
	ctx.Logger().Warn("SMS codes and full numbers are printed to standard error, and nothing is sent: for development only")
	return nil
}

// Send prints one message.
func (s *ConsoleSender) Send(ctx context.Context, m sms.Message) (sms.Receipt, error) {
	return s.sender.Send(ctx, m)
}

// UnmarshalCaddyfile sets up the sender from Caddyfile tokens:
//
//	console
func (s *ConsoleSender) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the module's name
	return finish(d, "console")
}

var (
	_ caddy.Provisioner     = (*ConsoleSender)(nil)
	_ caddyfile.Unmarshaler = (*ConsoleSender)(nil)
	_ sms.Sender            = (*ConsoleSender)(nil)
)
