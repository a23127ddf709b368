package policy

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// Bounds of what is followed for one request. Honest traffic stays far below
// them; what they are for is an attacker who sends slow paths.
const (
	maxDecodings = 5
	maxForms     = 96
	maxText      = 64 << 10 // bytes written by steps
	maxWeighed   = 4        // paths for which mayTouch is asked
	maxWeight    = 2 << 10  // bytes of a path for which it is asked
)

// reader follows all readings of a request's paths.
type reader struct {
	set     *Set
	found   found
	front   bool // some reading is that of a front controller
	control bool // some reading carries a control byte
	broken  bool // some path carries a broken escape
	beyond  bool // some path has more readings than are followed, and may touch a rule
	ask     bool // the body may name paths, and has not been read

	batchPaths []string // readings that are those of batch endpoints
	trace      *trace   // nil unless somebody wants to know

	forms   int // readings so far, of all paths
	text    int // bytes written by steps so far
	weighed int // paths so far that went beyond the bounds
}

// form is one reading, how many decodings it took, and which step led to it from
// which other.
type form struct {
	path  string
	depth int
	step  string
	from  int
}

// readPaths follows the readings of the paths of a request.
func (r *reader) readPaths(req *Request) {
	r.readFrom("request target", req.Targets[0])
	if was := req.Targets[1]; was != "" && was != req.Targets[0] {
		r.readFrom("request target before it was rewritten", was)
	}
	for _, name := range pathHeaders {
		for _, value := range req.Header[name] {
			path, _, _ := strings.Cut(value, "?")
			r.readFrom("header "+name, path)
		}
	}
}

// readFrom follows all readings of one path, which stands where from says.
func (r *reader) readFrom(from, path string) {
	r.trace.begin(from)
	r.broken = r.broken || brokenEscape(path) >= 0
	queue := []form{{path: path}}
	for i := 0; i < len(queue); i++ {
		var ok bool
		if queue, ok = r.follow(queue, i); !ok {
			r.front = true
			r.weighed++
			r.beyond = r.beyond || r.weighed > maxWeighed || len(path) > maxWeight || r.set.index.mayTouch(path)
			return
		}
	}
}

// follow compares one reading with the rules and queues those that it leads to.
// It reports false when that would go beyond the bounds.
func (r *reader) follow(queue []form, at int) ([]form, bool) {
	f := queue[at]
	m := marksOf(f.path)
	r.look(f.path, m)
	r.trace.note(r.set, queue, at)
	push := func(p, step string, depth int) bool {
		r.text += len(p)
		if r.text > maxText {
			return false
		}
		if slices.ContainsFunc(queue, func(known form) bool { return known.path == p }) {
			return true
		}
		r.forms++
		queue = append(queue, form{p, depth, step, at})
		return r.forms <= maxForms && depth <= maxDecodings
	}
	if m&markPercent != 0 {
		if p := decode(f.path); p != f.path && !push(p, "decode", f.depth+1) {
			return nil, false
		}
	}
	for _, s := range steps {
		if m&s.on == 0 {
			continue
		}
		if p := s.do(f.path); p != f.path && !push(p, s.name, f.depth) {
			return nil, false
		}
	}
	return queue, true
}

// look compares one reading with the rules.
func (r *reader) look(path string, m marks) {
	r.control = r.control || m&markControl != 0
	if m&markRootless != 0 {
		return // root leads to the reading that counts
	}
	path = fold(path)
	sh := shapeOf(path)
	r.front = r.front || sh.isFront(path)
	if r.set.doors.isBatch(path) {
		r.batchPaths = append(r.batchPaths, strings.TrimRight(path, "/"))
	}
	r.set.match(path, sh, &r.found)
}

// mayTouch reports whether a path with too many readings could touch a rule in
// one of them. No step adds text or moves it, so the segments of a rule's path
// stand in the decoded text, in order, wherever a reading matches it.
func (ix *index) mayTouch(path string) bool {
	text, plain := bare(path)
	if !plain {
		return true
	}
	for _, segments := range ix.segments {
		rest, held := text, true
		for _, s := range segments {
			if _, rest, held = strings.Cut(rest, s); !held {
				break
			}
		}
		if held {
			return true
		}
	}
	return false
}

// bare returns the text of a path after all decodings, folded. It reports false
// if that text is not certain: still escaped, or broken.
func bare(path string) (text string, plain bool) {
	text = path
	for range 4 * maxDecodings {
		next := decode(text)
		if !utf8.ValidString(next) {
			return "", false
		}
		if next = drop(narrow(plus(next))); next == text {
			return fold(text), strings.IndexByte(text, '%') < 0
		}
		text = next
	}
	return "", false
}
