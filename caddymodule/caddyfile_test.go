package caddymodule_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddyserver/caddy/v2/caddyconfig"

	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/stepgate/stepgate/caddymodule"
)

var update = flag.Bool("update", false, "write what the adapter says now into testdata/caddyfile")

// goldenSeparator stands between a Caddyfile and what the adapter makes of it.
const goldenSeparator = "\n----------\n"

// Each file of testdata/caddyfile is a Caddyfile and, below the line, its JSON or
// the whole text of the error.
func TestCaddyfilesAdaptAsTheGoldenFilesSay(t *testing.T) {
	files, err := filepath.Glob("testdata/caddyfile/*.caddyfiletest")
	if err != nil || len(files) == 0 {
		t.Fatalf("Glob = %v, %v, want some files", files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".caddyfiletest"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			caddyfile, want, _ := strings.Cut(string(text), goldenSeparator)
			got := adapted(t, caddyfile)
			if bad := strings.HasPrefix(filepath.Base(file), "bad_"); bad == strings.HasPrefix(got, "{") {
				t.Fatalf("adapting %s gave %s", file, got)
			}
			if *update {
				if err := os.WriteFile(file, []byte(caddyfile+goldenSeparator+got+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(strings.TrimSpace(want), got); diff != "" {
				t.Errorf("adapting %s (-want +got):\n%s", file, diff)
			}
		})
	}
}

// A mistake in a Caddyfile must be found without a search.
func TestEveryErrorOfTheCaddyfileNamesFileAndLine(t *testing.T) {
	files, err := filepath.Glob("testdata/caddyfile/bad_*.caddyfiletest")
	if err != nil || len(files) == 0 {
		t.Fatalf("Glob = %v, %v, want some files", files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		caddyfile, _, _ := strings.Cut(string(text), goldenSeparator)
		line := 0
		for i, l := range strings.Split(caddyfile, "\n") {
			if strings.Contains(l, "# HERE") {
				line = i + 1
			}
		}
		if line == 0 {
			t.Errorf("%s does not mark the line of its mistake with # HERE", file)
			continue
		}
		got := adapted(t, caddyfile)
		if want := "Caddyfile:" + itoa(line); !strings.HasSuffix(got, want) && !strings.Contains(got, want+" ") && !strings.Contains(got, want+",") {
			t.Errorf("%s: error is %q, want it to name %s", filepath.Base(file), got, want)
		}
	}
}

func itoa(n int) string { b, _ := json.Marshal(n); return string(b) }

// adapted returns the JSON of a Caddyfile, or the text of the error.
func adapted(t *testing.T, caddyfile string) string {
	t.Helper()
	result, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(caddyfile), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		return err.Error()
	}
	for _, w := range warnings {
		if !strings.Contains(w.Message, "not formatted") {
			t.Errorf("warning: %s", w.Message)
		}
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, result, "", "\t"); err != nil {
		t.Fatal(err)
	}
	return pretty.String()
}

// Whatever stands in our blocks, the adapter answers with JSON or an error.
func FuzzStepUpAndStepgateBlocks(f *testing.F) {
	files, err := filepath.Glob("testdata/caddyfile/*.caddyfiletest")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		caddyfile, _, _ := strings.Cut(string(text), goldenSeparator)
		if _, body, ok := strings.Cut(caddyfile, "step_up {\n"); ok {
			f.Add("", strings.TrimSpace(body))
		} else if _, body, ok := strings.Cut(caddyfile, "stepgate {\n"); ok {
			f.Add(strings.TrimSpace(body), "")
		}
	}
	f.Fuzz(func(t *testing.T, app, handler string) {
		if strings.Contains(app+handler, "import") {
			t.Skip("would read other files")
		}
		text := "{\nstepgate {\nbrand x\n" + app + "\n}\n}\nhttp://casino.example {\nstep_up {\n" + handler + "\n}\n}\n"
		result, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), nil)
		if err == nil && !json.Valid(result) {
			t.Errorf("adapting gave %q", result)
		}
	})
}
