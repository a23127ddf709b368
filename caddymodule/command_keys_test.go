package caddymodule

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/stepgate/stepgate/internal/seal"
)

// terminal is where the commands are typed.
type terminal struct {
	t      *testing.T
	config string
	clock  time.Time
}

// run types one command and returns what it prints and its hints.
func (c *terminal) run(line string) (out, hints string, err error) {
	c.t.Helper()
	var stdout, stderr bytes.Buffer
	k := &keysCLI{rand: rand.Reader, now: func() time.Time { return c.clock }, out: &stdout, hints: &stderr}
	root := &cobra.Command{Use: "keys", SilenceUsage: true, SilenceErrors: true}
	root.AddCommand(k.commands()...)
	args := strings.Fields(line)
	if args[0] != "new" {
		args = append(args, "--config", c.config)
	}
	root.SetArgs(args)
	err = root.ExecuteContext(c.t.Context())
	return stdout.String(), stderr.String(), err
}

// newTerminal returns a terminal for a Caddyfile with these global options.
func newTerminal(t *testing.T, storage, keys string) *terminal {
	t.Helper()
	path := filepath.Join(t.TempDir(), "Caddyfile")
	text := fmt.Sprintf("{\n\tstorage file_system %q\n\tstepgate {\n\t\tbrand x\n\t\t%s\n\t}\n}\n", storage, keys)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return &terminal{t: t, config: path, clock: ringTime}
}

func (c *terminal) must(line string) (out, hints string) {
	c.t.Helper()
	out, hints, err := c.run(line)
	if err != nil {
		c.t.Fatalf("%s: %v", line, err)
	}
	return out, hints
}

func (c *terminal) refused(line, want string) {
	c.t.Helper()
	if out, _, err := c.run(line); err == nil || !strings.Contains(err.Error(), want) || out != "" {
		c.t.Errorf("%s = %q, %v, want nothing and an error with %q", line, out, err, want)
	}
}

func TestKeysNewPrintsARingThatAGatewayTakes(t *testing.T) {
	c := newTerminal(t, t.TempDir(), "")
	one, _ := c.must("new")
	two, _ := c.must("new")
	if one == two {
		t.Error("keys new printed the same ring twice")
	}
	t.Setenv("STEPGATE_KEYS", one)
	if _, err := at(envPlace("STEPGATE_KEYS")).open(t.Context(), newStore(t)); err != nil {
		t.Errorf("a gateway with what keys new printed: open = %v", err)
	}
}

// An operator's year: list, rotate, wait, retire. The ring lies in Caddy's storage
// or in a file, and what a gateway reads there changes under it.
func TestKeysAreRotatedWhereTheyLie(t *testing.T) {
	storage := newFileStorage(t)
	_, doc := newDocument(t)
	if err := storage.Store(t.Context(), keyringName, doc); err != nil {
		t.Fatal(err)
	}
	file := ringFile(t, doc, 0o600)
	for name, c := range map[string]*terminal{
		"storage": newTerminal(t, storage.Path, ""), "file": newTerminal(t, t.TempDir(), "keys file "+file),
	} {
		t.Run(name, func(t *testing.T) {
			var place ringPlace = storagePlace{storage}
			if name == "file" {
				place = filePlace(file)
			}
			k := at(place)
			inUse, err := k.load(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			c.t, inUse.Clock = t, func() time.Time { return c.clock }
			if out, _ := c.must("list"); !strings.Contains(out, "1   2026-03-01T05:00:00Z  2026-03-01T05:00:00Z  current") {
				t.Errorf("list printed\n%s", out)
			}
			c.refused("rotate --in -1s", "--in")
			c.refused("rotate --in 169h", "--in")
			if name == "storage" {
				c.refused("rotate --in 119s", "2m0s or more")
			}
			if out, hints := c.must("rotate"); out != "" || !strings.Contains(hints, "Key 2 becomes current at 2026-03-01T05:10:00Z") {
				t.Errorf("rotate printed %q, %q", out, hints)
			}
			c.refused("rotate", "still to become current")
			out, _ := c.must("list")
			if !strings.Contains(out, "2026-03-01T05:10:00Z  only opens yet") || !strings.Contains(out, "05:00:00Z  current") || strings.Contains(out, "=") {
				t.Errorf("list printed, where a = would be of a secret,\n%s", out)
			}
			if changed, err := k.readAgain(t.Context(), inUse); err != nil || !changed || inUse.Current() != 1 {
				t.Errorf("a running gateway: %v, %v, current key %d, want 1 still", changed, err, inUse.Current())
			}
			c.refused("retire 2 --force", "in use")
			c.clock = ringTime.Add(10 * time.Minute)
			if inUse.Current() != 2 {
				t.Errorf("current key is %d, want 2: its time has come", inUse.Current())
			}
			c.refused("retire 2 --force", "in use")
			c.refused("retire 1", "add --force")
			c.clock = ringTime.Add(48 * time.Hour)
			c.refused("retire 1", "accounts may still be sealed under it")
			c.refused("retire 7 --force", "no such key")
			c.refused("retire one --force", "no id")
			c.must("retire 1 --force")
			if changed, err := k.readAgain(t.Context(), inUse); err != nil || !changed || len(inUse.IDs()) != 1 {
				t.Errorf("a running gateway: %v, %v, keys %v, want 2 alone", changed, err, inUse.IDs())
			}
		})
	}
}

func TestKeysOfAVariableArePrintedAndNotChanged(t *testing.T) {
	ring, doc := newDocument(t)
	t.Setenv("STEPGATE_KEYS", string(doc))
	c := newTerminal(t, t.TempDir(), "keys env STEPGATE_KEYS")
	out, hints := c.must("rotate --in 1h")
	next, err := seal.ParseRing([]byte(out))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ring.Adopt(next); err != nil || len(next.IDs()) != 2 {
		t.Errorf("rotate printed a ring with the keys %v, %v", next.IDs(), err)
	}
	if !strings.Contains(hints, "Nothing was changed") || !strings.Contains(hints, "STEPGATE_KEYS") {
		t.Errorf("rotate says %q, want what to do", hints)
	}
	if strings.Contains(hints, out[40:60]) {
		t.Error("the hints show the ring")
	}
}

func TestKeysCommandsNeedTheGatewaysOwnConfiguration(t *testing.T) {
	empty := newTerminal(t, t.TempDir(), "")
	empty.refused("list", "no key ring in Caddy's storage")
	empty.refused("rotate", "no key ring in Caddy's storage")
	if err := os.WriteFile(empty.config, []byte("http://a.example {\n\trespond ok\n}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	empty.refused("list", "no stepgate block")
	empty.config = filepath.Join(t.TempDir(), "Caddyfile")
	empty.refused("list", "no such file")
}
