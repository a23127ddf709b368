package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	"github.com/stepgate/stepgate/internal/gate"
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "player",
		Usage: "show|lift|unlock|reset <subject> [--by <name>]",
		Short: "Shows a player's factors, and helps one who has lost them",
		Long: `Asks the running gateway, through its admin API. The subject is the player's id at
the site. Make sure by other means than Stepgate's who the player is before you
change anything.`,
		CobraFunc: playerCommand,
	})
}

func playerCommand(cmd *cobra.Command) {
	cmd.Args = cobra.NoArgs
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	for _, c := range []struct{ act, short string }{
		{gate.SupportShow, "Shows a player's factors and what happened last"},
		{"lift", "Ends a freeze; what was bound since the change objected to goes with it"},
		{"unlock", "Lets factors answer again that too many failures disabled"},
		{"reset", "Removes every factor, the recovery key and all trusted browsers"},
	} {
		p := &playerCLI{act: c.act}
		sub := &cobra.Command{Use: c.act + " <subject>", Short: c.short, Args: cobra.ExactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error { return p.run(cmd.OutOrStdout(), args[0]) }}
		sub.Flags().StringVar(&p.by, "by", "", "who does it: an agent or a ticket (required for changes)")
		sub.Flags().StringVar(&p.address, "address", "", "the gateway's admin address")
		sub.Flags().StringVarP(&p.config, "config", "c", "", "the gateway's configuration, which names its admin address")
		if c.act == "reset" {
			sub.Flags().BoolVar(&p.yes, "yes", false, "yes, remove them all")
		}
		cmd.AddCommand(sub)
	}
}

// playerCLI is one command with its flags.
type playerCLI struct {
	act, by, address, config string
	yes                      bool
}

func (p *playerCLI) run(out io.Writer, subject string) error {
	if p.act == "reset" && !p.yes {
		return errors.New("reset removes every factor of the player: add --yes")
	}
	address, err := caddycmd.DetermineAdminAPIAddress(p.address, nil, p.config, "")
	if err != nil {
		return fmt.Errorf("finding the admin address: %w", err)
	}
	body, err := json.Marshal(playersQuestion{Subject: subject, Do: p.act, By: p.by})
	if err != nil {
		return fmt.Errorf("encoding the question: %w", err)
	}
	res, err := caddycmd.AdminAPIRequest(address, http.MethodPost, playersPath, nil, strings.NewReader(string(body)))
	if err != nil {
		return fmt.Errorf("asking the gateway: %w", err)
	}
	defer res.Body.Close()
	var player gate.Player
	if err := json.NewDecoder(res.Body).Decode(&player); err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	return printPlayer(out, &player)
}

func printPlayer(out io.Writer, p *gate.Player) error {
	const layout = "2006-01-02 15:04:05 MST"
	var b strings.Builder
	fmt.Fprintf(&b, "account %s\n", p.Account)
	for _, e := range p.Enrolments {
		fmt.Fprintf(&b, "factor %s, since %s", e.Factor, e.Since.Format(layout))
		if !e.Used.IsZero() {
			fmt.Fprintf(&b, ", used %s", e.Used.Format(layout))
		}
		if e.Phone != "" {
			fmt.Fprintf(&b, ", %s", e.Phone)
		}
		if e.Name != "" {
			fmt.Fprintf(&b, ", %q", e.Name)
		}
		b.WriteByte('\n')
	}
	if k := p.RecoveryKey; k != nil {
		fmt.Fprintf(&b, "recovery key since %s, saved: %t\n", k.Since.Format(layout), k.Saved)
	}
	for _, f := range p.Disabled {
		fmt.Fprintf(&b, "disabled: %s\n", f)
	}
	if !p.HeldUntil.IsZero() {
		fmt.Fprintf(&b, "held until %s\n", p.HeldUntil.Format(layout))
	}
	if !p.FrozenSince.IsZero() {
		fmt.Fprintf(&b, "frozen since %s\n", p.FrozenSince.Format(layout))
	}
	fmt.Fprintf(&b, "trusted browsers: %d\n", p.TrustedBrowsers)
	for _, a := range p.Activities {
		fmt.Fprintf(&b, "%s %s\n", a.At.Format(layout), a.Kind)
	}
	if _, err := io.WriteString(out, b.String()); err != nil {
		return fmt.Errorf("printing: %w", err)
	}
	return nil
}
