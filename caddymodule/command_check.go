package caddymodule

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "check",
		Usage: "--config <file> [--against <url>]",
		Short: "Looks for rules that protect less than they seem to",
		Long: `Looks for rules that can never match or say the same as others, for ways around
step_up in the configuration, and names the doors that the configuration leaves
open. It ends with an error if it found one.

With --against it asks the site itself, by harmless GET requests, what it is made
with, and names the profiles that fit.

"stepgate validate" says whether a configuration can be loaded; this says whether it
does what was meant. Nothing is loaded or started: the gateway may be running.`,
		CobraFunc: func(cmd *cobra.Command) {
			(&checkCLI{out: os.Stdout, client: &http.Client{Timeout: 10 * time.Second}}).prepare(cmd)
		},
	})
}

// severity is how bad a finding is.
type severity string

const (
	isError   severity = "error"   // something is not protected that a rule names
	isWarning severity = "warning" // probably not what was meant
	isNote    severity = "note"    // worth knowing
)

// finding is one thing that was found.
type finding struct {
	Severity severity `json:"severity"`
	// Site is the hosts of the step_up block, Rule the rule; either may be empty.
	Site string `json:"site,omitempty"`
	Rule string `json:"rule,omitempty"`
	// Text says what is wrong and what to write instead.
	Text string `json:"text"`
}

// checkCLI is the command's view of the world.
type checkCLI struct {
	config, adapter string
	against         string
	asJSON          bool

	out    io.Writer
	client *http.Client
}

func (c *checkCLI) prepare(cmd *cobra.Command) {
	configFlags(cmd, &c.config, &c.adapter)
	cmd.Flags().StringVar(&c.against, "against", "", "the site's own address, such as http://127.0.0.1:8080")
	cmd.Flags().BoolVar(&c.asJSON, "json", false, "print JSON")
	cmd.Args = cobra.NoArgs
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return c.run(cmd.Context()) }
}

func (c *checkCLI) run(ctx context.Context) error {
	layout, gates, err := readGates(c.config, c.adapter)
	if err != nil {
		return err
	}
	findings := layout.check(gates)
	for _, g := range gates {
		findings = append(findings, g.check()...)
		findings = append(findings, g.doors()...)
	}
	if c.against != "" {
		if ctx == nil {
			ctx = context.Background() // a command that was run without one
		}
		seen, err := c.ask(ctx)
		if err != nil {
			return err
		}
		findings = append(findings, matchProfiles(seen, gates)...)
	}
	order := []severity{isError, isWarning, isNote}
	slices.SortStableFunc(findings, func(a, b finding) int {
		return cmp.Compare(slices.Index(order, a.Severity), slices.Index(order, b.Severity))
	})
	if err := c.print(findings); err != nil {
		return err
	}
	wrong := 0
	for _, f := range findings {
		if f.Severity == isError {
			wrong++
		}
	}
	if wrong > 0 {
		return fmt.Errorf("found %d errors: what they name is not protected", wrong)
	}
	return nil
}

func (c *checkCLI) print(findings []finding) error {
	if c.asJSON {
		return printJSON(c.out, findings)
	}
	var text strings.Builder
	for _, f := range findings {
		fmt.Fprintf(&text, "%-8s", f.Severity)
		for _, at := range []string{f.Site, f.Rule} {
			if at != "" {
				fmt.Fprintf(&text, "%s: ", at)
			}
		}
		fmt.Fprintln(&text, f.Text)
	}
	if len(findings) == 0 {
		fmt.Fprintln(&text, "Nothing was found.")
	}
	if _, err := io.WriteString(c.out, text.String()); err != nil {
		return fmt.Errorf("printing: %w", err)
	}
	return nil
}

// traits are what tells a framework by the site's answers: a part of a header's
// value, by the profile that it speaks for.
var traits = []struct{ header, part, profile string }{
	{"X-Powered-By", "express", "express"},
	{"X-Powered-By", "next.js", "nextjs"},
	{"X-Powered-By", "php", "php"},
	{"X-Powered-By", "asp.net", "aspnet"},
	{"X-Aspnet-Version", "", "aspnet"},
	{"X-Runtime", "", "rails"},
	{"Link", "api.w.org", "wordpress"},
	{"Set-Cookie", "laravel_session", "laravel"},
	{"Set-Cookie", "phpsessid", "php"},
	{"Set-Cookie", "csrftoken", "django"},
	{"Set-Cookie", "jsessionid", "spring"},
	{"Set-Cookie", "asp.net_sessionid", "aspnet"},
	{"Set-Cookie", "connect.sid", "express"},
	{"Set-Cookie", "wordpress_", "wordpress"},
}

// ask returns the profiles for which the site's own answers speak, each with what
// speaks for it.
func (c *checkCLI) ask(ctx context.Context) (map[string]string, error) {
	seen := map[string]string{}
	for _, path := range []string{"/", "/login", "/stepgate-check-no-such-page"} {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(c.against, "/")+path, nil)
		if err != nil || request.URL.Host == "" {
			return nil, fmt.Errorf("--against %q is no address of a site: write one such as http://127.0.0.1:8080", c.against)
		}
		asking := *c.client
		asking.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		answer, err := asking.Do(request)
		if err != nil {
			return nil, fmt.Errorf("asking the site: %w", errors.Unwrap(err))
		}
		_ = answer.Body.Close() // only its header counts
		for _, t := range traits {
			for _, value := range answer.Header.Values(t.header) {
				if strings.Contains(strings.ToLower(value), t.part) {
					seen[t.profile] = t.header
				}
			}
		}
	}
	return seen, nil
}
