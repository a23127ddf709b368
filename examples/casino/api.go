package casino

import (
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"
)

// readJSON wants the media type too: no HTML form can send it, so no other site
// can make a browser do so unasked.
func readJSON(r *http.Request, into any) error {
	body, err := io.ReadAll(r.Body)
	media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/json" || json.Unmarshal(body, into) != nil {
		return errBadBody
	}
	return nil
}

func writeJSON(w http.ResponseWriter, status int, body any) error {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the one error left is a caller who has gone
	return nil
}

func (s *Site) apiLogIn(w http.ResponseWriter, r *http.Request) error {
	var given struct{ Username, Password string }
	if err := readJSON(r, &given); err != nil {
		return err
	}
	id, err := s.openSession(given.Username, given.Password)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, map[string]any{
		"token": id, "token_type": "Bearer", "expires_in": SessionLifetime / time.Second,
	})
}

func (s *Site) apiMe(w http.ResponseWriter, r *http.Request) error {
	var me account
	if err := s.asPlayer(r, func(in *session) error { me = in.player.account; return nil }); err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, me)
}

func (s *Site) apiWithdraw(w http.ResponseWriter, r *http.Request) error {
	var given struct {
		Amount  json.RawMessage // a number, or text as in the form
		Account string
	}
	if err := readJSON(r, &given); err != nil {
		return err
	}
	var booked struct {
		Entry
		Balance int64 `json:"balance"`
	}
	err := s.asPlayer(r, func(in *session) (err error) {
		booked.Entry, err = s.withdraw(in.player, amountText(given.Amount), given.Account)
		booked.Balance = in.player.Balance
		return err
	})
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusCreated, booked)
}

// amountText turns a JSON number or text into what parseAmount reads. A point in
// a JSON number is a decimal point, while parseAmount would take 2.500 for two
// thousand five hundred; no amount has decimals, so such a number becomes nothing.
func amountText(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) == nil || strings.Contains(string(raw), ".") {
		return text
	}
	return string(raw)
}
