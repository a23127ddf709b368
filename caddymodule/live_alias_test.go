package caddymodule_test

import (
	"bytes"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/stepgate/stepgate/caddymodule"
)

const resetStepUp = `
	step_up {
		identity upstream {SITE}/api/me {
			cookie  casino_session
			subject json:id
			phone   json:phone
		}
		protect password_reset {
			path /password/reset
			method POST
			single_use
			factors sms
			identity form.email
			unenrolled registered_phone
		}
	}`

func (g *gateway) askAliases(body string) (int, string) {
	g.t.Helper()
	return g.askAdmin("POST", "/stepgate/aliases", body)
}

// An imported player gets a code for the password reset; a name that nobody has gets the
// same page.
func TestAnImportedNameResetsItsPassword(t *testing.T) {
	g := start(t, config{stepUp: resetStepUp})
	if status, text := g.askAliases(`{"players":[{"subject":"u-1001","login":"budi","email":"budi@example.com","phone":"0812 3456 7890"}]}`); status != 200 || !strings.Contains(text, `"imported":1`) {
		t.Fatalf("importing = %d %s", status, text)
	}
	for name, known := range map[string]bool{"BUDI@example.com": true, "+6281234567890": true, "081234567890": true, "sari": false} {
		if status, text := g.askAliases(`{"name":"` + name + `"}`); status != 200 || strings.Contains(text, `"account"`) != known {
			t.Errorf("whose %s is = %d %s", name, status, text)
		}
	}
	for _, body := range []string{`{}`, `{"name":"x","players":[{"subject":"x"}]}`, `{"name":"x","more":1}`, `x`, `{"name":"x"} {}`,
		`{"players":[{"subject":"u-1001","login":"budi2"},{"subject":"u-1002","phone":"0812"}]}`, `{"players":[` + strings.Repeat(`{"subject":"u-1","login":"x"},`, 500) + `{"subject":"u-1","login":"x"}]}`} {
		if status, _ := g.askAliases(body); status != 400 {
			t.Errorf("%s = %d, want 400", body, status)
		}
	}
	if status, text := g.askAliases(`{"name":"budi2"}`); status != 200 || strings.Contains(text, `"account"`) {
		t.Errorf("a batch with a mistake was imported in part: %d %s", status, text)
	}
	if status, _ := g.askAliases(`{"name":"` + strings.Repeat("x", 4<<20) + `"}`); status != 413 {
		t.Errorf("too long a question = %d, want 413", status)
	}
	inbox.Delete(budisPhone) // of an earlier test
	p, stranger := g.visitor(), g.visitor()
	page := p.post("/password/reset", "email", "budi@example.com").want(http.StatusUnauthorized)
	other := stranger.post("/password/reset", "email", "none@example.com").want(http.StatusUnauthorized)
	if len(page.body) != len(other.body) {
		t.Errorf("the pages have %d and %d bytes", len(page.body), len(other.body))
	}
	id := page.challenge()
	stranger.post("/password/reset", solution(other.challenge(), "sms", "000000")...).want(http.StatusUnprocessableEntity)
	p.post("/password/reset", solution(id, "sms", awaitCode(t, budisPhone))...).want(http.StatusOK)
	if n := len(g.site.reached("/password/reset")); n != 1 {
		t.Errorf("the site got %d resets, want one", n)
	}
}

// alias runs a command and returns what it prints.
func (g *gateway) alias(stdin string, args ...string) (string, error) {
	g.t.Helper()
	var out bytes.Buffer
	cmd := &cobra.Command{Use: "alias", SilenceUsage: true, SilenceErrors: true}
	caddymodule.AliasCommand(cmd)
	cmd.SetIn(strings.NewReader(stdin))
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SetArgs(append(args, "--address", "unix/"+filepath.Join(g.dir, "admin.sock")))
	err := cmd.Execute()
	return out.String(), err
}

// I8: what is imported stands in no log and in no output; start looks for it in the logs.
func TestTheCommandImportsPlayersInBatches(t *testing.T) {
	g := start(t, config{stepUp: resetStepUp})
	file := "subject,login,email,phone\nu-1001,budiman77,budiman77@example.com,0812 3456 7890\n"
	for i := range 500 {
		file += fmt.Sprintf("p-%d,pemain%d,,\n", i, i)
	}
	g.secrets.Add("a login", "budiman77")
	g.secrets.AddNumber("a phone", "+6281234567890")
	g.secrets.Add("a player", "pemain499")
	mistaken := file + "p-500,pemain499,,\n"
	for _, c := range []struct {
		stdin, want string
		wrong       bool
		args        []string
	}{
		{mistaken, "-:503: it has a subject or a name that line 502 has too", true, []string{"import", "-", "--format", "csv"}},
		{file, "501 players, no mistake", false, []string{"import", "-", "--format", "csv", "--dry-run"}},
		{"", "nobody's", false, []string{"show", "budiman77"}}, // neither has imported anything
		{file, "501 players imported\n", false, []string{"import", "-", "--format", "csv"}},
		{"", "account ", false, []string{"show", "Budiman77"}},
		{"", "account ", false, []string{"show", "pemain499"}},
		{"", "account ", false, []string{"show", "+62 812-3456-7890"}},
		{"", "nobody's", false, []string{"show", "pemain500"}},
	} {
		out, err := g.alias(c.stdin, c.args...)
		text := out
		if err != nil {
			text += err.Error()
		}
		if (err != nil) != c.wrong || !strings.Contains(text, c.want) {
			t.Errorf("%v = %q, %v, want %q", c.args, out, err, c.want)
		}
		if found := g.secrets.Find(text); len(found) > 0 {
			t.Errorf("%v tells %v", c.args, found)
		}
	}
	if notes := g.imports(); !slices.Equal(notes, []any{"500 players", "1 players"}) {
		t.Errorf("the audit log has %v, want an entry for each batch", notes)
	}
}

// One number of two players is found in the spellings of the gateway's own countries.
func TestTheCommandAsksTheGatewayWhatAPhoneIs(t *testing.T) {
	g := start(t, config{stepUp: resetStepUp, sms: ordinarySMS + "\n\t\t\tcountries PH"})
	const one = "subject,phone\nu-1001,0917 123 4567\n"
	if _, err := g.alias(one+"u-1002,+63 917 123 4567\n", "import", "-", "--format", "csv"); err == nil || !strings.Contains(err.Error(), "-:3: it has a subject or a name that line 2 has too") {
		t.Errorf("one number of two players = %v", err)
	}
	if _, err := g.alias("subject,phone\nu-1001,+6281234567890\n", "import", "-", "--format", "csv"); err == nil || !strings.Contains(err.Error(), "-:2: its phone is no number that gets codes of PH") {
		t.Errorf("a number of another country = %v", err)
	}
	if out, err := g.alias(one, "import", "-", "--format", "csv"); err != nil || out != "1 players imported\n" {
		t.Errorf("importing = %q, %v", out, err)
	}
	if out, err := g.alias("", "show", "+639171234567"); err != nil || !strings.HasPrefix(out, "account ") {
		t.Errorf("whose the number is = %q, %v", out, err)
	}
}

// What was imported before the store went down stays, and the audit log says so of the batch
// that broke off, too.
func TestAnImportThatBreaksOffSaysHowFarItGot(t *testing.T) {
	g := start(t, config{stepUp: resetStepUp, store: "frail"})
	file := "subject,login\n"
	for i := range 600 {
		file += fmt.Sprintf("p-%d,pemain%d\n", i, i)
	}
	storeLasts.Store(3*550 + 1) // three writes a player
	_, err := g.alias(file, "import", "-", "--format", "csv")
	if err == nil || !strings.Contains(err.Error(), "500 of 600 players were imported, and perhaps some more") {
		t.Errorf("importing into a store that goes down = %v", err)
	}
	if notes := g.imports(); len(notes) != 2 || notes[0] != "500 players" || notes[1] == "100 players" {
		t.Errorf("the audit log has %v, want 500 players and some more", notes)
	}
	storeDown.Store(false)
	if out, err := g.alias("", "show", "pemain540"); err != nil || !strings.HasPrefix(out, "account ") {
		t.Errorf("a player of the batch that broke off = %q, %v", out, err)
	}
	if out, err := g.alias(file, "import", "-", "--format", "csv"); err != nil || out != "600 players imported\n" {
		t.Errorf("importing all again = %q, %v", out, err)
	}
}

// imports are the notes of the audit log about imports.
func (g *gateway) imports() (notes []any) {
	g.t.Helper()
	for _, entry := range g.log("audit.json") {
		if entry["event"] == "aliases.imported" {
			notes = append(notes, entry["note"])
		}
	}
	return notes
}
