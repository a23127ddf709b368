package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf16"

	"github.com/spf13/cobra"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	"github.com/stepgate/stepgate/internal/explain"
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "explain",
		Usage: "--config <file> {<method> <url> | --log <file>}",
		Short: "Says what the rules make of a request, or of an access log",
		Long: `Says what the rules of a configuration make of a request, and why: which rules
match, under which spelling, and what the player would meet. The URL is taken byte
for byte, as an attacker would send it; quote it.

	stepgate explain --config Caddyfile POST 'https://casino.example/x/..;/wallet/withdraw' --data amount=1

With --log it reads an access log of Caddy's in JSON ("-" is standard input), and
counts what would have happened to each request if nobody had a grant.

Nothing is loaded or started: the gateway may be running.`,
		CobraFunc: func(cmd *cobra.Command) {
			(&explainCLI{in: os.Stdin, out: os.Stdout}).prepare(cmd)
		},
	})
}

// explainCLI is the command's view of the world.
type explainCLI struct {
	config, adapter  string
	headers          []string
	data, file, kind string
	log              string
	asJSON, all      bool
	// hasBody says that a body was given, which may be empty.
	hasBody bool

	in  io.Reader
	out io.Writer
}

func (c *explainCLI) prepare(cmd *cobra.Command) {
	configFlags(cmd, &c.config, &c.adapter)
	cmd.Flags().StringArrayVarP(&c.headers, "header", "H", nil, "a header of the request, 'Name: value'; can be repeated")
	cmd.Flags().StringVarP(&c.data, "data", "d", "", "the body of the request")
	cmd.Flags().StringVar(&c.file, "data-file", "", "a file with the body of the request")
	cmd.Flags().StringVar(&c.kind, "content-type", "", "the type of the body; default: JSON if it looks so, else a form")
	cmd.Flags().StringVar(&c.log, "log", "", `an access log to replay, "-" for standard input`)
	cmd.Flags().BoolVar(&c.asJSON, "json", false, "print JSON")
	cmd.Flags().BoolVar(&c.all, "all", false, "print every spelling that was compared")
	cmd.MarkFlagsMutuallyExclusive("data", "data-file")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c.hasBody = cmd.Flags().Changed("data") || c.file != ""
		return c.run(args)
	}
}

// configFlags adds the flags that name a configuration.
func configFlags(cmd *cobra.Command, config, adapter *string) {
	cmd.Flags().StringVarP(config, "config", "c", "", "the gateway's configuration, such as Caddyfile (required)")
	cmd.Flags().StringVarP(adapter, "adapter", "a", "", "name of the adapter of the configuration")
	_ = cmd.MarkFlagRequired("config") // fails for a flag that does not exist
}

func (c *explainCLI) run(args []string) error {
	switch {
	case c.log != "" && len(args) > 0:
		return errors.New("--log replays a log: leave out method and URL")
	case c.log == "" && len(args) != 2:
		return errors.New("write a method and a URL, such as POST 'https://casino.example/wallet/withdraw', or --log and a file")
	}
	_, gates, err := readGates(c.config, c.adapter)
	if err != nil {
		return err
	}
	var sites []*explain.Site
	for _, g := range gates {
		if g.shut != "" {
			return fmt.Errorf("%s answers before step_up of %s, so that nothing is protected there: put step_up before it", g.shut, hostsText(g.hosts))
		}
		sites = append(sites, g.site)
	}
	if c.log != "" {
		return c.replay(sites)
	}
	return c.explain(sites, args[0], args[1])
}

func (c *explainCLI) replay(sites []*explain.Site) error {
	log := c.in
	if c.log != "-" {
		file, err := os.Open(c.log)
		if err != nil {
			return fmt.Errorf("opening access log: %w", err)
		}
		defer file.Close()
		log = file
	}
	tally, err := explain.Replay(log, sites)
	if err != nil {
		return err
	}
	if c.asJSON {
		return c.print(tally)
	}
	return tally.Print(c.out)
}

func (c *explainCLI) explain(sites []*explain.Site, method, url string) error {
	request, err := c.request(method, url)
	if err != nil {
		return err
	}
	reports := []*explain.Report{}
	for _, site := range sites {
		if !site.Serves(request.Host) {
			continue
		}
		report, err := explain.Explain(site, request)
		if err != nil {
			return err
		}
		reports = append(reports, report)
	}
	if len(reports) == 0 {
		return fmt.Errorf("no step_up block serves the host %q: its requests are not protected", request.Host)
	}
	if c.asJSON {
		return c.print(reports)
	}
	for _, report := range reports {
		if err := report.Print(c.out, c.all); err != nil {
			return err
		}
	}
	return nil
}

func (c *explainCLI) request(method, url string) (*explain.Request, error) {
	var body []byte
	if c.hasBody {
		body = []byte(c.data)
	}
	if c.file != "" {
		var err error
		if body, err = os.ReadFile(c.file); err != nil {
			return nil, fmt.Errorf("reading the body: %w", err)
		}
	}
	headers := c.headers
	if c.kind != "" {
		headers = append(headers, "Content-Type: "+c.kind)
	}
	return explain.NewRequest(method, url, headers, body)
}

func (c *explainCLI) print(v any) error { return printJSON(c.out, v) }

// printJSON prints JSON in ASCII: what an attacker wrote must not move a
// terminal's cursor.
func printJSON(w io.Writer, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("printing: %w", err)
	}
	var ascii strings.Builder
	for _, r := range string(text) {
		if r >= 0x7f {
			for _, unit := range utf16.AppendRune(nil, r) {
				fmt.Fprintf(&ascii, `\u%04x`, unit)
			}
			continue
		}
		ascii.WriteRune(r)
	}
	if _, err := fmt.Fprintln(w, ascii.String()); err != nil {
		return fmt.Errorf("printing: %w", err)
	}
	return nil
}
