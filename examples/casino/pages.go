package casino

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// handler is an http.HandlerFunc that leaves its error to [Site.fail].
type handler func(http.ResponseWriter, *http.Request) error

// problem is an error that the caller is told about.
type problem struct {
	Status  int
	code    string // for apps
	Message string // for people
}

func (p *problem) Error() string { return p.code }

var (
	errAnonymous     = &problem{401, "unauthenticated", "Silakan masuk terlebih dahulu."}
	errWrongPassword = &problem{401, "wrong_password", "Nama pengguna atau kata sandi salah."}
	errCrossSite     = &problem{403, "cross_site", "Permintaan ini datang dari situs lain, jadi kami menolaknya."}
	errNotFound      = &problem{404, "not_found", "Halaman ini tidak ada."}
	errBadBody       = &problem{400, "bad_body", "Data yang dikirim tidak dapat dibaca."}
	errBadAmount     = &problem{422, "bad_amount", "Jumlah tidak sah. Tulis jumlah dalam rupiah utuh, misalnya 2.500.000."}
	errTooPoor       = &problem{422, "insufficient_balance", "Saldo Anda tidak cukup. Tidak ada dana yang dipindahkan."}
	errBadBank       = &problem{422, "bad_account", "Rekening tidak sah. Tulis nama bank dan nomornya, misalnya BCA 1234567890."}
	errBadEmail      = &problem{422, "bad_email", "Alamat email tidak sah."}
	errEmailTaken    = &problem{409, "email_taken", "Alamat email itu sudah dipakai."}
	errBadPhone      = &problem{422, "bad_phone", "Nomor telepon tidak sah. Tulis misalnya 0812 3456 7890 atau +62 812 3456 7890."}
	errInternal      = &problem{500, "internal", "Terjadi gangguan. Coba lagi sebentar lagi."}
)

// readForm reads a URL-encoded or multipart body; the query does not count.
func readForm(r *http.Request) (url.Values, error) {
	if err := r.ParseForm(); err != nil {
		return nil, errBadBody
	}
	if err := r.ParseMultipartForm(maxBody); err != nil && !errors.Is(err, http.ErrNotMultipart) {
		return nil, errBadBody
	}
	return r.PostForm, nil
}

// form makes a handler of what a player does with a form. act runs with mu held
// and returns the message that greets the player on the page at to.
func (s *Site) form(to string, act func(*session, url.Values) (string, error)) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		fields, err := readForm(r) // before the lock is taken: a slow sender stops nobody
		if err != nil {
			return err
		}
		err = s.asPlayer(r, func(in *session) error {
			message, err := act(in, fields)
			if err == nil {
				in.flash = message
			}
			return err
		})
		if err != nil {
			return err
		}
		http.Redirect(w, r, to, http.StatusSeeOther)
		return nil
	}
}

// view is what the templates see.
type view struct {
	Player  *account // nil if nobody is logged in
	Flash   string
	Ledger  []Entry // newest first
	Jackpot int64
	Problem *problem
}

//go:embed templates
var templateFiles embed.FS

var templates = parseTemplates("home", "login", "reset", "wallet", "account", "problem")

func parseTemplates(names ...string) map[string]*template.Template {
	jakarta := time.FixedZone("WIB", 7*60*60)
	labels := map[Kind]string{Deposit: "Setoran", Withdrawal: "Penarikan", Bet: "Taruhan", Win: "Kemenangan"}
	layout := template.Must(template.New("layout.html").Funcs(template.FuncMap{
		"rupiah": rupiah,
		"clock":  func(t time.Time) string { return t.In(jakarta).Format("02/01/2006 15.04 MST") },
		"label":  func(k Kind) string { return labels[k] },
	}).ParseFS(templateFiles, "templates/layout.html"))
	parsed := map[string]*template.Template{}
	for _, name := range names {
		parsed[name] = template.Must(template.Must(layout.Clone()).ParseFS(templateFiles, "templates/"+name+".html"))
	}
	return parsed
}

func render(w http.ResponseWriter, status int, name string, v view) error {
	var html bytes.Buffer
	if err := templates[name].Execute(&html, v); err != nil {
		return fmt.Errorf("rendering a page: %w", err)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(html.Bytes()) // the one error left is a browser that has gone
	return nil
}

// look gathers what every page shows, and takes the flash message. Its one error
// is errAnonymous, with a view that is good for a stranger.
func (s *Site) look(r *http.Request) (view, error) {
	v := view{Jackpot: s.jackpot(s.options.Now())}
	err := s.asPlayer(r, func(in *session) error {
		known := in.player.account
		v.Player, v.Flash, v.Ledger = &known, in.flash, slices.Clone(in.player.ledger)
		in.flash = ""
		return nil
	})
	slices.Reverse(v.Ledger)
	return v, err
}

// audience is for whom a page is.
type audience int

const (
	anybody audience = iota
	membersOnly
)

func (s *Site) page(name string, who audience) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		v, err := s.look(r)
		if err != nil && who == membersOnly {
			return err
		}
		return render(w, http.StatusOK, name, v)
	}
}

// fail answers with an error: JSON under /api/, a page elsewhere. On a page, who
// is not logged in is sent to the login.
func (s *Site) fail(w http.ResponseWriter, r *http.Request, err error) {
	p, ok := errors.AsType[*problem](err)
	if !ok {
		p = errInternal
	}
	if strings.HasPrefix(r.URL.Path, "/api/") {
		if p.Status == http.StatusUnauthorized {
			w.Header().Set("WWW-Authenticate", `Bearer realm="casino"`)
		}
		_ = writeJSON(w, p.Status, map[string]string{"error": p.code, "message": p.Message})
		return
	}
	if p == errAnonymous {
		http.Redirect(w, r, "/login", http.StatusSeeOther)
		return
	}
	name := "problem"
	if p == errWrongPassword {
		name = "login"
	}
	v, _ := s.look(r) // a stranger's view will do
	v.Problem = p
	if render(w, p.Status, name, v) != nil {
		http.Error(w, errInternal.Message, errInternal.Status)
	}
}
