package casino

import (
	"bytes"
	"reflect"
	"strings"
	"sync"
	"testing"
)

func TestWithdrawalIsBookedAndThePlayerSentToTheWallet(t *testing.T) {
	site, b := open(t, Options{})
	b.logIn("budi")
	a := b.post("/wallet/withdraw", "amount", "Rp 2.500.000", "account", " BCA 1234567890 ")
	if a.status != 303 || a.location != "/wallet" {
		t.Fatalf("withdrawal = %d to %q, want 303 to /wallet", a.status, a.location)
	}
	want := []Entry{{ID: "T000001", Time: opening, Kind: Withdrawal, Amount: 2_500_000, Account: "BCA 1234567890"}}
	if got := site.Ledger("budi"); !reflect.DeepEqual(got, want) {
		t.Errorf("ledger = %v, want %v", got, want)
	}
	const flash = "Penarikan Rp2.500.000 ke BCA 1234567890 sedang diproses."
	b.get("/wallet").want(t, 200, flash, "<strong>Rp7.500.000</strong>",
		"<td>T000001</td>", "<td>02/01/2026 10.04 WIB</td>", "<td>Penarikan</td>", "<td>BCA 1234567890</td>", "−Rp2.500.000</td>")
	if strings.Contains(b.get("/wallet").body, flash) {
		t.Error("the message is shown twice")
	}
	if got := site.Ledger("sari"); len(got) != 0 {
		t.Errorf("sari's ledger = %v, want none", got)
	}
	if got := site.Ledger("nobody"); got != nil {
		t.Errorf("nobody's ledger = %v, want nil", got)
	}
}

func TestTwoEqualWithdrawalsAreTwoWithdrawals(t *testing.T) {
	site, b := open(t, Options{})
	b.logIn("budi")
	const body = `{"amount":2500000,"account":"BCA 1234567890"}`
	for range 2 {
		b.post("/wallet/withdraw", "amount", "2500000", "account", "BCA 1234567890").want(t, 303)
		b.do("POST", "/api/v1/withdrawals", body, "Content-Type", "application/json").want(t, 201)
	}
	if got := len(site.Ledger("budi")); got != 4 {
		t.Errorf("%d entries, want 4", got)
	}
}

func TestWalletShowsTheNewestEntryFirst(t *testing.T) {
	_, b := open(t, Options{})
	b.logIn("budi")
	b.post("/wallet/deposit", "amount", "1000").want(t, 303)
	b.post("/wallet/deposit", "amount", "2000").want(t, 303)
	body := b.get("/wallet").body
	first, second := strings.Index(body, "T000001"), strings.Index(body, "T000002")
	if second < 0 || first < second {
		t.Errorf("T000002 is at %d and T000001 at %d, want the newer one first", second, first)
	}
}

func TestLedgerIsACopy(t *testing.T) {
	site, b := open(t, Options{})
	b.logIn("budi")
	b.post("/wallet/deposit", "amount", "1000").want(t, 303)
	site.Ledger("budi")[0].Amount = 1
	if got := site.Ledger("budi")[0].Amount; got != 1000 {
		t.Errorf("amount = %d, want 1000", got)
	}
}

func TestMultipartFormsAreFormsToo(t *testing.T) {
	site, b := open(t, Options{})
	b.logIn("budi")
	part := func(name, value string) string {
		return "--x\r\nContent-Disposition: form-data; name=\"" + name + "\"\r\n\r\n" + value + "\r\n"
	}
	b.do("POST", "/wallet/withdraw", part("amount", "1000")+part("account", "BCA 1")+"--x--\r\n",
		"Content-Type", "multipart/form-data; boundary=x").want(t, 303)
	if got := len(site.Ledger("budi")); got != 1 {
		t.Errorf("%d entries, want 1", got)
	}
}

func TestAmountsAreReadAsPeopleWriteThem(t *testing.T) {
	for text, want := range map[string]int64{
		"2500000": 2_500_000, "2.500.000": 2_500_000, "Rp 2.500.000": 2_500_000, "Rp2.500.000": 2_500_000, "rp 2500000": 2_500_000,
		"Rp\u00a02.500.000": 2_500_000, " 999 ": 999, "1": 1, "1.000": 1000, "100.000.000.000": maxAmount,
	} {
		if got, err := parseAmount(text); got != want || err != nil {
			t.Errorf("parseAmount(%q) = %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", "0", "-1", "+1", "Rp", "abc", "1e6", "0x10", "25.00", "2.500.00", "2500.000", "1,000", "2.500.000,00", "0.500", "007", "1 000",
		"Rp  1", "RpRp1", "100.000.000.001", "99999999999999999999", "1\n2", "١", "1.000.", ".000",
	} {
		if got, err := parseAmount(text); err != errBadAmount {
			t.Errorf("parseAmount(%q) = %d, %v, want %v", text, got, err, errBadAmount)
		}
	}
}

func TestRefusedWithdrawalsAreExplainedAndMoveNothing(t *testing.T) {
	site, b := open(t, Options{})
	b.logIn("budi")
	for _, tc := range []struct {
		name, amount, account string
		problem               *problem
	}{
		{"bad amount", "banyak", "BCA 1", errBadAmount},
		{"zero", "0", "BCA 1", errBadAmount},
		{"negative", "-1000", "BCA 1", errBadAmount},
		{"more than the balance", "10.000.001", "BCA 1", errTooPoor},
		{"no account", "1000", "", errBadBank},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := b.post("/wallet/withdraw", "amount", tc.amount, "account", tc.account)
			a.want(t, 422, tc.problem.Message, `href="/wallet"`)
			body := `{"amount":"` + tc.amount + `","account":"` + tc.account + `"}`
			b.do("POST", "/api/v1/withdrawals", body, "Content-Type", "application/json").want(t, 422, `"error":"`+tc.problem.code+`"`)
		})
	}
	b.do("POST", "/wallet/withdraw?amount=1000&account=BCA+1", "").want(t, 422)
	if got := site.Ledger("budi"); len(got) != 0 {
		t.Errorf("ledger = %v, want none", got)
	}
	b.post("/wallet/withdraw", "amount", "10.000.000", "account", "BCA 1").want(t, 303)
	b.get("/wallet").want(t, 200, "<strong>Rp0</strong>")
}

func TestStrangersMoveNoMoney(t *testing.T) {
	site, b := open(t, Options{})
	for _, path := range []string{"/wallet/withdraw", "/wallet/deposit", "/game/spin", "/account/email", "/account/phone", "/account/bank"} {
		if a := b.post(path, "amount", "1000", "account", "BCA 1"); a.status != 303 || a.location != "/login" {
			t.Errorf("POST %s = %d to %q, want 303 to /login", path, a.status, a.location)
		}
	}
	b.do("POST", "/api/v1/withdrawals", `{"amount":1,"account":"BCA 1"}`, "Content-Type", "application/json").want(t, 401, `"error":"unauthenticated"`)
	if site.entries != 0 {
		t.Errorf("%d entries, want none", site.entries)
	}
}

func TestConcurrentWithdrawalsNeverOverdraw(t *testing.T) {
	site, b := open(t, Options{})
	b.logIn("budi")
	var wg sync.WaitGroup
	for range 15 {
		wg.Go(func() {
			a := b.post("/wallet/withdraw", "amount", "1.000.000", "account", "BCA 1")
			if a.status != 303 && a.status != 422 {
				t.Errorf("status = %d, want 303 or 422", a.status)
			}
		})
	}
	wg.Wait()
	entries, ids := site.Ledger("budi"), map[string]bool{}
	for _, e := range entries {
		ids[e.ID] = true
	}
	if len(entries) != 10 || len(ids) != 10 {
		t.Errorf("%d entries with %d ids, want 10 and 10", len(entries), len(ids))
	}
}

func TestDepositsAddToTheBalance(t *testing.T) {
	site, b := open(t, Options{})
	b.logIn("sari")
	if a := b.post("/wallet/deposit", "amount", "500.000"); a.status != 303 || a.location != "/wallet" {
		t.Errorf("deposit = %d to %q, want 303 to /wallet", a.status, a.location)
	}
	b.get("/wallet").want(t, 200, "Setoran Rp500.000 diterima.", "<strong>Rp10.500.000</strong>", `in">+Rp500.000</td>`)
	b.post("/wallet/deposit", "amount", "-5").want(t, 422, errBadAmount.Message)
	want := []Entry{{ID: "T000001", Time: opening, Kind: Deposit, Amount: 500_000, Account: "Mandiri 9870001112223"}}
	if got := site.Ledger("sari"); !reflect.DeepEqual(got, want) {
		t.Errorf("ledger = %v, want %v", got, want)
	}
}

func TestSpinTakesTheStakeAndPaysThePrize(t *testing.T) {
	for _, tc := range []struct {
		name    string
		reels   []byte
		kinds   []Kind
		balance string
		shows   string
	}{
		{"three equal", []byte{3, 7, 255}, []Kind{Bet, Win}, "Rp10.090.000", "♣ ♣ ♣ Anda menang Rp100.000!"},
		{"two equal", []byte{0, 0, 1}, []Kind{Bet}, "Rp9.990.000", "♠ ♠ ♥ Belum beruntung"},
		{"two equal at the end", []byte{2, 1, 1}, []Kind{Bet}, "Rp9.990.000", "♦ ♥ ♥ Belum beruntung"},
		{"broken reels", []byte{0, 0}, nil, "Rp10.000.000", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			session := make([]byte, 20)
			site, b := open(t, Options{Rand: bytes.NewReader(append(session, tc.reels...))})
			b.logIn("agus")
			a := b.post("/game/spin")
			if tc.kinds == nil {
				a.want(t, 500, errInternal.Message)
			} else if a.status != 303 || a.location != "/" {
				t.Errorf("spin = %d to %q, want 303 to /", a.status, a.location)
			}
			var kinds []Kind
			for _, e := range site.Ledger("agus") {
				kinds = append(kinds, e.Kind)
			}
			if !reflect.DeepEqual(kinds, tc.kinds) {
				t.Errorf("entries = %v, want %v", kinds, tc.kinds)
			}
			b.get("/").want(t, 200, tc.shows, "<strong>"+tc.balance+"</strong>")
		})
	}
}

func TestSpinWithoutMoneyIsRefused(t *testing.T) {
	_, b := open(t, Options{})
	b.logIn("agus")
	b.post("/wallet/withdraw", "amount", "9.990.001", "account", "BCA 1").want(t, 303)
	b.post("/game/spin").want(t, 422, errTooPoor.Message)
}

func TestApiWithdrawalAnswersWithTheEntry(t *testing.T) {
	_, b := open(t, Options{})
	b.logIn("budi")
	a := b.do("POST", "/api/v1/withdrawals", `{"amount":2500000,"account":"BCA 1234567890"}`, "Content-Type", "application/json; charset=utf-8")
	a.want(t, 201)
	const want = `{"id":"T000001","time":"2026-01-02T03:04:05Z","kind":"withdrawal","amount":2500000,"account":"BCA 1234567890","balance":7500000}`
	if got := strings.TrimSpace(a.body); got != want {
		t.Errorf("body = %s, want %s", got, want)
	}
	b.do("POST", "/api/v1/withdrawals", `{"amount":"Rp 2.500.000","account":"BCA 1"}`, "Content-Type", "application/json").want(t, 201, `"balance":5000000`)
}

func TestApiWithdrawalRefusesWhatItCannotRead(t *testing.T) {
	site, b := open(t, Options{})
	b.logIn("budi")
	for _, tc := range []struct {
		name, contentType, body string
		status                  int
	}{
		{"decimal point", "application/json", `{"amount":2.500,"account":"BCA 1"}`, 422},
		{"exponent", "application/json", `{"amount":2e6,"account":"BCA 1"}`, 422},
		{"zero", "application/json", `{"amount":0,"account":"BCA 1"}`, 422},
		{"negative", "application/json", `{"amount":-5,"account":"BCA 1"}`, 422},
		{"null", "application/json", `{"amount":null,"account":"BCA 1"}`, 422},
		{"list", "application/json", `{"amount":[5],"account":"BCA 1"}`, 422},
		{"no amount", "application/json", `{"account":"BCA 1"}`, 422},
		{"no account", "application/json", `{"amount":5}`, 422},
		{"broken", "application/json", `{"amount":5,`, 400},
		{"trailing", "application/json", `{"amount":5,"account":"BCA 1"}{}`, 400},
		{"empty", "application/json", ``, 400},
		{"over the cap", "application/json", `{"amount":5,"account":"BCA 1"}` + strings.Repeat(" ", maxBody), 400},
		{"as plain text", "text/plain", `{"amount":5,"account":"BCA 1"}`, 400},
		{"without a type", "", `{"amount":5,"account":"BCA 1"}`, 400},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b.do("POST", "/api/v1/withdrawals", tc.body, "Content-Type", tc.contentType).want(t, tc.status, `"error":`)
		})
	}
	if got := site.Ledger("budi"); len(got) != 0 {
		t.Errorf("ledger = %v, want none", got)
	}
}
