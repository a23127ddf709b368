package caddymodule

import (
	"context"
	"errors"
	"os"

	"go.uber.org/zap"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/stepgate/stepgate/sms"
	"github.com/stepgate/stepgate/sms/console"
)

func init() { caddy.RegisterModule(new(ConsoleSender)) }

// ConsoleSender prints every SMS, code and number included, to standard error and
// sends nothing. It is for development: whoever reads the terminal, or the journal
// that it ends in, passes every challenge. A site that is not on this machine only
// does not start with it.
type ConsoleSender struct {
	// Why codes may be printed although others than the developer reach the site, such
	// as `staging without real players`. DANGER: whoever reads the log passes for every
	// player. The reason is logged at each start. Default: they may not.
	UnsafeConsole string `json:"unsafe_console,omitempty"`

	sender *console.Sender
}

// errConsole refuses a console before real players.
var errConsole = errors.New("sms console prints the codes of all players, and this site is not on this machine only: " +
	"write a sender such as vonage or webhook, or unsafe_console and the reason in the block of console")

// CaddyModule returns the Caddy module information.
func (*ConsoleSender) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: senderNamespace + ".console", New: func() caddy.Module { return new(ConsoleSender) }}
}

// Provision warns of what was configured.
func (s *ConsoleSender) Provision(ctx caddy.Context) error {
	s.sender = &console.Sender{W: os.Stderr}
	reason := s.UnsafeConsole
	if reason == "" {
		reason = "for development on this machine only"
	}
	ctx.Logger().Warn("SMS codes and full numbers are printed to standard error, and nothing is sent", zap.String("reason", reason))
	return nil
}

// Send prints one message.
func (s *ConsoleSender) Send(ctx context.Context, m sms.Message) (sms.Receipt, error) {
	return s.sender.Send(ctx, m)
}

// UnmarshalCaddyfile sets up the sender from Caddyfile tokens:
//
//	console {
//		unsafe_console <reason>
//	}
func (s *ConsoleSender) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the module's name
	return parseBlock(d, "console", []option{
		text("unsafe_console", `the reason why codes may be printed although others reach the site, such as "staging without real players"`, &s.UnsafeConsole),
	})
}

var (
	_ caddy.Provisioner     = (*ConsoleSender)(nil)
	_ caddyfile.Unmarshaler = (*ConsoleSender)(nil)
	_ sms.Sender            = (*ConsoleSender)(nil)
)
