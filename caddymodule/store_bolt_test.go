package caddymodule

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// provisionBolt returns a provisioned store module of a path.
func provisionBolt(t *testing.T, path string) *BoltStore {
	t.Helper()
	b := &BoltStore{Path: path}
	if err := b.Provision(caddy.Context{}); err != nil {
		t.Fatal(err)
	}
	return b
}

// Two names of one file must be one key, or it is opened twice.
func TestTheKeyOfABoltStoreIsTheFileThatIsMeant(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	real, link := filepath.Join(dir, "real"), filepath.Join(dir, "link")
	if err := os.Mkdir(real, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(real, link); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	t.Setenv("STEPGATE_TEST_DIR", dir)
	want := filepath.Join(real, "a", "b", "s.db")
	for _, path := range []string{want, filepath.Join(link, "a/b/s.db"), "link/a/b/s.db", "./real/x/../a//b/s.db", "{env.STEPGATE_TEST_DIR}/link/a/b/s.db"} {
		if got := provisionBolt(t, path).Key(); got != want {
			t.Errorf("Key of %s = %s, want %s", path, got, want)
		}
	}
	// The key stays the same once the folders are there.
	s, err := provisionBolt(t, "link/a/b/s.db").Open()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if got := provisionBolt(t, "link/a/b/s.db").Key(); got != want {
		t.Errorf("Key of an open store = %s, want %s", got, want)
	}
}

func TestTheDefaultBoltStoreLiesInCaddysDataFolder(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("XDG_DATA_HOME", dir)
	if got, want := provisionBolt(t, "").Key(), filepath.Join(dir, "caddy", "stepgate", "stepgate.db"); got != want {
		t.Errorf("Key = %s, want %s", got, want)
	}
}

func TestABoltStoreThatCannotBeOpenedIsFoundBeforeTheStart(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, mode os.FileMode) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	private, shared := write("private.db", 0o600), write("shared.db", 0o640)
	link := filepath.Join(dir, "link.db")
	if err := os.Symlink(private, link); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ path, want string }{
		{private, ""},
		{filepath.Join(dir, "new.db"), ""},
		{filepath.Join(dir, "new/folder/s.db"), ""},
		{shared, "chmod 600"},
		{link, "not a regular file"},
		{dir, "not a regular file"},
		{filepath.Join(private, "s.db"), "not a directory"},
	} {
		err := provisionBolt(t, c.path).Validate()
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("Validate of %s = %v, want %q", c.path, err, c.want)
		}
	}
	left, err := filepath.Glob(filepath.Join(dir, ".stepgate-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("Validate left %v behind, %v", left, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "new")); err == nil {
		t.Error("Validate made a folder")
	}
}

func TestAnUnknownPlaceholderInThePathIsAnError(t *testing.T) {
	if err := (&BoltStore{Path: "{env.STEPGATE_NO_SUCH_VARIABLE}/s.db"}).Provision(caddy.Context{}); err == nil {
		t.Error("Provision accepted a path with a variable that is not set")
	}
}
