package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.uber.org/zap"

	"github.com/caddyserver/caddy/v2"

	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/internal/gate"
)

func init() { caddy.RegisterModule(AdminPlayers{}) }

const (
	playersPath = "/stepgate/players"
	// maxPlayersBody is the longest question, in bytes.
	maxPlayersBody = 4096
	// maxBy is the longest name of an agent or ticket, in characters.
	maxBy = 64
)

// AdminPlayers are the endpoints of Caddy's admin API through which support helps
// players, and the operator says under which names they are known. The admin API asks nobody
// who they are: whoever reaches it can remove every player's factors. Keep it on a unix socket or on loopback.
type AdminPlayers struct{}

// playersQuestion is what the endpoint is asked.
type playersQuestion struct {
	Subject string `json:"subject"`
	Do      string `json:"do"`
	By      string `json:"by,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (AdminPlayers) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "admin.api.stepgate", New: func() caddy.Module { return new(AdminPlayers) }}
}

// Routes returns the endpoints' routes.
func (AdminPlayers) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{
		{Pattern: playersPath, Handler: caddy.AdminHandlerFunc(servePlayers)},
		{Pattern: aliasesPath, Handler: caddy.AdminHandlerFunc(serveAliases)},
	}
}

func servePlayers(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return apiError(http.StatusMethodNotAllowed, errors.New("want POST"))
	}
	q, err := readPlayersQuestion(w, r)
	if err != nil {
		return err
	}
	app, err := activeApp()
	if err != nil {
		return err
	}
	backend, err := app.backend(r.Context())
	if err != nil {
		return apiError(http.StatusServiceUnavailable, err)
	}
	player, err := app.support(q.By).Do(r.Context(), backend, q.Subject, q.Do)
	switch {
	case errors.Is(err, gate.ErrUnknownAct):
		return apiError(http.StatusBadRequest, err)
	case errors.Is(err, gate.ErrNothingToDo):
		return apiError(http.StatusConflict, gate.ErrNothingToDo)
	case errors.Is(err, gate.ErrUnknownPlayer):
		return apiError(http.StatusNotFound, err)
	case err != nil:
		return apiError(http.StatusServiceUnavailable, err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	return json.NewEncoder(w).Encode(player)
}

func readPlayersQuestion(w http.ResponseWriter, r *http.Request) (q playersQuestion, err error) {
	err = readQuestion(w, r, maxPlayersBody, &q)
	if _, answered := errors.AsType[caddy.APIError](err); answered {
		return q, err
	}
	notPrintable := func(c rune) bool { return !unicode.IsPrint(c) }
	switch {
	case err != nil:
		return q, apiError(http.StatusBadRequest, errors.New(`want one JSON object with "subject", "do" and "by" alone`))
	case q.Subject == "":
		return q, apiError(http.StatusBadRequest, errors.New(`"subject" is missing: the player's id at the site`))
	case q.By == "" && q.Do != gate.SupportShow:
		return q, apiError(http.StatusBadRequest, errors.New(`"by" is missing: who changes this, an agent or a ticket`))
	case utf8.RuneCountInString(q.By) > maxBy || strings.ContainsFunc(q.By, notPrintable):
		return q, apiError(http.StatusBadRequest, fmt.Errorf(`"by": want 1 to %d printable characters`, maxBy))
	}
	return q, nil
}

// readQuestion reads a body that is one JSON value of up to limit bytes, with the fields of
// q alone. The error for a longer one is for the client; others may quote the body.
func readQuestion(w http.ResponseWriter, r *http.Request, limit int64, q any) error {
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, limit))
	dec.DisallowUnknownFields()
	err := dec.Decode(q)
	if err == nil {
		if _, end := dec.Token(); end == nil {
			err = errors.New("more than one JSON value")
		} else if !errors.Is(end, io.EOF) {
			err = end
		}
	}
	if _, long := errors.AsType[*http.MaxBytesError](err); long {
		return apiError(http.StatusRequestEntityTooLarge, fmt.Errorf("want at most %d bytes", limit))
	}
	return err
}

// activeApp returns the app of the configuration that runs, for an endpoint: anew for each
// request, because the admin API outlives failed reloads.
func activeApp() (*App, error) {
	module, err := caddy.ActiveContext().AppIfConfigured(appName)
	if err != nil {
		return nil, apiError(http.StatusServiceUnavailable, err)
	}
	app, ok := module.(*App)
	if !ok {
		return nil, apiError(http.StatusInternalServerError, fmt.Errorf("the app is a %T", module)) // unreachable
	}
	return app, nil
}

func apiError(status int, err error) error { return caddy.APIError{HTTPStatus: status, Err: err} }

// support returns what acts for players, on behalf of an agent.
func (a *App) support(by string) *gate.Support {
	s := &gate.Support{SMS: a.courier, Pages: a.pages, NoticeURL: a.noticeURL(), Failed: func(err error) {
		a.logger.Error("telling a player what support has done", zap.Error(err))
	}, Observe: func(e audit.Event) {
		count(e)
		a.audit.Info("step-up", append(eventFields(e), zap.String("by", by))...)
	}}
	if a.webhook != nil {
		s.Notify = a.webhook.Send
	}
	return s
}

var _ caddy.AdminRouter = AdminPlayers{}
