package caddymodule

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/stepgate/stepgate/internal/seal"
)

// newDocument returns a ring and its document.
func newDocument(t *testing.T) (*seal.Ring, []byte) {
	t.Helper()
	ring, err := seal.NewRing(rand.Reader, ringTime)
	if err != nil {
		t.Fatal(err)
	}
	return ring, ring.Marshal()
}

// ringFile writes a document into a file of its own.
func ringFile(t *testing.T, doc []byte, mode fs.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys.json")
	if err := os.WriteFile(path, doc, mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // whatever the umask is
		t.Fatal(err)
	}
	return path
}

func at(place ringPlace) keyring {
	k := newKeyring(nil)
	k.place = place
	return k
}

func TestAStartTakesTheKeyRingOfAFileOrAVariable(t *testing.T) {
	ring, doc := newDocument(t)
	t.Setenv("STEPGATE_KEYS", string(doc)+"\n")
	for _, place := range []ringPlace{filePlace(ringFile(t, append(doc, '\n'), 0o600)), envPlace("STEPGATE_KEYS")} {
		s := newStore(t)
		for range 2 {
			got, err := at(place).open(t.Context(), s)
			if err != nil || !same(got, ring) {
				t.Errorf("%s: open = %v, %v, want the ring that lies there", place, got, err)
			}
		}
		// The mark is the judge here too.
		other := newStore(t)
		if _, err := newKeyring(newFileStorage(t)).open(t.Context(), other); err != nil {
			t.Fatal(err)
		}
		if _, err := at(place).open(t.Context(), other); err == nil || !strings.Contains(err.Error(), "another key ring than "+place.String()) {
			t.Errorf("%s: open beside the store of another ring = %v, want an error that says so", place, err)
		}
	}
}

// Only Caddy's storage gets a ring from a start. In the place of a secret that did
// not arrive, one would be made that no other node has.
func TestAKeyRingThatIsMissingElsewhereIsNotMade(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.json")
	t.Setenv("STEPGATE_KEYS", "")
	for _, place := range []ringPlace{filePlace(path), envPlace("STEPGATE_KEYS"), envPlace("STEPGATE_NO_SUCH_VARIABLE")} {
		_, err := at(place).open(t.Context(), newStore(t))
		if !errors.Is(err, errNoKeyring) || !strings.Contains(err.Error(), "stepgate keys new") {
			t.Errorf("%s: open = %v, want an error that says what to do", place, err)
		}
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a ring was made at %s", path)
	}
}

func TestAKeyRingThatOthersCanReachIsRefused(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("has no such modes")
	}
	_, doc := newDocument(t)
	link := filepath.Join(t.TempDir(), "link.json")
	if err := os.Symlink(ringFile(t, doc, 0o600), link); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ path, want string }{
		"read by the group":             {ringFile(t, doc, 0o640), "chmod 600"},
		"read by all":                   {ringFile(t, doc, 0o604), "chmod 600"},
		"written by others":             {ringFile(t, doc, 0o602), "chmod 600"},
		"a link":                        {link, "no link"},
		"a folder":                      {t.TempDir(), "not a regular file"},
		"too long":                      {ringFile(t, make([]byte, maxDocument+1), 0o600), "too long"},
		"damaged":                       {ringFile(t, doc[:len(doc)-1], 0o600), "damaged"},
		"in a folder that is not there": {filepath.Join(t.TempDir(), "a", "keys.json"), "stepgate keys new"},
	} {
		_, err := at(filePlace(c.path)).open(t.Context(), newStore(t))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: open = %v, want an error with %q", name, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), string(doc[30:50])) {
			t.Errorf("%s: the error quotes the ring: %v", name, err)
		}
	}
}

func TestAChangeOfTheFileLeavesTheOldRingWhereItFails(t *testing.T) {
	_, doc := newDocument(t)
	path := filePlace(ringFile(t, doc, 0o600))
	failed := errors.New("failed")
	if err := path.change(t.Context(), func([]byte) ([]byte, error) { return nil, failed }); !errors.Is(err, failed) {
		t.Errorf("change = %v, want %v", err, failed)
	}
	if got, err := path.load(t.Context()); err != nil || string(got) != string(doc) {
		t.Errorf("the ring has changed, %v", err)
	}
	// Two changes at once: the second sees the first one's file.
	err := path.change(t.Context(), func([]byte) ([]byte, error) {
		if err := path.change(t.Context(), func(doc []byte) ([]byte, error) { return doc, nil }); err == nil || !strings.Contains(err.Error(), "another change") {
			t.Errorf("a second change = %v, want an error", err)
		}
		return []byte("changed"), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(string(path))
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("the file is %v, %v, want mode 0600", info.Mode(), err)
	}
	if got, err := path.load(t.Context()); err != nil || string(got) != "changed" {
		t.Errorf("load = %q, %v", got, err)
	}
	left, err := os.ReadDir(filepath.Dir(string(path)))
	if err != nil || len(left) != 1 {
		t.Errorf("%d files are left, %v, want the ring alone", len(left), err)
	}
}

func TestOnlyOnePlaceIsNamed(t *testing.T) {
	for name, c := range map[string]struct {
		keys Keys
		want string
	}{
		"none":                {Keys{}, "needs a file or an env"},
		"both":                {Keys{File: "/a", Env: "A"}, "name one of them"},
		"a document":          {Keys{Env: `{"format":1}`}, "and not what is in it"},
		"an unknown variable": {Keys{File: "{env.STEPGATE_NO_SUCH_VARIABLE}"}, "reading path of the key ring"},
	} {
		if _, err := c.keys.place(nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: place = %v, want an error with %q", name, err, c.want)
		}
	}
	if err := validate(t, `{"brand":{"name":"x"},"keys":{"file":"/a","env":"A"}}`, ""); err == nil || !strings.Contains(err.Error(), "loading keys") {
		t.Errorf("validating = %v, want an error", err)
	}
	// A configuration is checked where its ring may not be.
	if err := validate(t, `{"brand":{"name":"x"},"keys":{"file":"/no/such/keys.json"}}`, ""); err != nil {
		t.Errorf("validating = %v, want nil", err)
	}
}

// shown is a place that a test exchanges.
type shown struct {
	mu  sync.Mutex // guards doc and err
	doc []byte
	err error
}

func (s *shown) show(doc []byte, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.doc, s.err = doc, err
}

func (s *shown) load(context.Context) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.doc, s.err
}

func (*shown) String() string { return "the test" }

// What a running gateway finds each minute, and what it goes on with.
func TestARunningGatewayTakesOverItsOwnRingOnly(t *testing.T) {
	ring, doc := newDocument(t)
	rotated, err := ring.Rotate(rand.Reader, ringTime, ringTime.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	_, otherDoc := newDocument(t)
	place := &shown{doc: doc}
	k := at(place)
	core, logs := observer.New(zap.InfoLevel)
	synctest.Test(t, func(t *testing.T) {
		inUse, err := k.load(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		stop := k.startFollowing(inUse, zap.New(core))
		time.Sleep(time.Second) // apart from the ticks
		for _, step := range []struct {
			name  string
			doc   []byte
			err   error
			level string // of what is logged, "" for nothing
			keys  int
		}{
			{"the same", doc, nil, "", 1},
			{"with a key more", rotated.Marshal(), nil, "info", 2},
			{"the same again", rotated.Marshal(), nil, "", 2},
			{"another ring", otherDoc, nil, "error", 2},
			{"cut off", doc[:50], nil, "error", 2},
			{"out of reach", nil, errors.New("storage is down"), "error", 2},
			{"gone", nil, errNoKeyring, "error", 2},
			{"back", rotated.Marshal(), nil, "", 2},
		} {
			place.show(step.doc, step.err)
			time.Sleep(followEvery)
			synctest.Wait()
			var level string
			for _, e := range logs.TakeAll() {
				level = e.Level.String()
				if text := fmt.Sprint(e.Message, e.ContextMap()); strings.Contains(text, string(doc[30:50])) || strings.Contains(text, string(otherDoc[30:50])) {
					t.Errorf("%s: the log quotes a ring: %s", step.name, text)
				}
			}
			if level != step.level || len(inUse.IDs()) != step.keys || inUse.MAC(seal.Subject, "budi") != ring.MAC(seal.Subject, "budi") {
				t.Errorf("%s: logged %q and has %d keys, want %q and %d", step.name, level, len(inUse.IDs()), step.level, step.keys)
			}
		}
		stop()
		synctest.Wait()
	})
}
