package account_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/policy"
)

func (w *world) recover(key string) account.Answer {
	w.Helper()
	return account.Answer{Challenge: w.challenge(), Factor: policy.RecoveryKey, Code: key}
}

// I3, R22, R59: used once, and a new one is issued with the same write.
func TestInvariantI3ARecoveryKeyIsUsedOnceAndReplaced(t *testing.T) {
	w := newWorld(t)
	first := w.enrolSMS()
	second := w.want(w.recover(first), account.Right).RecoveryKey
	if second == "" || second == first {
		t.Fatal("no new recovery key came with the use of the old one")
	}
	if w.count(audit.RecoveryKeyUsed) != 1 || w.count(audit.RecoveryKeyIssued) != 2 {
		t.Errorf("%d used and %d issued by the audit log, want 1 and 2", w.count(audit.RecoveryKeyUsed), w.count(audit.RecoveryKeyIssued))
	}
	w.reopen()
	w.want(w.recover(first), account.Wrong)
	if r := w.want(w.recover(second), account.Right); r.RecoveryKey == "" {
		t.Error("the second use issued no new key")
	}
	w.want(w.recover(second), account.Wrong)
	if w.account().Enrolment(policy.SMS) == nil {
		t.Error("using a recovery key removed the phone")
	}
}

func TestOnlyARightRecoveryKeyIssuesANewOne(t *testing.T) {
	w := newWorld(t)
	key := w.enrolSMS()
	id, code := w.texted()
	if r := w.want(w.recover("nonsense"), account.Wrong); r.RecoveryKey != "" {
		t.Error("a wrong key gives a new one")
	}
	if r := w.want(account.Answer{Challenge: id, Factor: policy.SMS, Code: code, Expected: code}, account.Right); r.RecoveryKey != "" {
		t.Error("an SMS code gives a new recovery key")
	}
	w.want(w.recover(strings.ToLower(strings.ReplaceAll(key, "-", " "))), account.Right)
}

// The keyed hash covers the account: the record of one account is worth nothing in
// another's place, even if both have the same key.
func TestTheSameRecoveryKeyHasAnotherHashOnAnotherAccount(t *testing.T) {
	w := newWorld(t)
	bind := func(subject string, zeros int) (key string, mac []byte) {
		book := account.NewBook(w.store, w.ring, bytes.NewReader(make([]byte, zeros)), w.clock.now)
		defer book.Close()
		id := book.ID(subject)
		done, err := book.BindPhone(t.Context(), id, account.Change{Proof: account.ProofPhone}, phone)
		if err != nil {
			t.Fatal(err)
		}
		a, err := book.Get(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		return done.RecoveryKey, a.Recovery.MAC
	}
	keyA, macA := bind("budi", 100)
	keyB, macB := bind("sari", 100)
	if keyA != keyB || bytes.Equal(macA, macB) {
		t.Errorf("the same key: %v, the same hash: %v, want true and false", keyA == keyB, bytes.Equal(macA, macB))
	}
	if len(macA) != 32 || bytes.Contains(macA, []byte(keyA)) {
		t.Errorf("the hash has %d bytes, want 32", len(macA))
	}
}

func TestARecoveryKeyOutlivesARotation(t *testing.T) {
	w := newWorld(t)
	key := w.enrolSMS()
	var err error
	if w.ring, err = w.ring.Rotate(w.rand, w.clock.now(), w.clock.now()); err != nil {
		t.Fatal(err)
	}
	w.book = w.another(w.store)
	if id := w.book.ID("budi"); id != w.id {
		t.Fatal("the account has another id after a rotation")
	}
	w.want(w.recover(key), account.Right)
}

func TestIssuingARecoveryKeyEndsTheOldOneAndItsFailures(t *testing.T) {
	w := newWorld(t)
	old := w.enrolSMS()
	w.fail(w.recover("nonsense"), 6)
	epoch := w.account().Epoch
	fresh, alert, err := w.book.IssueRecoveryKey(t.Context(), w.id, w.proved())
	if err != nil {
		t.Fatal(err)
	}
	if alert.Kind != account.KindKeyMade {
		t.Errorf("the player is told of %q (R59)", alert.Kind)
	}
	if n := w.failures(policy.RecoveryKey); n != 0 {
		t.Errorf("%d failures stay with the new key", n)
	}
	w.want(w.recover(old), account.Wrong)
	if got := w.account().Epoch; got != epoch {
		t.Errorf("epoch %d, want %d: no factor has changed", got, epoch)
	}
	w.want(w.recover(fresh), account.Right)
}
