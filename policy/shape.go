package policy

import "strings"

// shape says where the last segment of a path lies.
type shape struct {
	last  int  // the slash before it; -1 in a path without segments
	end   int  // its end, and that of the path without slashes after it
	dot   int  // its last dot; at or before last if it has none
	index bool // it names the index of its directory
}

// shapeOf returns the shape of a path that begins with a slash.
func shapeOf(path string) shape {
	end := len(strings.TrimRight(path, "/"))
	last := strings.LastIndexByte(path[:end], '/')
	return shape{last, end, strings.LastIndexByte(path[:end], '.'), isIndex(path[last+1 : end])}
}

// isFront reports whether the path may be that of a front controller: the root,
// a script, or a directory's index.
func (sh shape) isFront(path string) bool {
	return sh.end == 0 || sh.index || sh.dot > sh.last && isScript(path[sh.dot+1:sh.end])
}

// bare reports whether the last segment is a format and nothing else, behind
// another: /wallet/.json, which is /wallet/ to who leaves the format out.
func (sh shape) bare(path string) bool {
	return sh.last > 0 && sh.last+1 < sh.end && path[sh.last+1] == '.'
}

// spelling sorts the bytes of a path by what they can mean.
type spelling byte

const (
	ordinary spelling = iota // itself
	dot                      // special at the end of a segment, and beside another dot
	slash                    // special beside another slash
	special                  // more than one reading
)

var spellings = func() (t [256]spelling) {
	for c := range t {
		if c <= ' ' || '~' < c || strings.IndexByte(`%+;?#\(,`, byte(c)) >= 0 {
			t[c] = special
		}
	}
	t['.'], t['/'] = dot, slash
	return t
}()

// survey returns the shape of a plain path, in one pass and without allocation.
// It reports false if the path has other readings than those that match knows.
func survey(path string) (sh shape, plain bool) {
	if path == "" || path[0] != '/' {
		return shape{}, false
	}
	last, lastDot := 0, 0
	for i := 1; ; i++ {
		for i < len(path) && spellings[path[i]] == ordinary {
			i++
		}
		if i >= len(path) {
			break
		}
		switch spellings[path[i]] {
		case dot:
			if i > 1 && i-1 == lastDot {
				return shape{}, false
			}
			lastDot = i
		case slash:
			if i-1 == last || i-1 == lastDot || lastDot > last && isScript(path[lastDot+1:i]) {
				return shape{}, false
			}
			last = i
		default:
			return shape{}, false
		}
	}
	switch len(path) - 1 {
	case lastDot:
		return shapeOf(path), len(path) == 1
	case last:
		return shapeOf(path), true
	}
	return shape{last, len(path), lastDot, isIndex(path[last+1:])}, true
}

// isIndex reports whether a last segment names the index of its directory.
func isIndex(segment string) bool {
	if len(segment) < len("index") || segment[0]|0x20 != 'i' && segment[0]|0x20 != 'd' {
		return false
	}
	name, _, dotted := strings.Cut(segment, ".")
	return strings.EqualFold(name, "index") || dotted && strings.EqualFold(name, "default")
}
