package policy

import (
	"slices"
	"strings"
)

// A step turns one reading of a path into another. It returns its argument
// where it has nothing to do.
type step struct {
	name string // in the table of the package comment
	// on are the marks without one of which there is nothing to do.
	on marks
	do func(string) string
}

// steps are the steps of the table in the package comment, but for decode, which
// is counted.
var steps = []step{
	{"root", markRootless, root},
	{"scheme", markSlashes | markRootless, scheme},
	{"authority", markSlashes | markRootless, authority},
	{"backslash", markBackslash, backslash},
	{"params", markSemicolon, params},
	{"merge", markSlashes, merge},
	{"resolve", markDot, resolve},
	{"trim", markSpace, trimSpaces},
	{"trim", markDot | markSpace, trimDots},
	{"format", markDot, dropFormat},
	{"cut", markNUL, cutAt("\x00")},
	{"cut", markLine, cutAt("\r\n")},
	{"cut", markSpace, cutAt(" \t")},
	{"cut", markQuery, cutAt("?")},
	{"cut", markFragment, cutAt("#")},
	{"cut", markSemicolon, cutAt(";")},
	{"script", markDot, scriptHead},
	{"script", markDot, scriptTail},
	{"plus", markPlus, plus},
	{"narrow", markHigh, narrow},
	{"drop", markHigh | markControl, drop},
	{"mend", markPercent, mend(1)},
	{"mend", markPercent, mend(3)},
	{"session", markParenthesis, cookieless},
	{"list", markComma, listHead},
	{"list", markComma, listTail},
}

// marks say which bytes with a meaning a path holds.
type marks uint32

const (
	markPercent marks = 1 << iota
	markPlus
	markBackslash
	markSemicolon
	markDot
	markQuery
	markFragment
	markSpace // space and tab
	markNUL
	markLine    // CR and LF
	markControl // every control byte
	markHigh    // every byte outside ASCII
	markComma
	markParenthesis
	markSlashes // one slash after another
	markRootless
)

var markOf = func() (t [256]marks) {
	for c := range t {
		switch {
		case c < ' ', c == 0x7f:
			t[c] = markControl
		case c > 0x7f:
			t[c] = markHigh
		}
	}
	for c, m := range map[byte]marks{
		'%': markPercent, '+': markPlus, '\\': markBackslash, ';': markSemicolon, '.': markDot, '?': markQuery,
		'#': markFragment, ',': markComma, '(': markParenthesis, ' ': markSpace, '\t': markSpace, 0: markNUL, '\r': markLine, '\n': markLine,
	} {
		t[c] |= m
	}
	return t
}()

func marksOf(path string) marks {
	var m marks
	for i := range len(path) {
		m |= markOf[path[i]]
	}
	if strings.Contains(path, "//") {
		m |= markSlashes
	}
	if !strings.HasPrefix(path, "/") {
		m |= markRootless
	}
	return m
}

// decode resolves one level of percent-encoding, and the %uXXXX of classic ASP.
// Broken escapes stay as they are.
func decode(p string) string {
	if strings.IndexByte(p, '%') < 0 {
		return p
	}
	var b strings.Builder
	b.Grow(len(p))
	for i := 0; i < len(p); {
		size := escape(p[i:])
		switch size {
		case 3:
			b.WriteByte(unhex(p[i+1])<<4 | unhex(p[i+2]))
		case 6:
			b.WriteRune(rune(unhex(p[i+2]))<<12 | rune(unhex(p[i+3]))<<8 | rune(unhex(p[i+4]))<<4 | rune(unhex(p[i+5])))
		default:
			size = 1
			b.WriteByte(p[i])
		}
		i += size
	}
	return b.String()
}

// escape returns the length of the escape that s begins with: 3, 6, or 0 if
// there is none.
func escape(s string) int {
	switch {
	case len(s) >= 3 && s[0] == '%' && isHex(s[1]) && isHex(s[2]):
		return 3
	case len(s) >= 6 && s[0] == '%' && s[1]|0x20 == 'u' && isHex(s[2]) && isHex(s[3]) && isHex(s[4]) && isHex(s[5]):
		return 6
	}
	return 0
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f'
}

func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return (c | 0x20) - 'a' + 10
}

// brokenEscape returns where the first "%" that begins no escape stands, or -1.
func brokenEscape(p string) int {
	for i := 0; i < len(p); i++ {
		if p[i] == '%' && escape(p[i:]) == 0 {
			return i
		}
	}
	return -1
}

// mend returns a step that leaves out n bytes from each "%" that begins no
// escape, but never a slash.
func mend(n int) func(string) string {
	return func(p string) string {
		if brokenEscape(p) < 0 {
			return p
		}
		var b strings.Builder
		b.Grow(len(p))
		for i := 0; i < len(p); i++ {
			if p[i] != '%' || escape(p[i:]) > 0 {
				b.WriteByte(p[i])
				continue
			}
			for k := 1; k < n && i+1 < len(p) && p[i+1] != '/'; k++ {
				i++
			}
		}
		return b.String()
	}
}

// root puts a slash before a path that has none.
func root(p string) string {
	if strings.HasPrefix(p, "/") {
		return p
	}
	return "/" + p
}

// scheme leaves out "scheme:" before a path: a whole URL without a host.
func scheme(p string) string {
	name, _, found := strings.Cut(p, ":/")
	if !found || strings.IndexByte(strings.TrimPrefix(name, "/"), '/') >= 0 {
		return p
	}
	return p[len(name)+1:]
}

// authority leaves out "scheme://host" and "//host": what parsers of whole URLs
// do with a request target. Those of browsers and Node take any number of slashes
// for two.
func authority(p string) string {
	rest := scheme(p)
	if rest == p && !strings.HasPrefix(p, "//") {
		return p
	}
	rest = strings.TrimLeft(rest, "/")
	i := strings.IndexByte(rest, '/')
	if i < 0 {
		return "/"
	}
	return rest[i:]
}

func backslash(p string) string { return strings.ReplaceAll(p, `\`, "/") }

func plus(p string) string { return strings.ReplaceAll(p, "+", " ") }

// params leaves out what follows a ";" in each segment, as servlet containers
// do.
func params(p string) string {
	return mapSegments(p, func(s string) string {
		s, _, _ = strings.Cut(s, ";")
		return s
	})
}

// merge makes one slash of several.
func merge(p string) string {
	var b strings.Builder
	b.Grow(len(p))
	for i := range len(p) {
		if i == 0 || p[i] != '/' || p[i-1] != '/' {
			b.WriteByte(p[i])
		}
	}
	return b.String()
}

// resolve resolves "." and ".." (RFC 3986, section 5.2.4). Empty segments count
// as segments; merge goes the other way.
func resolve(p string) string {
	if !strings.Contains(p, "/.") {
		return p
	}
	segments := strings.Split(strings.TrimPrefix(p, "/"), "/")
	kept := segments[:0:0]
	for i, s := range segments {
		if s != "." && s != ".." {
			kept = append(kept, s)
			continue
		}
		if s == ".." && len(kept) > 0 {
			kept = kept[:len(kept)-1]
		}
		if i == len(segments)-1 {
			kept = append(kept, "")
		}
	}
	return "/" + strings.Join(kept, "/")
}

// trimSpaces leaves out spaces around each segment.
func trimSpaces(p string) string {
	return mapSegments(p, func(s string) string { return strings.Trim(s, " \t") })
}

// trimDots leaves out dots and spaces at the end of each segment, as Windows
// does, but leaves "." and ".." to resolve.
func trimDots(p string) string {
	if !strings.ContainsAny(p, " \t") && !strings.Contains(p, "./") && !strings.HasSuffix(p, ".") {
		return p
	}
	return mapSegments(p, func(s string) string {
		if s == "." || s == ".." {
			return s
		}
		return strings.TrimRight(s, ". \t")
	})
}

// dropFormat leaves out the format at the end of the path. Most readers do that
// last, which match knows; some do it before they decode.
func dropFormat(p string) string {
	i := strings.LastIndexByte(p, '.')
	if i <= 1 || strings.IndexByte(p[i:], '/') >= 0 {
		return p
	}
	return p[:i]
}

// mapSegments applies f to what stands between the slashes of p.
func mapSegments(p string, f func(string) string) string {
	segments := strings.Split(p, "/")
	for i, s := range segments {
		segments[i] = f(s)
	}
	return strings.Join(segments, "/")
}

// cutAt returns a step that ends the path before the first of the bytes.
func cutAt(bytes string) func(string) string {
	return func(p string) string {
		if i := strings.IndexAny(p, bytes); i >= 0 {
			return p[:i]
		}
		return p
	}
}

// cookieless leaves out a segment in which ASP.NET keeps the session of a client
// without cookies: "(S(…))", also with A and F.
func cookieless(p string) string {
	segments := strings.Split(p, "/")
	kept := slices.DeleteFunc(segments, func(s string) bool {
		return len(s) >= len("(S())") && strings.HasPrefix(s, "(") && strings.HasSuffix(s, "))") && s[2] == '('
	})
	return strings.Join(kept, "/")
}

// listHead and listTail part the last segment at its first comma: what RPC
// servers take for a batch of calls, as /api/trpc/a,b.
func listHead(p string) string {
	if i := comma(p); i >= 0 {
		return p[:i]
	}
	return p
}

func listTail(p string) string {
	if i := comma(p); i >= 0 {
		return p[:strings.LastIndexByte(p, '/')+1] + p[i+1:]
	}
	return p
}

// comma returns where the first comma of the last segment stands, or -1.
func comma(p string) int {
	last := strings.LastIndexByte(p, '/') + 1
	if i := strings.IndexByte(p[last:], ','); i >= 0 {
		return last + i
	}
	return -1
}

// scriptHead ends the path behind its first script: /pay.php/x runs /pay.php.
func scriptHead(p string) string {
	if i := scriptEnd(p); i >= 0 {
		return p[:i]
	}
	return p
}

// scriptTail is what a script takes for the path that it was asked for:
// /index.php/wallet is /wallet to a front controller.
func scriptTail(p string) string {
	if i := scriptEnd(p); i >= 0 {
		return p[i:]
	}
	return p
}

// scriptEnd returns where the slash behind the first segment that names a script
// stands, or -1.
func scriptEnd(p string) int {
	dot := -1
	for i := range len(p) {
		switch {
		case p[i] == '.':
			dot = i
		case p[i] == '/':
			if dot >= 0 && isScript(p[dot+1:i]) {
				return i
			}
			dot = -1
		}
	}
	return -1
}

// scripts are the endings of files that servers run.
var scripts = [...]string{
	"php", "php3", "php4", "php5", "php7", "php8", "phtml", "cgi", "fcgi", "pl", "py", "rb",
	"asp", "aspx", "ashx", "asmx", "svc", "cfm", "jsp", "jspx",
}

// isScript reports whether a file of that ending is a script.
func isScript(ending string) bool {
	if len(ending) < 2 || len(ending) > 5 {
		return false
	}
	for _, s := range scripts {
		if strings.EqualFold(s, ending) {
			return true
		}
	}
	return false
}
