package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/caddyserver/caddy/v2"

	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/internal/gate"
)

const (
	aliasesPath = "/stepgate/aliases"
	// aliasBatch is how many players one request imports, at most, and maxAliasesBody how
	// long it is, in bytes.
	aliasBatch     = 500
	maxAliasesBody = 1 << 20
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

func serveAliases(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return apiError(http.StatusMethodNotAllowed, errors.New("want POST"))
	}
	var q aliasesQuestion
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxAliasesBody))
	dec.DisallowUnknownFields()
	if dec.Decode(&q) != nil || len(q.Players) > aliasBatch || (len(q.Players) == 0) == (q.Name == "") {
		return apiError(http.StatusBadRequest, fmt.Errorf(`want one JSON object with "name", or with 1 to %d "players"`, aliasBatch))
	}
	// Anew for each request, as with players.
	module, err := caddy.ActiveContext().AppIfConfigured(appName)
	if err != nil {
		return apiError(http.StatusServiceUnavailable, err)
	}
	app, ok := module.(*App)
	if !ok {
		return apiError(http.StatusInternalServerError, fmt.Errorf("the app is a %T", module)) // unreachable
	}
	backend, err := app.backend(r.Context())
	if err != nil {
		return apiError(http.StatusServiceUnavailable, err)
	}
	names := gate.Directory{Backend: backend}
	if app.SMS != nil {
		names.Numbering = app.SMS.numbering()
	}
	var answer aliasesAnswer
	for _, p := range q.Players {
		if err := names.Import(r.Context(), p.Subject, p.Login, p.Email, p.Phone); err != nil {
			return apiError(http.StatusServiceUnavailable, err)
		}
		answer.Imported++
	}
	if answer.Imported > 0 {
		app.observe(nil, audit.Event{Name: audit.AliasesImported, Note: fmt.Sprintf("%d players", answer.Imported)})
	} else if answer.Account, err = names.Show(r.Context(), q.Name); err != nil {
		return apiError(http.StatusServiceUnavailable, err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	return json.NewEncoder(w).Encode(answer)
}
