package caddymodule

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAnImportOfNamesIsCheckedAsAWhole(t *testing.T) {
	want := []aliasPlayer{{"u-1", "budi", "budi@example.com", "0812"}, {"u-2", "sari", "", ""}}
	for name, c := range map[string]struct{ format, text, mistake string }{
		"CSV":                          {"csv", "subject,login,email,phone\nu-1,budi,budi@example.com,0812\nu-2,sari,,\n", ""},
		"CSV of a spreadsheet":         {"csv", "\ufeffPhone,Subject,Email,Login\r\n0812,u-1,\"budi@example.com\",budi\r\n,u-2,,sari", ""},
		"JSON lines":                   {"jsonl", `{"subject":"u-1","login":"budi","email":"budi@example.com","phone":"0812"}` + "\n\n" + `{"subject":"u-2","login":"sari"}`, ""},
		"no format":                    {"txt", "x", "--format csv or jsonl"},
		"no header":                    {"csv", "u-1,budi,,\n", "in:1: column 1 is not one of email, login, phone, subject"},
		"an empty file":                {"csv", "", "in:1: the first line has to name the columns"},
		"no subject column":            {"csv", "login\nbudi\n", "in:1: the first line has to name the columns"},
		"a column twice":               {"csv", "subject,login,login\n", "in:1: column 3"},
		"too few columns":              {"csv", "subject,login\nu-1,budi\nu-2\n", "in:3: it is no CSV of 2 columns"},
		"an open quote":                {"csv", "subject,login\nu-1,\"budi\n", "in:2: it is no CSV"},
		"no subject":                   {"csv", "subject,login\n ,budi\n", "in:2: it has no subject"},
		"no name":                      {"csv", "subject,login\nu-1,\n", "in:2: it has no name"},
		"a name twice":                 {"csv", "subject,login,email\nu-1,budi,a@example.com\nu-2,sari, A@Example.com\n", "in:3: it has a subject or a name that line 2 has too"},
		"a login that is an email":     {"csv", "subject,login,email\nu-1,budi,a@example.com\nu-2,a@example.com,\n", "in:3: it has"},
		"a phone twice":                {"csv", "subject,phone\nu-1,0812 3456 7890\nu-2,+62 812-3456-7890\n", "in:3: it has"},
		"a name that is encoded twice": {"csv", "subject,login\nu-1,jos\u00e9\nu-2,JOSE\u0301\n", "in:3: it has"},
		"a player twice":               {"csv", "subject,login\nu-1,budi\nu-1,sari\n", "in:3: it has"},
		"an unknown field":             {"jsonl", `{"subject":"u-1","login":"budi","name":"x"}`, "in:1: it is no JSON object"},
		"a number":                     {"jsonl", `{"subject":1,"login":"budi"}`, "in:1: it is no JSON object"},
		"two on a line":                {"jsonl", `{"subject":"u-1","login":"budi"}{}`, "in:1: it is no JSON object"},
	} {
		got, err := readAliases("in", c.format, []byte(c.text))
		if c.mistake != "" {
			if err == nil || !strings.Contains(err.Error(), c.mistake) || strings.Contains(err.Error(), "budi") || strings.Contains(err.Error(), "@") {
				t.Errorf("%s: %v, want an error with %q and nobody's name", name, err, c.mistake)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestADryImportAsksNoGateway(t *testing.T) {
	file := filepath.Join(t.TempDir(), "players.csv")
	if err := os.WriteFile(file, []byte("subject,login\nu-1,budi\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	a := &aliasCLI{dry: true, address: "localhost:1"}
	if err := a.load(nil, &out, file); err != nil || out.String() != "1 players, no mistake; nothing was imported\n" {
		t.Errorf("%q, %v", out.String(), err)
	}
	out.Reset()
	a = &aliasCLI{format: "jsonl", dry: true}
	if err := a.load(strings.NewReader(`{"subject":"u-1","phone":"0812"}`), &out, "-"); err != nil {
		t.Error(err)
	}
	if err := (&aliasCLI{}).load(nil, &out, filepath.Join(t.TempDir(), "none.csv")); err == nil {
		t.Error("a file that is not there is imported")
	}
}
