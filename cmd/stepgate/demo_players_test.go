package main

import (
	"bytes"
	"crypto/rand"
	"os"
	"testing"
	"time"

	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/store/bolt"
)

func enrolled(t *testing.T, folder string) []byte {
	t.Helper()
	secret, err := enrolPlayers(t.Context(), folder, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

// switchOff removes all of a player's factors, as the settings page does.
func switchOff(t *testing.T, folder string, p player) {
	t.Helper()
	ring, err := openRing(t.Context(), folder, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	s, err := bolt.Open(storePath(folder), bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	book := account.NewBook(s, ring, rand.Reader, time.Now)
	defer book.Close()
	a, err := book.Get(t.Context(), book.ID(p.subject))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := book.SwitchOff(t.Context(), book.ID(p.subject), account.Change{Proof: account.ProofFactor, Epoch: a.Epoch}); err != nil {
		t.Fatal(err)
	}
}

func TestPlayersAreEnrolledOnce(t *testing.T) {
	folder := t.TempDir()
	first := enrolled(t, folder)
	if len(first) == 0 {
		t.Fatal("sari has no authenticator")
	}
	if again := enrolled(t, folder); !bytes.Equal(first, again) {
		t.Error("at the second start sari got another secret")
	}
	switchOff(t, folder, sari)
	if again := enrolled(t, folder); again != nil {
		t.Error("sari, who has switched off, was enrolled again")
	}
}

// A ring made anew would find no account, and enrol strangers to the old records.
func TestAStoreWithoutItsKeyRingIsRefused(t *testing.T) {
	folder := t.TempDir()
	enrolled(t, folder)
	if err := os.RemoveAll(storagePath(folder)); err != nil {
		t.Fatal(err)
	}
	if _, err := enrolPlayers(t.Context(), folder, time.Now); err == nil {
		t.Error("players were enrolled under another key ring")
	}
}
