package account_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/factor"
	"github.com/stepgate/stepgate/internal/seal"
	"github.com/stepgate/stepgate/policy"
	"github.com/stepgate/stepgate/store"
)

// secrets are the ways in which a secret could show.
func secrets(raw ...string) []string {
	var all []string
	for _, s := range raw {
		b := []byte(s)
		all = append(all, s, fmt.Sprintf("%x", b), fmt.Sprintf("%X", b), base64.StdEncoding.EncodeToString(b),
			base64.RawURLEncoding.EncodeToString(b), strings.Trim(fmt.Sprintf("%d", b), "[]"), strings.Trim(fmt.Sprintf("%#v", b), "[]byte{}"))
	}
	return all
}

// I8: no seed, code, key or full phone number in a log line, whoever wrote it and
// however.
func TestInvariantI8NothingThatHoldsASecretPrintsIt(t *testing.T) {
	w := newWorld(t)
	w.enrolSMS()
	alert := w.keyMade()
	alert.Except = otherPhone
	setup := w.beginTOTP(w.proved())
	a := w.account()
	nonce := a.Notices[len(a.Notices)-1].Nonce
	key := "ABCD-EFGH-IJKL-MNOP-QRST-UVWX-YZ"
	answer := account.Answer{Challenge: "c", Factor: policy.SMS, Code: "314159", Expected: "271828"}
	result := account.Result{Verdict: account.Right, RecoveryKey: key}
	bound := account.Bound{Verdict: account.Right, Setup: setup, RecoveryKey: key}
	result.Alerts, bound.Alert = []account.Alert{alert}, alert
	send := account.SetupSend{Setup: setup, Granted: true, Code: "161803"}
	_, ticket, err := w.book.Attempt(t.Context(), w.id, account.Answer{Challenge: w.challenge(), Factor: policy.SMS, Code: "314159", Expected: "271828"})
	if err != nil || ticket == nil {
		t.Fatalf("Attempt() = %v, %v", ticket, err)
	}
	enrolment := account.Enrolment{Factor: policy.TOTP, Secret: setup.Secret, Phone: phone}
	all := []any{
		a, *a, setup, *setup, answer, &answer, result, &result, bound, &bound, enrolment, &enrolment,
		alert, &alert, send, &send, a.Notices[0], &a.Notices[0], a.Notices, result.Alerts, a.Enrolments, []account.Account{*a}, map[string]*account.Setup{"s": setup},
		ticket, *ticket,
	}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		for _, v := range all {
			fmt.Fprintf(&out, verb+"\n", v)
		}
	}
	for _, handler := range []slog.Handler{slog.NewJSONHandler(&out, nil), slog.NewTextHandler(&out, nil)} {
		for _, v := range all[:18] {
			slog.New(handler).Info("seen", "value", v)
		}
	}
	for _, secret := range secrets(string(setup.Secret), string(phone), phone.Digits(), string(otherPhone), key, "314159", "271828", "161803", alert.Token, string(nonce), factor.TOTPSecretText(setup.Secret)) {
		if strings.Contains(out.String(), secret) {
			t.Errorf("%q shows in what was printed", secret)
		}
	}
	for _, tells := range []string{"account(epoch 1)", "setup(totp)", "enrolment(totp)", "answer(sms)", "alert(key_made)", "notice(key_made)", "set-up send(granted true)"} {
		if !strings.Contains(out.String(), tells) {
			t.Errorf("nothing says %q", tells)
		}
	}
}

// I8: seeds are sealed at rest, and no subject stands in a key.
func TestInvariantI8AccountsAreSealedAtRest(t *testing.T) {
	w := newWorld(t)
	key := w.enrolSMS()
	s := w.beginTOTP(w.proved())
	w.challenge()
	stored := w.account() // it reads back all the same
	if stored.Setup == nil || stored.Enrolment(policy.SMS).Phone != phone {
		t.Fatal("the account does not read back")
	}
	var dump bytes.Buffer
	all, err := w.store.Scan(t.Context(), "", "", 100)
	if err != nil || len(all) == 0 {
		t.Fatalf("%d records, %v", len(all), err)
	}
	for _, record := range all {
		fmt.Fprintf(&dump, "%s\n%s\n", record.Key, record.Value)
	}
	for _, e := range w.events() {
		line, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		dump.Write(line)
	}
	for _, secret := range secrets(string(s.Secret), string(phone), key, "budi", "enrolments", "request 0") {
		if bytes.Contains(dump.Bytes(), []byte(secret)) {
			t.Errorf("%q shows in the store", secret)
		}
	}
}

func TestAnAccountsIDIsAKeyedHashOfItsSubject(t *testing.T) {
	w := newWorld(t)
	foreign, err := seal.NewRing(random(2), w.clock.now())
	if err != nil {
		t.Fatal(err)
	}
	other := account.NewBook(w.store, foreign, w.rand, w.clock.now)
	for _, subject := range []string{"budi", "Budi", "budi ", "", "sari"} {
		id := w.book.ID(subject)
		if (id == w.id) != (subject == "budi") || len(id) != 22 {
			t.Errorf("ID(%q) = %q", subject, id)
		}
		if id == other.ID(subject) {
			t.Errorf("ID(%q) is the same under another ring", subject)
		}
		h := id.Hash()
		if want, err := base64.RawURLEncoding.DecodeString(string(id)); err != nil || !bytes.Equal(h[:], want) {
			t.Errorf("Hash() of %q = %x, %v", id, h, err)
		}
	}
	if account.ID("short").Hash() == w.id.Hash() || account.ID("").Hash() != [16]byte{} {
		t.Error("what is no id has the hash of one")
	}
}

// I1: an account that cannot be read is never one without a second factor.
func TestInvariantI1AnAccountThatCannotBeReadIsAnError(t *testing.T) {
	w := newWorld(t)
	in := ways[policy.SMS](w)
	c := w.proved()
	each := func(b *account.Book) map[string]error {
		errs := map[string]error{}
		_, errs["Get"] = b.Get(t.Context(), w.id)
		_, errs["Standing"] = b.Standing(t.Context(), w.id)
		_, errs["Answer"] = b.Answer(t.Context(), w.id, in)
		_, errs["Open"] = b.Open(t.Context(), w.id, w.interruption("new"))
		_, errs["Confirm"] = b.Confirm(t.Context(), w.id, c, "setup", "123456", "")
		errs["CloseChallenge"] = b.CloseChallenge(t.Context(), w.id, in.Challenge, "", account.Client{})
		for name, change := range changes {
			errs[name] = change.do(b, t.Context(), w.id, c)
		}
		return errs
	}
	foreign, err := seal.NewRing(random(2), w.clock.now())
	if err != nil {
		t.Fatal(err)
	}
	for name, err := range each(account.NewBook(w.store, foreign, w.rand, w.clock.now)) {
		if !errors.Is(err, seal.ErrOpen) {
			t.Errorf("%s under another ring = %v, want ErrOpen", name, err)
		}
	}
	if w.account().Enrolment(policy.SMS) == nil {
		t.Fatal("the account is not what it was")
	}
	w.book.Close()
	if err := w.store.Close(); err != nil {
		t.Fatal(err)
	}
	for name, err := range each(w.book) {
		if !errors.Is(err, store.ErrClosed) {
			t.Errorf("%s on a closed store = %v, want ErrClosed", name, err)
		}
		if err != nil && (strings.Contains(err.Error(), string(phone)) || strings.Contains(err.Error(), in.Code)) {
			t.Errorf("%s tells of the account: %v", name, err)
		}
	}
}
