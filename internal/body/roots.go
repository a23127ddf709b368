package body

import (
	"strings"
	"unicode/utf8"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/lexer"
	"github.com/vektah/gqlparser/v2/parser"

	"github.com/stepgate/stepgate/policy"
)

// lineEnds are characters that end a comment for readers of drafts of the GraphQL
// specification before 2016, and for no others.
const lineEnds = "\u0085\u2028\u2029"

// tokensOf counts a document's tokens, comments included, as far as they are such.
// ok is false if they are more than limit.
func tokensOf(document string, limit int) (n int, ok bool) {
	for lex := lexer.New(&ast.Source{Input: document}); n <= limit; n++ {
		token, err := lex.ReadToken()
		if err != nil || token.Kind == lexer.EOF {
			return n, true
		}
	}
	return n, false
}

// rootsOf returns the fields at the root of a document's operations, whichever of
// them is chosen. ok is false if the document is none, or its fragments lead
// nowhere or in a circle. Directives are not followed: what @skip leaves out is
// listed.
func rootsOf(document string) (roots []policy.Root, ok bool) {
	if !utf8.ValidString(document) || strings.ContainsAny(document, lineEnds) {
		return nil, false
	}
	parsed, err := parser.ParseQueryWithTokenLimit(&ast.Source{Input: document}, maxTokens)
	if err != nil {
		return nil, false
	}
	w := walk{fragments: map[string][]*ast.FragmentDefinition{}, visits: map[visit]bool{}}
	for _, f := range parsed.Fragments {
		w.fragments[f.Name] = append(w.fragments[f.Name], f)
	}
	for _, operation := range parsed.Operations {
		if !w.selections(string(operation.Operation), operation.SelectionSet) {
			return nil, false
		}
	}
	return w.roots, true
}

// walk goes over the root selections of a document. Each fragment is visited once
// for each kind of operation, so that the time is linear in the document's length.
type walk struct {
	// fragments has all definitions of a name; servers take the first or the last.
	fragments map[string][]*ast.FragmentDefinition
	// visits is false while a fragment is being visited, and true afterwards.
	visits map[visit]bool
	roots  []policy.Root
}

type visit struct{ operation, fragment string }

func (w *walk) selections(operation string, set ast.SelectionSet) bool {
	for _, selection := range set {
		switch s := selection.(type) {
		case *ast.Field:
			w.roots = append(w.roots, policy.Root{Operation: operation, Field: s.Name})
		case *ast.InlineFragment:
			if !w.selections(operation, s.SelectionSet) {
				return false
			}
		case *ast.FragmentSpread:
			if !w.spread(visit{operation, s.Name}) {
				return false
			}
		default:
			return false
		}
	}
	return true
}

func (w *walk) spread(v visit) bool {
	if done, seen := w.visits[v]; seen {
		return done
	}
	definitions := w.fragments[v.fragment]
	w.visits[v] = false
	for _, f := range definitions {
		if !w.selections(v.operation, f.SelectionSet) {
			return false
		}
	}
	w.visits[v] = true
	return len(definitions) > 0
}
