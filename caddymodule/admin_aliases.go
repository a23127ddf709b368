package caddymodule

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/caddyserver/caddy/v2"

	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/internal/gate"
	"github.com/stepgate/stepgate/sms"
)

const (
	aliasesPath = "/stepgate/aliases"
	// aliasBatch is how many players one request imports, at most.
	aliasBatch = 500
	// maxAliasesBody is how long a request is, in bytes, at most: so many players with the
	// longest names fit in, also if JSON escapes every character.
	maxAliasesBody = 4 << 20
)

// aliasesQuestion is what the endpoint is asked: to import players, or whose a name is.
type aliasesQuestion struct {
	Players []aliasPlayer `json:"players,omitempty"`
	Name    string        `json:"name,omitempty"`
}

// aliasesAnswer says how many players were imported, or the account of a name, empty if it
// is nobody's.
type aliasesAnswer struct {
	Imported int    `json:"imported"`
	Account  string `json:"account,omitempty"`
}

// aliasesNumbering is the answer to GET: which phone numbers there are to the gateway. By it
// the command finds two players with one number, however that is written.
type aliasesNumbering struct {
	Regions []string         `json:"regions,omitempty"`
	Types   []sms.NumberType `json:"types,omitempty"`
}

func serveAliases(w http.ResponseWriter, r *http.Request) error {
	var q aliasesQuestion
	switch r.Method {
	case http.MethodGet:
	case http.MethodPost:
		if err := readAliasesQuestion(w, r, &q); err != nil {
			return err
		}
	default:
		w.Header().Set("Allow", "GET, POST")
		return apiError(http.StatusMethodNotAllowed, errors.New("want GET or POST"))
	}
	app, err := activeApp()
	if err != nil {
		return err
	}
	var numbering sms.Numbering
	if app.SMS != nil {
		numbering = app.SMS.numbering()
	}
	var answer any = aliasesNumbering(numbering)
	if r.Method == http.MethodPost {
		if answer, err = app.aliases(r.Context(), numbering, q); err != nil {
			return err
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	return json.NewEncoder(w).Encode(answer)
}

func readAliasesQuestion(w http.ResponseWriter, r *http.Request, q *aliasesQuestion) error {
	err := readQuestion(w, r, maxAliasesBody, q)
	if _, answered := errors.AsType[caddy.APIError](err); answered {
		return err
	}
	if err != nil || len(q.Players) > aliasBatch || (len(q.Players) == 0) == (q.Name == "") {
		return apiError(http.StatusBadRequest, fmt.Errorf(`want one JSON object with "name", or with 1 to %d "players"`, aliasBatch))
	}
	return nil
}

// aliases imports players, all of whom are checked before, or says whose a name is.
func (a *App) aliases(ctx context.Context, n sms.Numbering, q aliasesQuestion) (answer aliasesAnswer, err error) {
	names := gate.Directory{Numbering: n}
	for i, p := range q.Players {
		if err := names.Check(p.Subject, p.Login, p.Email, p.Phone); err != nil {
			return answer, apiError(http.StatusBadRequest, fmt.Errorf("player %d, and nobody was imported: %w", i+1, err))
		}
	}
	if names.Backend, err = a.backend(ctx); err != nil {
		return answer, apiError(http.StatusServiceUnavailable, err)
	}
	if len(q.Players) == 0 {
		answer.Account, err = names.Show(ctx, q.Name)
	}
	for _, p := range q.Players {
		if err = names.Import(ctx, p.Subject, p.Login, p.Email, p.Phone); err != nil {
			break
		}
		answer.Imported++
	}
	// Also of a batch that broke off: what was imported before stays.
	if answer.Imported > 0 {
		a.observe(nil, audit.Event{Name: audit.AliasesImported, Note: fmt.Sprintf("%d players", answer.Imported)})
	}
	if err != nil {
		return answer, apiError(http.StatusServiceUnavailable, err)
	}
	return answer, nil
}
