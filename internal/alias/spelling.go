package alias

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// Query is a name that somebody has typed: as it is, and as a phone number in E.164 if it
// can be one.
type Query struct{ Text, Phone string }

// Canonical returns one text for all spellings of the name; empty if it can be nobody's.
func (q Query) Canonical() string {
	if q.Phone != "" {
		return q.Phone
	}
	return fold(q.Text)
}

// maxName is the longest name, in bytes: that of an e-mail address (RFC 5321 section
// 4.5.3.1).
const maxName = 254

// fold returns the text under which a name is compared; empty if it can be nobody's.
func fold(name string) string {
	name = strings.TrimSpace(name)
	if len(name) > maxName || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
		return ""
	}
	return norm.NFC.String(cases.Fold().String(norm.NFC.String(name)))
}

// skeleton returns what is left of a folded name once everything is taken away that some
// database does not compare. It stands in no key's place but by its hash, and must be the
// same for ever: the tables of Unicode are for assigned characters.
func skeleton(folded string) string {
	s := norm.NFKD.String(cases.Fold().String(norm.NFKD.String(folded)))
	return letters.Replace(strings.Map(func(r rune) rune {
		if unicode.In(r, unseen...) {
			return -1
		}
		return r
	}, s))
}

// unseen is what collations and programs leave out: accents, blanks, and what is written in
// no ink.
var unseen = []*unicode.RangeTable{unicode.Inherited, unicode.Me, unicode.Cf, unicode.White_Space, unicode.Other_Default_Ignorable_Code_Point}

// letters are those whose accents are a part of them (but DUCET gives them the weight of
// the letter without), the dotless i, of which upper case makes an I, and the full stop of
// domain names in Chinese.
var letters = strings.NewReplacer("ı", "i", "ø", "o", "ł", "l", "đ", "d", "ħ", "h", "ŧ", "t", "æ", "ae", "œ", "oe", "。", ".")

// kind is how a name is used.
type kind string

const (
	login kind = "login"
	email kind = "email"
	phone kind = "phone"
)

// name is one name of a player: the skeleton under which it is claimed.
type name struct {
	Kind kind   `json:"kind"`
	Text string `json:"text"`
}

// spelled is a name as its player spells it, folded.
type spelled struct {
	name
	as string
}

func spell(k kind, text string) spelled {
	as := fold(text)
	return spelled{name{k, skeleton(as)}, as}
}

// all returns the names that can be somebody's.
func (n Names) all() []spelled {
	names := []spelled{spell(login, n.Login), spell(email, n.Email), spell(phone, n.Phone)}
	return slices.DeleteFunc(names, func(n spelled) bool { return n.Text == "" })
}
