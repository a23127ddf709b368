package gate

import (
	"maps"
	"net/http"
	"slices"
	"testing"
)

// FuzzClient: whatever a client calls itself, the player reads only names of ours, and
// the parser of a library survives it.
func FuzzClient(f *testing.F) {
	for _, agent := range []string{
		"", "Call-0812-3456/1.0 (Your own phone)", "Mozilla/5.0 (((((;;;;;/////", "Opera Mini/", "\x00\xff",
		"Mozilla/5.0 (Linux; Android 13; SM-A135F) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Mobile Safari/537.36",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:128.0) Gecko/20100101 Firefox/128.0",
	} {
		f.Add(agent)
	}
	known := slices.Collect(maps.Values(knownClients))
	known = append(known, "")
	g := &Gate{Config: Config{ClientIP: remoteHost}}
	f.Fuzz(func(t *testing.T, agent string) {
		c := g.clientOf(&http.Request{Header: http.Header{"User-Agent": {agent}}})
		if !slices.Contains(known, c.Browser) || !slices.Contains(known, c.System) {
			t.Errorf("%q is shown as %+v", agent, c)
		}
	})
}
