package challengepages

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// maxShown is how much of one untrusted value is shown, in characters. What is
	// left out is counted, so that nothing disappears unseen.
	maxShown = 160
	// maxMarks is how many combining marks one character may carry. More of them
	// climb over the lines above and below.
	maxMarks = 2
)

// visible makes an untrusted value harmless to the reader: characters that show
// nothing, or move what stands around them, become U+FFFD, which shows. They are
// not dropped: the player is to see that something is odd about the value.
//
// These are the C0 and C1 controls, bidirectional controls and zero-width
// characters, line and paragraph separators, private use, invalid UTF-8, letters
// without a picture, and the third combining mark in a row. Line ends, which an
// honest form sends too, become a visible sign.
func visible(s string) string {
	var b strings.Builder
	marks := 0
	s = strings.ReplaceAll(s, "\r\n", "\n")
	for _, r := range s {
		marked := unicode.In(r, unicode.Mn, unicode.Me)
		if !marked {
			marks = 0
		}
		switch {
		case r == '\n' || r == '\r':
			b.WriteString(" ↵ ")
		case r == '\t':
			b.WriteByte(' ')
		case marked && marks >= maxMarks, hidden(r):
			b.WriteRune(utf8.RuneError)
		default:
			b.WriteRune(r)
		}
		if marked {
			marks++
		}
	}
	return b.String()
}

// hidden tells characters that show nothing or act on others: all that are not
// graphic to Unicode (controls, formats, separators, private and unassigned ones),
// and those that are, yet have no picture of their own.
func hidden(r rune) bool {
	switch r {
	case 0x115f, 0x1160, 0x3164, 0xffa0, // Hangul fillers
		0x034f, 0x17b4, 0x17b5, 0x2800: // grapheme joiner, Khmer inherent vowels, blank Braille
		return true
	}
	return !unicode.IsGraphic(r) || unicode.Is(unicode.Variation_Selector, r)
}

// shown is [visible] for as much of a value as fits a page. The number in brackets
// counts the characters that were left out.
func shown(s string) string {
	n := 0
	for i := range s {
		if n == maxShown {
			return visible(s[:i]) + fmt.Sprintf("… [+%d]", utf8.RuneCountInString(s[i:]))
		}
		n++
	}
	return visible(s)
}

// localPath gives p if it is a path of this site, else "/". A browser takes "//x"
// and "/\x" for another host, and drops tabs and line ends before it looks.
func localPath(p string) string {
	if !strings.HasPrefix(p, "/") || strings.HasPrefix(p, "//") || strings.HasPrefix(p, `/\`) ||
		strings.ContainsFunc(p, unicode.IsControl) {
		return "/"
	}
	return p
}

// formAction gives the URL for a form that posts to the path and query u of this
// site; empty, which means the page's own URL, where u is none. A request for
// "//evil.example/x" is a request to this site, but the same text in a form leads
// to the other; "/." in front keeps the path and the host (WHATWG URL, section 4.4,
// path state).
func formAction(u string) string {
	switch {
	case !strings.HasPrefix(u, "/"), strings.ContainsFunc(u, unicode.IsControl):
		return ""
	case strings.HasPrefix(u, "//"), strings.HasPrefix(u, `/\`):
		return "/." + u
	}
	return u
}
