package bolt

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/stepgate/stepgate/store"
	"github.com/stepgate/stepgate/store/storetest"
)

func openIn(dir string) (store.Store, error) {
	return Open(filepath.Join(dir, "stepgate.db"), Options{})
}

func TestMain(m *testing.M) {
	storetest.CrashChild(openIn)
	os.Exit(m.Run())
}

func TestStoreKeepsItsContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T, now func() time.Time) store.Store {
		path := filepath.Join(t.TempDir(), "stepgate.db")
		t.Cleanup(func() { checkPages(t, path) })
		s, err := Open(path, Options{Now: now})
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}

// I7: an acknowledged enrolment, removal, lock or consumed code survives kill -9.
func TestInvariantI7StoreSurvivesKill(t *testing.T) {
	storetest.RunCrash(t, storetest.Crash{Open: openIn, Seed: 1})
}

// checkPages has bbolt check every page of a closed store.
func checkPages(t *testing.T, path string) {
	t.Helper()
	db, err := bbolt.Open(path, fileMode, &bbolt.Options{Timeout: time.Second, ReadOnly: true, PreLoadFreelist: true})
	if err != nil {
		t.Fatalf("opening the closed store: %v", err)
	}
	defer db.Close()
	err = db.View(func(tx *bbolt.Tx) error {
		for err := range tx.Check() {
			t.Errorf("checking pages: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Errorf("checking pages: %v", err)
	}
}
