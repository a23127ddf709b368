package caddymodule_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stepgate/stepgate/store"
	"github.com/stepgate/stepgate/store/bolt"
)

// I1, I10: a configuration with a half-copied store does not start. The one before goes
// on, and a store whose copy is finished is taken.
func TestInvariantI1NoGatewayStartsOnAnUnfinishedCopy(t *testing.T) {
	g := start(t, config{})
	path := filepath.Join(g.dir, "half.db")
	half := config{store: "bolt " + path + " #"} // the comment takes the usual path away
	mark := &store.Mark{Source: "bolt:elsewhere"}
	change := func(before, after *store.Mark) {
		t.Helper()
		s, err := bolt.Open(path, bolt.Options{Unfinished: true})
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(s.Import(t.Context(), store.Batch{}, before, after), s.Close()); err != nil {
			t.Fatal(err)
		}
	}
	change(nil, mark)
	// Caddy keeps the text of an error only.
	if err := g.load(half); err == nil || !strings.Contains(err.Error(), store.ErrUnfinished.Error()) {
		t.Errorf("Load = %v with an unfinished copy, want ErrUnfinished", err)
	}
	g.admin("/config/") // still there
	change(mark, nil)
	if err := g.load(half); err != nil {
		t.Errorf("Load = %v with a finished copy", err)
	}
}
