package caddymodule

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	"github.com/stepgate/stepgate/challengepages"
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "pages",
		Usage: "export <folder>",
		Short: "Writes the built-in texts, templates and style of the pages",
		Long: `Works with the pages that players see. What they say and how they look can be
changed from a folder, "brand { pages <folder> }" in the Caddyfile.`,
		CobraFunc: func(cmd *cobra.Command) {
			cmd.Args = cobra.NoArgs
			cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
			cmd.AddCommand((&pagesCLI{out: os.Stdout}).exportCommand())
		},
	})
}

// pagesCLI is the commands' view of the world.
type pagesCLI struct{ out io.Writer }

func (p *pagesCLI) exportCommand() *cobra.Command {
	return &cobra.Command{
		Use: "export <folder>", Short: "Writes the built-in pages into a folder", Args: cobra.ExactArgs(1),
		Long: `Writes the built-in messages and templates into a folder, to start from, and the
style as builtin.css, to look at: a style.css of your own is added to it. Nothing is
overwritten.

	stepgate pages export /etc/stepgate/pages

Keep what you change and remove the rest: what is not in the folder is built in, and
gets better with each release. Another language is messages/<tag>.toml, such as
messages/th.toml. "stepgate validate" tries every page with the folder.`,
		RunE: func(_ *cobra.Command, args []string) error { return p.export(args[0]) },
	}
}

func (p *pagesCLI) export(dir string) error {
	files, err := challengepages.BuiltIn()
	if err != nil {
		return err
	}
	names := slices.Sorted(maps.Keys(files))
	for _, name := range names {
		switch _, err := os.Lstat(filepath.Join(dir, name)); {
		case err == nil:
			return fmt.Errorf("exporting pages: %s exists already: name another folder, or remove the file", filepath.Join(dir, name))
		case !errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("exporting pages: %w", err)
		}
	}
	for _, name := range names {
		if err := writeNew(filepath.Join(dir, name), files[name]); err != nil {
			return fmt.Errorf("exporting pages: %w", err)
		}
	}
	_, err = fmt.Fprintf(p.out, "%d files are in %s. Keep those that you change, and remove the rest.\nIn the Caddyfile: brand … { pages %s }\n",
		len(names), dir, dir)
	return err
}

// writeNew writes a file that does not exist, also if it has come to exist since
// that was looked up.
func writeNew(name string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}
