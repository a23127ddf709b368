package sites

import (
	"io/fs"
	"os"
	"regexp"
	"strings"
	"testing"
)

// A site that knew what stands in front of it would prove nothing.
func TestSitesKnowNothingOfTheGateway(t *testing.T) {
	word := regexp.MustCompile(`(?i)step[-_ ]?(gate|up)|challenge`)
	for _, site := range []string{"htmlsite", "spasite", "phpsite"} {
		examples := os.DirFS("../../examples")
		files := 0
		err := fs.WalkDir(examples, site, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || d.Name() == "Caddyfile" {
				return err
			}
			files++
			source, err := fs.ReadFile(examples, path)
			if err != nil {
				return err
			}
			// A command's import of its own site names the module; nothing else may.
			text := strings.ReplaceAll(string(source), `"github.com/stepgate/stepgate/examples/`+site+`"`, "")
			if found := word.FindString(text); found != "" {
				t.Errorf("%s speaks of %q", path, found)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if files < 5 {
			t.Errorf("%s has %d files, want all of them looked into", site, files)
		}
	}
}
