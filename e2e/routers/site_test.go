package routers

import (
	"cmp"
	"fmt"
	"net"
	"net/http"
	"os"
	"path"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/gorilla/mux"
)

// idHeader carries a spelling's number to the handlers.
const idHeader = "Spelling"

// site is what the routers of Go lead to. ran is told of each run of a sensitive
// handler.
type site struct {
	ran func(handler string, r *http.Request)
}

func (s site) sensitive(handler string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.ran(handler, r)
		_, _ = fmt.Fprintln(w, "ran", handler)
	}
}

func (s site) open(w http.ResponseWriter, r *http.Request) {
	_, _ = fmt.Fprintln(w, "open", r.URL.RequestURI())
}

// overridden lets the usual header, query parameter and form field name the
// method, as gorilla/handlers does and many a site's own middleware.
func overridden(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		claimed := cmp.Or(r.Header.Get("X-HTTP-Method-Override"), r.URL.Query().Get("_method"))
		if claimed == "" && r.Method == http.MethodPost {
			claimed = r.PostFormValue("_method")
		}
		if claimed != "" {
			r.Method = strings.ToUpper(claimed)
		}
		next.ServeHTTP(w, r)
	})
}

// goRouters makes the sites of Go, by the names of their routers.
var goRouters = map[string]func(site) http.Handler{
	"servemux": func(s site) http.Handler {
		m := http.NewServeMux()
		m.Handle("POST /wallet/withdraw", s.sensitive("withdraw"))
		m.Handle("GET /account/export", s.sensitive("export"))
		m.Handle("PUT /account/phone", s.sensitive("phone"))
		m.Handle("POST /api/users/{id}/transfer", s.sensitive("transfer"))
		m.HandleFunc("/", s.open)
		return m
	},
	"servemux-override": func(s site) http.Handler {
		wallet := http.NewServeMux()
		wallet.Handle("POST /withdraw/{$}", s.sensitive("withdraw"))
		wallet.Handle("POST /withdraw", s.sensitive("withdraw"))
		wallet.HandleFunc("/", s.open)
		m := http.NewServeMux()
		m.Handle("/wallet/", http.StripPrefix("/wallet", wallet))
		m.Handle("GET /account/export/{rest...}", s.sensitive("export"))
		m.Handle("GET /account/export", s.sensitive("export"))
		m.Handle("PUT /account/phone", s.sensitive("phone"))
		m.Handle("POST /api/users/{id}/transfer", s.sensitive("transfer"))
		m.HandleFunc("/", s.open)
		return overridden(m)
	},
	"go-switch": func(s site) http.Handler { // a handler that routes by itself
		return overridden(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			p := strings.ToLower(path.Clean("/" + r.URL.Path))
			switch {
			case p == "/wallet/withdraw" && r.Method == http.MethodPost:
				s.sensitive("withdraw")(w, r)
			case p == "/account/export" && (r.Method == http.MethodGet || r.Method == http.MethodHead):
				s.sensitive("export")(w, r)
			case p == "/account/phone" && r.Method == http.MethodPut:
				s.sensitive("phone")(w, r)
			case strings.HasPrefix(p, "/api/users/") && strings.HasSuffix(p, "/transfer") && r.Method == http.MethodPost:
				s.sensitive("transfer")(w, r)
			default:
				s.open(w, r)
			}
		}))
	},
	"chi": func(s site) http.Handler { return chiSite(s) },
	"chi-lenient": func(s site) http.Handler {
		return chiSite(s, overridden, middleware.CleanPath, middleware.StripSlashes, middleware.URLFormat, middleware.GetHead)
	},
	"gorilla":         func(s site) http.Handler { return gorillaSite(s, mux.NewRouter()) },
	"gorilla-slash":   func(s site) http.Handler { return overridden(gorillaSite(s, mux.NewRouter().StrictSlash(true))) },
	"gorilla-encoded": func(s site) http.Handler { return gorillaSite(s, mux.NewRouter().UseEncodedPath()) },
	"gorilla-unclean": func(s site) http.Handler { return gorillaSite(s, mux.NewRouter().SkipClean(true)) },
}

func chiSite(s site, middlewares ...func(http.Handler) http.Handler) http.Handler {
	m := chi.NewRouter()
	m.Use(middlewares...)
	m.Route("/wallet", func(m chi.Router) { m.Post("/withdraw", s.sensitive("withdraw")) })
	m.Get("/account/export", s.sensitive("export"))
	m.Put("/account/phone", s.sensitive("phone"))
	m.Post("/api/users/{id}/transfer", s.sensitive("transfer"))
	m.NotFound(s.open)
	m.MethodNotAllowed(s.open)
	return m
}

func gorillaSite(s site, m *mux.Router) http.Handler {
	wallet := m.PathPrefix("/wallet").Subrouter()
	wallet.Handle("/withdraw", s.sensitive("withdraw")).Methods("POST")
	m.Handle("/account/export", s.sensitive("export")).Methods("GET", "HEAD")
	m.Handle("/account/phone", s.sensitive("phone")).Methods("PUT")
	m.Handle("/api/users/{id}/transfer", s.sensitive("transfer")).Methods("POST")
	m.NotFoundHandler = http.HandlerFunc(s.open)
	m.MethodNotAllowedHandler = http.HandlerFunc(s.open)
	return m
}

// startGo serves the sites of Go and returns their addresses by name.
func startGo(t *testing.T, runs *runs) map[string]string {
	t.Helper()
	note, err := os.OpenFile(runs.file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = note.Close() })
	s := site{ran: func(handler string, r *http.Request) {
		if _, err := fmt.Fprintln(note, handler, cmp.Or(r.Header.Get(idHeader), "-")); err != nil {
			t.Error(err)
		}
	}}
	addresses := map[string]string{}
	for name, make := range goRouters {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		server := &http.Server{Handler: make(s), ErrorLog: discard}
		go func() { _ = server.Serve(listener) }() // ends with Close
		t.Cleanup(func() { _ = server.Close() })
		addresses[name] = listener.Addr().String()
	}
	return addresses
}
