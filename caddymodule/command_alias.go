package caddymodule

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	"github.com/stepgate/stepgate/sms"
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "alias",
		Usage: "import|show",
		Short: "Says under which names players are known, for password resets",
		Long: `Tells the running gateway, through its admin API, or asks it. Names are also learned
from what the site says of the holder of a session.`,
		CobraFunc: aliasCommand,
	})
}

func aliasCommand(cmd *cobra.Command) {
	cmd.Args = cobra.NoArgs
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	var a aliasCLI
	in := &cobra.Command{
		Use: "import <file>|-", Short: "Imports the names of players, from CSV or JSON lines",
		Long: `The first line of a CSV file names its columns: subject, the player's id at the site,
and login, email and phone, in any order. A JSON line has the same fields. The whole
file is checked before anything is imported: no two players may have one name, and phones
have to be numbers that the gateway's sms block takes. A player is known under these names then
and under no others, and whoever else claims one of them does not have it.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.load(cmd.InOrStdin(), cmd.OutOrStdout(), args[0])
		},
	}
	in.Flags().StringVar(&a.format, "format", "", "csv or jsonl (by the file's name, unless it says)")
	in.Flags().BoolVar(&a.dry, "dry-run", false, "check the file and import nothing; asks no gateway, so phones are not checked")
	show := &cobra.Command{
		Use: "show <name>", Short: "Prints the account that a login name, e-mail address or phone number stands for",
		Args: cobra.ExactArgs(1), RunE: func(cmd *cobra.Command, args []string) error { return a.show(cmd.OutOrStdout(), args[0]) },
	}
	for _, sub := range []*cobra.Command{in, show} {
		sub.Flags().StringVar(&a.address, "address", "", "the gateway's admin address")
		sub.Flags().StringVarP(&a.config, "config", "c", "", "the gateway's configuration, which names its admin address")
		cmd.AddCommand(sub)
	}
}

// aliasCLI is one command with its flags.
type aliasCLI struct {
	format, address, config string
	dry                     bool
}

// load imports a file.
func (a *aliasCLI) load(in io.Reader, out io.Writer, file string) error {
	format := a.format
	if format == "" {
		format = strings.TrimPrefix(strings.ToLower(filepath.Ext(file)), ".")
	}
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return fmt.Errorf("reading the import: %w", err)
		}
		defer f.Close()
		in = f
	}
	var numbering *sms.Numbering
	if !a.dry {
		var answer aliasesNumbering
		if err := a.ask(http.MethodGet, nil, &answer); err != nil {
			return err
		}
		numbering = (*sms.Numbering)(&answer)
	}
	players, err := readAliases(file, format, in, numbering)
	if err != nil {
		return err
	}
	if a.dry {
		_, err = fmt.Fprintf(out, "%d players, no mistake; phones were not checked, and nothing was imported\n", len(players))
		return err
	}
	done := 0
	for batch := range slices.Chunk(players, aliasBatch) {
		var answer aliasesAnswer
		if err := a.ask(http.MethodPost, aliasesQuestion{Players: batch}, &answer); err != nil {
			return fmt.Errorf("%d of %d players were imported, and perhaps some more; importing all again does no harm: %w", done, len(players), err)
		}
		done += answer.Imported
	}
	_, err = fmt.Fprintf(out, "%d players imported\n", done)
	return err
}

func (a *aliasCLI) show(out io.Writer, name string) error {
	var answer aliasesAnswer
	if err := a.ask(http.MethodPost, aliasesQuestion{Name: name}, &answer); err != nil {
		return err
	}
	text := "nobody's: no player is known under it, or two claim it"
	if answer.Account != "" {
		text = "account " + answer.Account
	}
	_, err := fmt.Fprintln(out, text)
	return err
}

// ask puts a question to the gateway, if there is one, and reads the answer.
func (a *aliasCLI) ask(method string, question, answer any) error {
	address, err := caddycmd.DetermineAdminAPIAddress(a.address, nil, a.config, "")
	if err != nil {
		return fmt.Errorf("finding the admin address: %w", err)
	}
	var body bytes.Buffer
	if question != nil {
		if err := json.NewEncoder(&body).Encode(question); err != nil {
			return fmt.Errorf("encoding the question: %w", err)
		}
	}
	res, err := caddycmd.AdminAPIRequest(address, method, aliasesPath, nil, &body)
	if err != nil {
		return fmt.Errorf("asking the gateway: %w", err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(answer); err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	return nil
}
