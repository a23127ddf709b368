package casino

import (
	"fmt"
	"io"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

const (
	// maxAmount is the most that one entry may move, in rupiah: so little of an
	// int64 that no balance overflows before the memory is full of entries.
	maxAmount = 100_000_000_000
	stake     = 10_000     // of one spin, in rupiah
	prize     = 10 * stake // for three equal symbols, in rupiah
)

// Kind says what an Entry is.
type Kind string

// The kinds of entry. Deposits and wins add to the balance, the others take from it.
const (
	Deposit    Kind = "deposit"
	Withdrawal Kind = "withdrawal"
	Bet        Kind = "bet"
	Win        Kind = "win"
)

// Adds reports whether entries of this kind add to the balance.
func (k Kind) Adds() bool { return k == Deposit || k == Win }

// Entry is one line of a player's ledger.
type Entry struct {
	ID      string    `json:"id"` // unique on the site
	Time    time.Time `json:"time"`
	Kind    Kind      `json:"kind"`
	Amount  int64     `json:"amount"`            // rupiah, above zero
	Account string    `json:"account,omitempty"` // bank account of a withdrawal or deposit
}

// Ledger returns a copy of the player's entries, oldest first. It is empty for a
// player who has moved no money, and for a name that nobody has.
func (s *Site) Ledger(username string) []Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.find(func(p *player) bool { return p.Username == username })
	if p == nil {
		return nil
	}
	return slices.Clone(p.ledger)
}

// book moves money and writes it down. The caller holds mu.
func (s *Site) book(p *player, kind Kind, amount int64, bank string) (Entry, error) {
	change := amount
	if !kind.Adds() {
		change = -amount
	}
	if p.Balance+change < 0 {
		return Entry{}, errTooPoor
	}
	p.Balance += change
	s.entries++
	e := Entry{ID: fmt.Sprintf("T%06d", s.entries), Time: s.options.Now(), Kind: kind, Amount: amount, Account: bank}
	p.ledger = append(p.ledger, e)
	return e, nil
}

// withdraw takes what was typed, in the form or by an app. The caller holds mu.
func (s *Site) withdraw(p *player, amount, account string) (Entry, error) {
	n, err := parseAmount(amount)
	if err != nil {
		return Entry{}, err
	}
	bank, err := parseBank(account)
	if err != nil {
		return Entry{}, err
	}
	return s.book(p, Withdrawal, n, bank)
}

func (s *Site) withdrawForm(in *session, fields url.Values) (string, error) {
	e, err := s.withdraw(in.player, fields.Get("amount"), fields.Get("account"))
	return fmt.Sprintf("Penarikan %s ke %s sedang diproses.", rupiah(e.Amount), e.Account), err
}

func (s *Site) deposit(in *session, fields url.Values) (string, error) {
	amount, err := parseAmount(fields.Get("amount"))
	if err != nil {
		return "", err
	}
	_, err = s.book(in.player, Deposit, amount, in.player.Bank)
	return fmt.Sprintf("Setoran %s diterima.", rupiah(amount)), err
}

// spin turns three reels of four symbols: as many as divide 256, so that none is
// likelier than another.
func (s *Site) spin(in *session, _ url.Values) (string, error) {
	var reels [3]byte
	if _, err := io.ReadFull(s.options.Rand, reels[:]); err != nil {
		return "", fmt.Errorf("turning the reels: %w", err)
	}
	if _, err := s.book(in.player, Bet, stake, ""); err != nil {
		return "", err
	}
	symbols := [4]string{"♠", "♥", "♦", "♣"}
	a, b, c := symbols[reels[0]%4], symbols[reels[1]%4], symbols[reels[2]%4]
	if a != b || b != c {
		return fmt.Sprintf("%s %s %s Belum beruntung, coba lagi.", a, b, c), nil
	}
	_, err := s.book(in.player, Win, prize, "")
	return fmt.Sprintf("%s %s %s Anda menang %s!", a, b, c, rupiah(prize)), err
}

// amountPattern takes 2500000, 2.500.000, Rp2.500.000 and Rp 2.500.000, the ways
// in which people here write money. What could be meant in two ways, such as
// 25.00, is refused.
var amountPattern = regexp.MustCompile(`^(?i:rp)?[ \x{a0}]?([1-9][0-9]{0,2}(?:\.[0-9]{3})+|[1-9][0-9]*)$`)

// parseAmount reads an amount of 1 to maxAmount rupiah.
func parseAmount(text string) (int64, error) {
	m := amountPattern.FindStringSubmatch(strings.TrimSpace(text))
	if m == nil {
		return 0, errBadAmount
	}
	n, err := strconv.ParseInt(strings.ReplaceAll(m[1], ".", ""), 10, 64)
	if err != nil || n > maxAmount {
		return 0, errBadAmount
	}
	return n, nil
}

// parseBank reads a bank account: one line of 1 to 100 characters, such as
// "BCA 1234567890".
func parseBank(text string) (string, error) {
	text = strings.TrimSpace(text)
	if n := utf8.RuneCountInString(text); n < 1 || n > 100 || !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
		return "", errBadBank
	}
	return text, nil
}

// rupiah writes an amount the Indonesian way: Rp2.500.000.
func rupiah(n int64) string {
	digits := strconv.FormatInt(n, 10)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "." + digits[i:]
	}
	return "Rp" + digits
}
