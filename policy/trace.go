package policy

import "slices"

// Explanation says how a decision came about.
type Explanation struct {
	Decision
	// Readings are the forms of all paths that were compared with the rules, in the
	// order in which they were found.
	Readings []Reading
	// Verdicts are what each rule says whose path some reading hit, in
	// configuration order.
	Verdicts []Verdict
}

// Reading is one form of a path.
type Reading struct {
	// From says where the path stands in the request.
	From string
	// Path is the form, and Steps are what led to it, by their names in the table of
	// the package comment. The path as it came has none.
	Path  string
	Steps []string
	// Rules are the names of those that protect this form.
	Rules []string
}

// Verdict is what one rule says of a request.
type Verdict struct {
	Rule *Rule
	// Applies is whether the rule applies; Depends, that it depends on the body,
	// which is not known.
	Applies, Depends bool
	// Parts are what it asks for beside the path.
	Parts []Part
}

// Part is one thing that a rule asks for.
type Part struct {
	// Text is the part as it is written in the Caddyfile.
	Text string
	// Met is whether the request meets it; Depends, that the body would say.
	Met, Depends bool
}

// Explain decides as Decide does, and says why. It follows all readings of plain
// requests too.
func (s *Set) Explain(req *Request) Explanation {
	e := Explanation{Decision: s.Decide(req)}
	if len(s.rules) == 0 {
		return e
	}
	var seen trace
	s.study(req, &seen)
	e.Readings = seen.readings
	var f found
	plain := s.glance(req, &f)
	if !plain {
		f = seen.found
	}
	if f.first == nil {
		return e
	}
	fs := &facts{req: req, set: s, plain: plain, anyMethod: f.anyMethod}
	for _, id := range s.join(&f).ids {
		e.Verdicts = append(e.Verdicts, s.verdict(id, fs))
	}
	return e
}

// verdict asks a rule for each of its parts.
func (s *Set) verdict(id int, f *facts) Verdict {
	v := Verdict{Rule: &s.rules[id]}
	all := yes
	for _, p := range s.parts[id] {
		answer := p.holds(f)
		v.Parts = append(v.Parts, Part{Text: p.text, Met: answer == yes, Depends: answer == ask})
		all = min(all, answer)
	}
	v.Applies, v.Depends = all == yes, all == ask
	return v
}

// trace notes what a reader looks at. Its methods do nothing on nil.
type trace struct {
	from     string
	readings []Reading
	found    found // of all readings
}

func (t *trace) begin(from string) {
	if t != nil {
		t.from = from
	}
}

// note adds the reading at a place in the queue.
func (t *trace) note(s *Set, queue []form, at int) {
	if t == nil {
		return
	}
	reading := Reading{From: t.from, Path: queue[at].path}
	for f := queue[at]; f.step != ""; f = queue[f.from] {
		reading.Steps = append(reading.Steps, f.step)
	}
	slices.Reverse(reading.Steps)
	if marksOf(reading.Path)&markRootless == 0 {
		var hits found
		path := fold(reading.Path)
		s.match(path, shapeOf(path), &hits)
		if hits.first != nil {
			for _, rule := range s.join(&hits).rules {
				reading.Rules = append(reading.Rules, rule.Name)
			}
		}
	}
	t.readings = append(t.readings, reading)
}
