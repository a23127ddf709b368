package policy

import (
	"slices"
	"strings"
)

// index finds the rules of a path. It is a trie over the bytes of folded paths,
// so that a lookup reads the path once and costs the same with ten rules and
// with a thousand.
type index struct {
	nodes []node
	// segments holds, for each path that the rules name, its segments in order.
	segments [][]string
	// hits holds each set of rules once, by the ids.
	hits map[string]*hit
}

// node is a place in the trie.
type node struct {
	// next holds the children for the bytes from first on; 0 is none.
	first byte
	next  []int32
	// star is the child for a whole segment, whatever it is; 0 is none.
	star int32
	// exact and under collect, while the index is built, the rules of the path
	// that ends here, and of all paths that begin so.
	exact, under []int
	// at is what applies to the path that ends here, and below to every path that
	// leads through here; nil is none.
	at, below *hit
}

// hit is a set of rules that apply to the same path, in configuration order.
type hit struct {
	ids   []int
	rules []*Rule
	// byMethod holds the part of rules that a method selects, for the methods that
	// rules name; every other method selects rest.
	byMethod map[string][]*Rule
	rest     []*Rule
	// simple says that no rule asks for more than path and method.
	simple bool
}

// newIndex builds the index of compiled rules, whose paths may also stand behind
// the given prefixes.
func newIndex(rules []Rule, prefixes []string) *index {
	ix := &index{nodes: make([]node, 1), hits: map[string]*hit{}}
	for id := range rules {
		for _, path := range rules[id].Paths {
			ix.insert(id, path)
			for _, prefix := range prefixes {
				ix.insert(id, prefix+path)
			}
		}
	}
	ix.settle(rules, 0, nil)
	return ix
}

// insert adds a rule's path, and the ones that it cannot be told from.
func (ix *index) insert(id int, path string) {
	path, starred := strings.CutSuffix(path, "*")
	keys := []string{fold(path)}
	if tail := scriptTail(keys[0]); tail != keys[0] {
		keys = append(keys, tail)
	}
	for _, key := range keys {
		if starred {
			n := ix.grow(key)
			ix.nodes[n].under = append(ix.nodes[n].under, id)
		}
		if starred && !strings.HasSuffix(key, "/") {
			ix.segments = append(ix.segments, splitSegments(key))
			continue
		}
		ix.insertExact(id, key)
		if slash := strings.LastIndexByte(key, '/'); isIndex(key[slash+1:]) {
			ix.insertExact(id, key[:slash])
		}
	}
}

// insertExact adds the path that key spells, with and without a slash at its
// end.
func (ix *index) insertExact(id int, key string) {
	key = strings.TrimRight(key, "/")
	n := ix.grow(key)
	ix.nodes[n].exact = append(ix.nodes[n].exact, id)
	ix.segments = append(ix.segments, splitSegments(key))
}

// splitSegments returns the segments of a key as they stand in bare text.
func splitSegments(key string) []string {
	segments := strings.FieldsFunc(plus(key), func(r rune) bool { return r == '/' })
	return slices.DeleteFunc(segments, func(s string) bool { return s == "*" })
}

// grow returns the node of key, which it adds where it is missing. A "*" in the
// key stands for a segment.
func (ix *index) grow(key string) int32 {
	var n int32
	for i := range len(key) {
		c := key[i]
		child := ix.child(n, c)
		if c == '*' {
			child = ix.nodes[n].star
		}
		if child == 0 {
			child = int32(len(ix.nodes))
			ix.nodes = append(ix.nodes, node{})
			if c == '*' {
				ix.nodes[n].star = child
			} else {
				ix.nodes[n].link(c, child)
			}
		}
		n = child
	}
	return n
}

// link makes child the node for c.
func (n *node) link(c byte, child int32) {
	switch {
	case len(n.next) == 0:
		n.first = c
	case c < n.first:
		n.next = append(make([]int32, n.first-c), n.next...)
		n.first = c
	}
	for int(c-n.first) >= len(n.next) {
		n.next = append(n.next, 0)
	}
	n.next[c-n.first] = child
}

// child returns the node that c leads to from n, or 0.
func (ix *index) child(n int32, c byte) int32 {
	at := &ix.nodes[n]
	if i := int(c) - int(at.first); uint(i) < uint(len(at.next)) {
		return at.next[i]
	}
	return 0
}

// settle works out the hits of a node and of all below it. Above are the rules
// of all paths that begin as the node's does.
func (ix *index) settle(rules []Rule, n int32, above []int) {
	at := &ix.nodes[n]
	below := union(above, at.under)
	at.below = ix.hit(rules, below)
	at.at = ix.hit(rules, union(below, at.exact))
	at.exact, at.under = nil, nil
	for _, child := range append(slices.Clip(at.next), at.star) {
		if child != 0 {
			ix.settle(rules, child, below)
		}
	}
}

// union returns the ids in a or b, in order and once each.
func union(a, b []int) []int {
	both := slices.Concat(a, b)
	slices.Sort(both)
	return slices.Compact(both)
}

// hit returns the one hit of the rules with the given ids, or nil for none.
func (ix *index) hit(rules []Rule, ids []int) *hit {
	if len(ids) == 0 {
		return nil
	}
	key := make([]byte, 0, 4*len(ids))
	for _, id := range ids {
		key = append(key, byte(id>>24), byte(id>>16), byte(id>>8), byte(id))
	}
	if known := ix.hits[string(key)]; known != nil {
		return known
	}
	h := newHit(rules, ids)
	ix.hits[string(key)] = h
	return h
}

func newHit(rules []Rule, ids []int) *hit {
	h := &hit{ids: ids, simple: true, byMethod: map[string][]*Rule{"HEAD": nil, "CONNECT": nil}}
	for _, id := range ids {
		h.rules = append(h.rules, &rules[id])
		h.simple = h.simple && rules[id].isSimple()
		for _, m := range rules[id].Methods {
			h.byMethod[m] = nil
		}
	}
	for m := range h.byMethod {
		h.byMethod[m] = h.filter(m)
	}
	h.rest = h.filter("")
	return h
}

// filter returns the rules that a method meets.
func (h *hit) filter(method string) []*Rule {
	var met []*Rule
	for _, r := range h.rules {
		if r.meets(method) {
			met = append(met, r)
		}
	}
	return slices.Clip(met)
}

// isSimple reports whether the rule asks for nothing but paths and methods.
func (r *Rule) isSimple() bool {
	return len(r.Hosts)+len(r.Conditions)+len(r.Amounts)+len(r.ExceptPaths)+len(r.ExceptMethods) == 0
}

// found collects what the readings of a request hit. Its zero value is empty.
type found struct {
	first *hit
	more  []*hit
	// anyMethod says that the request stands for others, of any method.
	anyMethod bool
}

func (f *found) add(h *hit) {
	switch {
	case h == nil, h == f.first, slices.Contains(f.more, h):
	case f.first == nil:
		f.first = h
	default:
		f.more = append(f.more, h)
	}
}

// match adds what one reading of a path hits. The path begins with a slash and
// is folded, or ASCII.
func (ix *index) match(path string, sh shape, f *found) {
	var room [4]fork
	forks := ix.walk(fork{}, path, sh, f, room[:0])
	for len(forks) > 0 {
		last := len(forks) - 1
		forks = ix.walk(forks[last], path, sh, f, forks[:last])
	}
}

// fork is a place in the trie and in a path, behind a segment that may be any.
type fork struct {
	node int32
	from int
}

// walk follows a path from a fork to its end, and adds the forks that it passes.
func (ix *index) walk(at fork, path string, sh shape, f *found, forks []fork) []fork {
	n, below := at.node, ix.nodes[at.node].below
	for i := at.from; i < sh.end; i++ {
		c := path[i]
		if i >= sh.last && (c == '.' && i > sh.last+1 || i == sh.last && (sh.index || sh.bare(path))) {
			f.add(ix.nodes[n].at)
		}
		if n = ix.child(n, lower[c]); n == 0 {
			f.add(below)
			return forks
		}
		reached := &ix.nodes[n]
		if reached.below != nil {
			below = reached.below
		}
		if reached.star != 0 {
			forks = append(forks, fork{reached.star, i + 1 + segmentLength(path[i+1:sh.end])})
		}
	}
	f.add(ix.nodes[n].at)
	return forks
}

func segmentLength(rest string) int {
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		return i
	}
	return len(rest)
}
