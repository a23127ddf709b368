package caddymodule

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stepgate/stepgate/sms"
)

func TestAnImportOfNamesIsCheckedAsAWhole(t *testing.T) {
	want := []aliasPlayer{{"u-1", "budi", "budi@example.com", "0812 3456 7890"}, {"u-2", "sari", "", ""}}
	for name, c := range map[string]struct{ format, text, mistake string }{
		"CSV":                          {"csv", "subject,login,email,phone\nu-1,budi,budi@example.com,0812 3456 7890\nu-2,sari,,\n", ""},
		"CSV of a spreadsheet":         {"csv", "\ufeffPhone,Subject,Email,Login\r\n0812 3456 7890,u-1,\"budi@example.com\",budi\r\n,u-2,,sari", ""},
		"JSON lines":                   {"jsonl", `{"subject":"u-1","login":"budi","email":"budi@example.com","phone":"0812 3456 7890"}` + "\n\n" + `{"subject":"u-2","login":"sari"}`, ""},
		"JSON lines of a database":     {"jsonl", "\ufeff" + `{"phone":"0812 3456 7890","subject":" u-1","login":"budi","email":"budi@example.com"}` + "\r\n" + `{"subject":"u-2","login":"sari","email":null}` + "\n", ""},
		"no format":                    {"txt", "x", "--format csv or jsonl"},
		"no header":                    {"csv", "u-1,budi,,\n", "in:1: column 1 is not one of subject, login, email, phone"},
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
		"a quote in the first column":  {"csv", "subject,login\nu\"1,budi\n", "in:2: it is no CSV"},
		"Latin-1":                      {"csv", "subject,login\nu-1,jos\xe9\n", "in:2: its login is not UTF-8"},
		"UTF-16":                       {"csv", "\xff\xfes\x00u\x00", "save the file as UTF-8"},
		"a control character":          {"csv", "subject,login\nu-1,bu\x1bdi\n", "in:2: its login has a control character"},
		"a long subject":               {"csv", "subject,login\n" + strings.Repeat("u", 257) + ",budi\n", "in:2: its subject is longer than 256 bytes"},
		"a long login":                 {"csv", "subject,login\nu-1," + strings.Repeat("u", 255) + "\n", "in:2: its login is blank or too long"},
		"a phone that is none":         {"csv", "subject,login,phone\nu-1,budi,0812\n", "in:2: its phone is no number that gets codes of ID"},
		"a phone of another country":   {"csv", "subject,phone\nu-1,+63 917 123 4567\n", "in:2: its phone is no number"},
		"two mistakes":                 {"csv", "subject,login\n,budi\nu-1,budi\nu-2,\n", "in:4: it has no name"},
		"what follows":                 {"jsonl", `{"subject":"u-1","login":"budi"}]`, "in:1: it is no JSON object"},
		"a field twice":                {"jsonl", `{"subject":"u-1","login":"budi","login":"sari"}`, "in:1: it is no JSON object"},
		"a field in capitals":          {"jsonl", `{"subject":"u-1","LOGIN":"budi"}`, "in:1: it is no JSON object"},
		"half an object":               {"jsonl", `{"subject":"u-1","login":"budi"`, "in:1: it is no JSON object"},
		"no object":                    {"jsonl", `["budi"]`, "in:1: it is no JSON object"},
		"half a character":             {"jsonl", `{"subject":"u-1","login":"\ud800"}`, "in:1: its login is not UTF-8"},
		"a long line":                  {"jsonl", "\n" + strings.Repeat("x", 1<<16+1), "in:2: it is longer"},
		"two on a line":                {"jsonl", `{"subject":"u-1","login":"budi"}{}`, "in:1: it is no JSON object"},
	} {
		got, err := readAliases("in", c.format, strings.NewReader(c.text), new(sms.Numbering))
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

// Two players whose ids differ in case alone are two.
func TestAnImportTellsSubjectsApartAsTheyAre(t *testing.T) {
	got, err := readAliases("in", "csv", strings.NewReader("subject,login\naB3,budi\nab3,sari\n"), new(sms.Numbering))
	if err != nil || len(got) != 2 {
		t.Errorf("%d players, %v", len(got), err)
	}
}

// The second of two players with one number would have it, in the silence of another spelling.
func TestAnImportReadsPhonesAsTheGatewayDoes(t *testing.T) {
	const text = "subject,phone\nu-1,0917 123 4567\nu-2,+63 917 123 4567\n"
	_, err := readAliases("in", "csv", strings.NewReader(text), &sms.Numbering{Regions: []string{"PH"}})
	if err == nil || !strings.Contains(err.Error(), "in:3: it has a subject or a name that line 2 has too") {
		t.Errorf("one number of two players: %v", err)
	}
}

func TestAnImportTellsTwentyMistakesAtOnce(t *testing.T) {
	_, err := readAliases("in", "csv", strings.NewReader("subject,login\n"+strings.Repeat(",budi\n", 25)), new(sms.Numbering))
	if err == nil || strings.Count(err.Error(), "it has no subject") != 20 || !strings.Contains(err.Error(), "and 5 more lines\nnothing was imported") {
		t.Error(err)
	}
}

func TestADryImportAsksNoGateway(t *testing.T) {
	file := filepath.Join(t.TempDir(), "players.csv")
	if err := os.WriteFile(file, []byte("subject,login\nu-1,budi\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	a := &aliasCLI{dry: true, address: "localhost:1"}
	if err := a.load(nil, &out, file); err != nil || out.String() != "1 players, no mistake; phones were not checked, and nothing was imported\n" {
		t.Errorf("%q, %v", out.String(), err)
	}
	out.Reset()
	a = &aliasCLI{format: "jsonl", dry: true}
	if err := a.load(strings.NewReader(`{"subject":"u-1","phone":"0812 3456 7890"}`), &out, "-"); err != nil {
		t.Error(err)
	}
	if err := (&aliasCLI{}).load(nil, &out, filepath.Join(t.TempDir(), "none.csv")); err == nil {
		t.Error("a file that is not there is imported")
	}
}
