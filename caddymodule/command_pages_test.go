package caddymodule

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/stepgate/stepgate/challengepages"
)

func exported(t *testing.T, dir string) (string, error) {
	t.Helper()
	return typed(t, func(cmd *cobra.Command, out *bytes.Buffer) {
		cmd.AddCommand((&pagesCLI{out: out}).exportCommand())
	}, "export", dir)
}

func TestExportedPagesCanBeLoaded(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "etc", "pages")
	out, err := exported(t, dir)
	if err != nil || !strings.Contains(out, "brand … { pages "+dir+" }") {
		t.Fatalf("export = %q, %v", out, err)
	}
	for _, name := range []string{"messages/id.toml", "messages/en.toml", "templates/challenge.html", "builtin.css"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Size() == 0 {
			t.Errorf("%s is not there: %v", name, err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "style.css")); err == nil {
		t.Error("there is a style.css, and the style would be loaded twice")
	}
	brand, err := (&Brand{Name: "Example", Pages: dir}).load()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := challengepages.New(brand); err != nil {
		t.Errorf("New with the exported pages: %v", err)
	}
}

func TestExportOverwritesNothing(t *testing.T) {
	dir := t.TempDir()
	mine := filepath.Join(dir, "templates", "outcome.html")
	if err := writeNew(mine, []byte("mine")); err != nil {
		t.Fatal(err)
	}
	_, err := exported(t, dir)
	if want := "exporting pages: " + mine + " exists already: name another folder, or remove the file"; err == nil || err.Error() != want {
		t.Errorf("export = %v, want %s", err, want)
	}
	if text, err := os.ReadFile(mine); string(text) != "mine" {
		t.Errorf("the file is %q, %v", text, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "messages")); err == nil {
		t.Error("a part of the files was written")
	}
	if err := writeNew(mine, nil); err == nil {
		t.Error("writeNew overwrites a file")
	}
}

func TestFolderOfPagesHasToBeOne(t *testing.T) {
	file := written(t, "")
	for path, want := range map[string]string{
		file:                             "reading pages: " + file + " is no folder: name the one that has messages/, templates/ or style.css",
		filepath.Join(file, "x"):         "reading pages: ",
		"{env.STEPGATE_THAT_IS_NOT_SET}": "reading pages: ",
	} {
		if _, err := (&Brand{Name: "Example", Pages: path}).load(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("load with %q = %v, want %s", path, err, want)
		}
	}
}
