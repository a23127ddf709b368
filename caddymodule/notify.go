package caddymodule

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/stepgate/stepgate/internal/notify"
	"github.com/stepgate/stepgate/internal/standardwebhooks"
)

// Notify says where the site is told of changes to a player's factors, so that it can
// tell the player by its own e-mail. Each notice is a POST signed as Standard Webhooks
// says (https://www.standardwebhooks.com), with what happened, whose account it is,
// and a link for the player to object with.
//
// Whoever can read the notices learns who the players are, and can use the links.
type Notify struct {
	// The address of the site that takes them: https, or http on this machine or in a
	// private network (a loopback or private address, localhost, a name without a dot
	// or below .internal). A redirect is not followed. Placeholders such as
	// `{env.STEPGATE_NOTIFY_URL}` are replaced at load. Required.
	URL string `json:"url,omitempty"`

	// What notices are signed with, which the site knows too: `whsec_` and 24 to 64
	// random bytes in base64. Whoever has it can make the site write e-mail. What stands
	// here is in every dump of the configuration, so write it as a placeholder such as
	// `{env.STEPGATE_NOTIFY_SECRET}` or `{file./run/secrets/notify}`. Required.
	Secret string `json:"secret,omitempty"`

	// How long sending one notice may take, all tries together. Default: 5s.
	Timeout caddy.Duration `json:"timeout,omitempty"`
}

// webhook returns what sends the notices, or what is wrong. No error quotes address
// or secret.
func (n *Notify) webhook() (*notify.Webhook, error) {
	if n.Timeout < 0 {
		return nil, errors.New("timeout is negative: write how long a notice may take, such as 5s")
	}
	known := caddy.NewReplacer()
	address, err := known.ReplaceOrErr(n.URL, true, true)
	if err != nil {
		return nil, fmt.Errorf("reading the address: %w", err)
	}
	if err := notify.CheckURL(address); err != nil {
		return nil, err
	}
	text, err := known.ReplaceOrErr(n.Secret, true, true)
	if err != nil {
		return nil, fmt.Errorf("reading the secret: %w", err)
	}
	secret, err := standardwebhooks.ParseSecret(text)
	if err != nil {
		return nil, err
	}
	return &notify.Webhook{URL: address, Secret: secret, Timeout: time.Duration(n.Timeout)}, nil
}

// parseNotify reads where notices go:
//
//	notify <url> {
//		secret  <secret>
//		timeout <duration>
//	}
func (a *App) parseNotify(d *caddyfile.Dispenser) error {
	n := new(Notify)
	a.Notify = n
	var err error
	if n.URL, err = argument(d, "an address of the site, such as https://site.internal/hooks/stepgate"); err != nil {
		return err
	}
	// A placeholder is known when the configuration is loaded.
	if !strings.Contains(n.URL, "{") {
		if err := notify.CheckURL(n.URL); err != nil {
			return d.WrapErr(err)
		}
	}
	err = parseBlock(d, "notify", []option{
		{name: "secret", parse: n.parseSecret},
		duration("timeout", "5s", &n.Timeout),
	})
	if err != nil {
		return err
	}
	if n.Secret == "" {
		return d.Errf("notify needs a secret that the site knows too: write one such as secret {env.STEPGATE_NOTIFY_SECRET}, and set that variable")
	}
	return nil
}

func (n *Notify) parseSecret(d *caddyfile.Dispenser) error {
	var err error
	if n.Secret, err = argument(d, "a placeholder such as {env.STEPGATE_NOTIFY_SECRET}"); err != nil || strings.Contains(n.Secret, "{") {
		return err
	}
	if _, err := standardwebhooks.ParseSecret(n.Secret); err != nil {
		return d.WrapErr(err)
	}
	return nil
}
