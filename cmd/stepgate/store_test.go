package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stepgate/stepgate/store"
	"github.com/stepgate/stepgate/store/bolt"
)

func TestStoreCopyAtTheCommandLine(t *testing.T) {
	from, to := filepath.Join(t.TempDir(), "stepgate.db"), filepath.Join(t.TempDir(), "stepgate.db")
	s, err := bolt.Open(from, bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	err = s.Update(t.Context(), "account/a", func(*store.Record) (*store.Write, error) { return &store.Write{Value: []byte("sealed")}, nil })
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	copying := []string{"store", "copy", "--from", "bolt:" + from, "--to", "bolt:" + to}
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"store"}, 0, "migrate"},
		{[]string{"store", "move", "postgres://u:s3cret@host/db"}, 1, "takes flags only"},
		{[]string{"store", "copy", "postgres://u:s3cret@host/db"}, 1, "takes flags only"},
		{[]string{"store", "copy", "--from", "bolt:" + from}, 1, "--to: write bolt:PATH"},
		{[]string{"store", "migrate", "--to", "bolt:" + from}, 1, "a file has no schema"},
		{append(copying, "--dry-run"), 0, "would copy: 1 records"},
		{copying, 0, "finished: 1 records"},
		{copying, 1, "the store is not empty"},
	} {
		run := stepgate(t, c.args...)
		out, err := run.CombinedOutput()
		if code := run.ProcessState.ExitCode(); code != c.code || !strings.Contains(string(out), c.want) {
			t.Errorf("stepgate %q exits with %d, %v, want %d and %q in\n%s", c.args, code, err, c.code, c.want, out)
		}
		if strings.Contains(string(out), "s3cret") {
			t.Errorf("stepgate %q prints a password:\n%s", c.args, out)
		}
	}
}
