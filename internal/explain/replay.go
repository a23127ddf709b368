package explain

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"maps"
	"net/http"
	"slices"

	"github.com/stepgate/stepgate/policy"
)

// Bounds on what a replay keeps, whatever the log holds.
const (
	maxLine    = 1 << 20 // bytes
	maxPlayers = 1 << 20 // for each rule
	maxOdd     = 1000    // refused targets
)

// Tally is what the rules would have done to the requests of an access log.
type Tally struct {
	// Lines are those that were read, Requests those of them that are requests to one
	// of the sites, and Others what is no entry of an access log.
	Lines    int `json:"lines"`
	Requests int `json:"requests"`
	Others   int `json:"other_lines"`
	// GoesOn are the requests that no rule would have stopped.
	GoesOn int `json:"go_on"`
	// Own are those that the gateway answered by itself.
	Own int `json:"own"`
	// Refused are those that would have been answered 400, and Odd their targets, as
	// often as they came.
	Refused int            `json:"refused"`
	Odd     map[string]int `json:"refused_targets"`
	// Rules is what each rule would have done.
	Rules map[string]*RuleTally `json:"rules"`

	seed maphash.Seed
}

// RuleTally is what one rule would have done.
type RuleTally struct {
	// Challenged are the requests that it applies to, and Depends those for which the
	// body, which a log does not have, would decide.
	Challenged int `json:"challenged"`
	Depends    int `json:"depends_on_body"`
	// Players are how many they came from, by user_id or else by address.
	Players int `json:"players"`
	// Kind tells rules apart that are no protect blocks.
	Kind policy.Kind `json:"kind,omitempty"`

	players map[uint64]struct{}
}

// entry is a line of Caddy's JSON access log, as far as it is looked at.
type entry struct {
	UserID  string `json:"user_id"`
	Request *struct {
		ClientIP string      `json:"client_ip"`
		RemoteIP string      `json:"remote_ip"`
		Method   string      `json:"method"`
		Host     string      `json:"host"`
		URI      string      `json:"uri"`
		Headers  http.Header `json:"headers"`
	} `json:"request"`
}

// Replay reads an access log and asks the sites about each request in it. What is
// no entry is counted and passed over.
func Replay(log io.Reader, sites []*Site) (*Tally, error) {
	t := &Tally{Odd: map[string]int{}, Rules: map[string]*RuleTally{}, seed: maphash.MakeSeed()}
	for _, s := range sites {
		for _, rule := range s.Rules.Rules() {
			if rule.Guards() {
				t.Rules[rule.Name] = &RuleTally{Kind: rule.Kind, players: map[uint64]struct{}{}}
			}
		}
	}
	lines := bufio.NewReaderSize(log, 64<<10)
	for {
		line, err := readLine(lines)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("reading access log: %w", err)
		}
		if len(line) > 0 {
			t.Lines++
			t.add(line, sites)
		}
		if err != nil {
			break
		}
	}
	for _, rule := range t.Rules {
		rule.Players = len(rule.players)
	}
	return t, nil
}

// readLine returns the next line, of which it keeps no more than maxLine.
func readLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		if len(line) < maxLine {
			line = append(line, part...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
}

func (t *Tally) add(line []byte, sites []*Site) {
	var e entry
	if json.Unmarshal(line, &e) != nil || e.Request == nil || e.Request.URI == "" {
		t.Others++
		return
	}
	logged := &Request{Method: e.Request.Method, Host: e.Request.Host, Target: e.Request.URI, Header: e.Request.Headers}
	player := maphash.String(t.seed, cmp.Or(e.UserID, e.Request.ClientIP, e.Request.RemoteIP))
	for _, s := range sites {
		if !s.Serves(e.Request.Host) {
			continue
		}
		request, err := logged.policy(s)
		if err != nil {
			t.Others++
			return
		}
		t.Requests++
		if logged.isOwn(s) {
			t.Own++
			continue
		}
		d := s.Rules.Decide(request)
		guards := slices.DeleteFunc(slices.Clone(d.Rules), func(r *policy.Rule) bool { return !r.Guards() })
		switch {
		case d.Refuse != "":
			t.Refused++
			if len(t.Odd) < maxOdd || t.Odd[e.Request.URI] > 0 {
				t.Odd[e.Request.URI]++
			}
			continue
		case len(guards) == 0 && !d.Ask:
			t.GoesOn++
			continue
		}
		for _, rule := range guards {
			t.Rules[rule.Name].count(player, true)
		}
		if d.Ask {
			for _, v := range s.Rules.Explain(request).Verdicts {
				if v.Depends && v.Rule.Guards() {
					t.Rules[v.Rule.Name].count(player, false)
				}
			}
		}
	}
}

func (r *RuleTally) count(player uint64, applies bool) {
	if applies {
		r.Challenged++
	} else {
		r.Depends++
	}
	if len(r.players) < maxPlayers {
		r.players[player] = struct{}{}
	}
}

// Print writes the tally for people.
func (t *Tally) Print(w io.Writer) error {
	p := printer{w: w}
	p.line("%d lines: %d requests to a site with rules, %d lines that are no request", t.Lines, t.Requests, t.Others)
	p.line("%d would have gone on, %d would have been refused with 400, %d are the gateway's own", t.GoesOn, t.Refused, t.Own)
	for _, name := range slices.Sorted(maps.Keys(t.Rules)) {
		r := t.Rules[name]
		if r.Kind == policy.NewDevice {
			p.line("  rule %s: %d requests that players on new devices would be challenged at, of %d visitors and players (user_id, or else address)", name, r.Challenged, r.Players)
			continue
		}
		p.line("  rule %s: %d requests without a grant challenged, %d more if their body says so, of %d players (user_id, or else address)",
			name, r.Challenged, r.Depends, r.Players)
	}
	odd := slices.SortedFunc(maps.Keys(t.Odd), func(a, b string) int { return cmp.Or(t.Odd[b]-t.Odd[a], cmp.Compare(a, b)) })
	for _, target := range odd[:min(len(odd), maxShown)] {
		p.line("  refused %d times: %.200q", t.Odd[target], target)
	}
	return p.err
}
