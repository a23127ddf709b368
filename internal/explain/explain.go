package explain

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/stepgate/stepgate/policy"
)

// Outcome words what a request meets.
type Outcome string

// The outcomes, for an enrolled player without a grant.
const (
	GoesOn    Outcome = "goes_on"
	Challenge Outcome = "challenge"
	Depends   Outcome = "depends_on_body"
	Refused   Outcome = "refused"
	// Own is what no rule is asked about: the gateway answers by itself.
	Own Outcome = "own"
)

// Report is what one site makes of a request.
type Report struct {
	Site    *Site   `json:"site"`
	Outcome Outcome `json:"outcome"`
	// Refuse is the reason of a refusal.
	Refuse string `json:"refuse,omitempty"`
	// Rules are the rules whose path some reading of the request hits.
	Rules []Verdict `json:"rules"`
	// Readings are the forms of the path that were compared with the rules.
	Readings []Reading `json:"readings"`

	// requirement is what the player's session has to meet, and named what the account has
	// to that the request names.
	requirement, named policy.Requirement
	// onlyDevice tells that nothing but a rule for new devices holds the request back.
	onlyDevice bool
}

// Verdict is what one rule says.
type Verdict struct {
	Rule    string `json:"rule"`
	Applies bool   `json:"applies"`
	Depends bool   `json:"depends_on_body"`
	Report  bool   `json:"report_mode"`
	Parts   []Part `json:"parts"`
	// Kind tells rules apart that are no protect blocks.
	Kind policy.Kind `json:"kind,omitempty"`
	// NamedBy are the places where the request names the account, for a rule that asks it.
	NamedBy []string `json:"named_by,omitempty"`
}

// Part is one thing that a rule asks for.
type Part struct {
	Text    string `json:"text"`
	Met     bool   `json:"met"`
	Depends bool   `json:"depends_on_body"`
}

// Reading is one form of a path.
type Reading struct {
	From  string   `json:"from"`
	Path  string   `json:"path"`
	Steps []string `json:"steps"`
	Rules []string `json:"rules"`
}

// Explain returns what a site makes of a request.
func Explain(s *Site, r *Request) (*Report, error) {
	request, err := r.policy(s)
	if err != nil {
		return nil, err
	}
	if r.isOwn(s) {
		return &Report{Site: s, Outcome: Own, Rules: []Verdict{}, Readings: []Reading{}}, nil
	}
	e := s.Rules.Explain(request)
	out := &Report{Site: s, Outcome: outcomeOf(&e.Decision), Refuse: e.Refuse, Rules: []Verdict{}, Readings: []Reading{}}
	for _, v := range e.Verdicts {
		verdict := Verdict{Rule: v.Rule.Name, Applies: v.Applies, Depends: v.Depends, Report: v.Rule.Report, Kind: v.Rule.Kind, Parts: []Part{}}
		for _, n := range v.Rule.NamedBy {
			verdict.NamedBy = append(verdict.NamedBy, fmt.Sprintf("%s.%s", n.Source, n.Name))
		}
		for _, p := range v.Parts {
			verdict.Parts = append(verdict.Parts, Part(p))
		}
		out.Rules = append(out.Rules, verdict)
	}
	for _, reading := range e.Readings {
		out.Readings = append(out.Readings, Reading(reading))
	}
	var named, rules []*policy.Rule
	for _, r := range enforced(e.Rules) {
		if len(r.NamedBy) > 0 {
			named = append(named, r)
		} else {
			rules = append(rules, r)
		}
	}
	out.named = policy.Require(named)
	out.requirement = policy.Require(rules)
	out.onlyDevice = !slices.ContainsFunc(rules, func(r *policy.Rule) bool { return r.Kind != policy.NewDevice })
	return out, nil
}

// outcomeOf says what a decision comes to. Rules in report mode come to nothing.
func outcomeOf(d *policy.Decision) Outcome {
	switch {
	case d.Refuse != "" && !d.RefuseReport:
		return Refused
	case len(enforced(d.Rules)) > 0:
		return Challenge
	case d.Ask:
		return Depends
	}
	return GoesOn
}

// enforced returns the rules that hold requests back.
func enforced(rules []*policy.Rule) []*policy.Rule {
	var out []*policy.Rule
	for _, r := range rules {
		if !r.Report && r.Guards() {
			out = append(out, r)
		}
	}
	return out
}

// Print writes the report for people. With all it lists every reading.
func (r *Report) Print(w io.Writer, all bool) error {
	p := printer{w: w}
	p.line("%s:", r.Site)
	for _, v := range r.Rules {
		p.line("  rule %s %s", v.Rule, v.words())
		for _, part := range v.Parts {
			p.line("    %-9s %s", part.words(), part.Text)
		}
	}
	if len(r.Rules) == 0 && r.Outcome != Own {
		p.line("  no rule has a path that any reading of this request hits")
	}
	p.line("  %s", r.meets())
	shown := 0
	for _, reading := range r.Readings {
		if all || len(reading.Rules) > 0 && shown < maxShown {
			p.line("  read as %q%s, from the %s%s", reading.Path, by(reading.Steps), reading.From, hits(reading.Rules))
			shown++
		}
	}
	if rest := len(r.Readings) - shown; rest > 0 {
		p.line("  and in %d other ways; --all prints them", rest)
	}
	return p.err
}

// maxShown is how many readings are printed unless all are asked for.
const maxShown = 5

func (s *Site) String() string {
	if len(s.Hosts) == 0 {
		return "every host"
	}
	return strings.Join(s.Hosts, ", ")
}

func (v *Verdict) words() string {
	words := "does not apply"
	switch {
	case v.Applies:
		words = "applies"
	case v.Depends:
		words = "may apply: the body decides, and --data gives one"
	}
	switch {
	case !v.Applies && !v.Depends:
	case v.Kind == policy.NewDevice:
		words += ", to players whose browser is not trusted"
	case v.Kind != policy.Sensitive:
		words += ", and holds nothing back: it names a " + string(v.Kind)
	case len(v.NamedBy) > 0:
		words += ", and asks the account that " + strings.Join(v.NamedBy, " or ") + " names, wherever it stands"
	}
	if v.Report && (v.Applies || v.Depends) {
		words += ", but only REPORTS: it protects nothing"
	}
	return words
}

func (p *Part) words() string {
	switch {
	case p.Met:
		return "met"
	case p.Depends:
		return "depends"
	}
	return "not met"
}

// meets says what an enrolled player without a grant meets.
func (r *Report) meets() string {
	switch r.Outcome {
	case Refused:
		return fmt.Sprintf("=> refused with 400 (%s): no honest client sends this", r.Refuse)
	case Depends:
		return "=> it depends on the body"
	case GoesOn:
		return "=> it goes on to the site"
	case Own:
		return "=> the gateway's own: it answers by itself, no rule is asked, and nothing reaches the site"
	}
	var lines []string
	if need := r.requirement; len(need.Rules) > 0 {
		anonymous := string(need.Anonymous)
		if r.onlyDevice {
			anonymous = "it goes on"
		}
		lines = append(lines, "=> "+challengeOf(need, fmt.Sprintf("; nobody logged in: %s; no factor yet: %s", anonymous, need.Unenrolled)))
	}
	if need := r.named; len(need.Rules) > 0 {
		lines = append(lines, "=> "+challengeOf(need, "; to the account that is named, whoever is logged in, and alike for every name; goes on from a browser that the account trusts"))
	}
	return strings.Join(lines, "\n  ")
}

// challengeOf words a challenge; rest is said of one that can be passed.
func challengeOf(need policy.Requirement, rest string) string {
	if len(need.Factors) == 0 {
		return "refused: the rules accept no factor in common"
	}
	how := fmt.Sprintf("opens for %v", need.MaxAge)
	if need.SingleUse {
		how = "for this request alone"
	}
	factors := make([]string, len(need.Factors))
	for i, f := range need.Factors {
		factors[i] = string(f)
	}
	if len(need.ACR) > 0 {
		factors = append(factors, "or acr "+strings.Join(need.ACR, ", ")+" of the issuer")
	}
	var details []string
	for _, d := range need.Details {
		details = append(details, d.Label)
	}
	text := fmt.Sprintf("a challenge, %s, by %s", how, strings.Join(factors, ", "))
	if len(details) > 0 {
		text += "; it shows " + strings.Join(details, ", ")
	}
	for _, hold := range need.Holds {
		text += fmt.Sprintf("; refused for %v after %s", hold.For, causes(hold.After))
	}
	return text + rest
}

func causes(after []policy.Cause) string {
	words := make([]string, len(after))
	for i, cause := range after {
		words[i] = string(cause)
	}
	return strings.Join(words, ", ")
}

func by(steps []string) string {
	if len(steps) == 0 {
		return ""
	}
	return " by " + strings.Join(steps, ", ")
}

func hits(rules []string) string {
	if len(rules) == 0 {
		return ""
	}
	return ": " + strings.Join(rules, ", ")
}

// printer writes lines until one fails.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}
