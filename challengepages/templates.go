package challengepages

import (
	"fmt"
	"html/template"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"text/template/parse"
)

// parseTemplates makes one set of the built-in templates and those that override
// them.
func (s *sources) parseTemplates() (*template.Template, error) {
	all := template.New("pages")
	for _, name := range slices.Sorted(maps.Keys(s.templates)) {
		file, err := template.New(name).Parse(s.templates[name])
		if err != nil {
			return nil, templateError(name, err)
		}
		if s.overridden[name] {
			if err := checkDefinitions(name, file); err != nil {
				return nil, err
			}
		}
		for _, t := range file.Templates() {
			compact(t.Tree.Root)
			if _, err := all.AddParseTree(t.Name(), t.Tree); err != nil {
				return nil, fmt.Errorf("parsing templates/%s: %w", name, err)
			}
		}
	}
	return all, nil
}

// checkDefinitions compares what an overriding file defines with what the built-in
// one does, since other files call these.
func checkDefinitions(name string, file *template.Template) error {
	text, err := embedded.ReadFile("templates/" + name)
	if err != nil {
		return fmt.Errorf("reading template: %w", err)
	}
	builtIn, err := template.New(name).Parse(string(text))
	if err != nil {
		return fmt.Errorf("parsing template: %w", err)
	}
	have, want := definitions(file), definitions(builtIn)
	for _, d := range want {
		if !slices.Contains(have, d) {
			return fmt.Errorf("templates/%s:1: it does not define %q: begin the part with {{define %q}}, as the built-in file does", name, d, d)
		}
	}
	for _, d := range have {
		if !slices.Contains(want, d) {
			return fmt.Errorf("templates/%s:1: it defines %q, which the built-in file does not: move it to where that is defined, or put the text in its place", name, d)
		}
	}
	return nil
}

// definitions lists what a file defines, sorted.
func definitions(file *template.Template) []string {
	var names []string
	for _, t := range file.Templates() {
		if t.Name() != file.Name() {
			names = append(names, t.Name())
		}
	}
	slices.Sort(names)
	return names
}

var (
	indentation = regexp.MustCompile(`\n\s*`)
	templateAt  = regexp.MustCompile(`(?:html/)?template: ?([a-z_]+\.html):(\d+)(?::\d+)?: (?:executing "\w+" at )?`)
)

// compact drops indentation, which no player needs to load. It is done to the tree
// and not to the text, so that errors still tell the right line.
func compact(node parse.Node) {
	switch n := node.(type) {
	case *parse.TextNode:
		n.Text = indentation.ReplaceAll(n.Text, []byte("\n"))
	case *parse.ListNode:
		for _, child := range n.Nodes {
			compact(child)
		}
	case *parse.IfNode:
		compactBranch(&n.BranchNode)
	case *parse.RangeNode:
		compactBranch(&n.BranchNode)
	case *parse.WithNode:
		compactBranch(&n.BranchNode)
	}
}

func compactBranch(n *parse.BranchNode) {
	compact(n.List)
	if n.ElseList != nil {
		compact(n.ElseList)
	}
}

// templateError puts file and line of an error of html/template in front, and says
// what to do.
func templateError(name string, err error) error {
	where, text := "templates/"+name, err.Error()
	if at := templateAt.FindStringSubmatchIndex(text); at != nil {
		where = "templates/" + text[at[2]:at[3]] + ":" + text[at[4]:at[5]]
		text = text[at[1]:]
	}
	return fmt.Errorf("%s: %s: compare it with the built-in template, which \"stepgate pages export\" writes", where, text)
}

// What the Content-Security-Policy blocks and an HTML file may yet have.
var blocked = []struct {
	pattern *regexp.Regexp
	what    string
}{
	{regexp.MustCompile(`(?i)\sstyle\s*=`), "a style attribute, which the page's policy blocks: write a class, and its style in style.css"},
	{regexp.MustCompile(`(?i)\son[a-z]+\s*=`), "an event handler, which the page's policy blocks: pages work without scripts of your own"},
	{regexp.MustCompile(`(?i)<script\b[^>]*>(?:[^{]|\{[^{]|$)|<script\b[^>]+>`), "a script, which the page's policy blocks: pages work without scripts of your own"},
	{regexp.MustCompile(`(?i)<(?:iframe|object|embed|base|link)\b`), "an element that loads or redirects, which the page's policy blocks: leave it out"},
	{regexp.MustCompile(`(?i)<img\b[^>]*\bsrc\s*=\s*["']?(?:https?:|//|/)`), "a picture that is loaded, which the page's policy blocks: inline it as a data: URL"},
}

// checkTemplateText finds what would silently do nothing in a browser.
func checkTemplateText(name, text string) error {
	for i, line := range strings.Split(text, "\n") {
		for _, b := range blocked {
			if b.pattern.MatchString(line) {
				return fmt.Errorf("templates/%s:%d: it has %s", path.Base(name), i+1, b.what)
			}
		}
	}
	return nil
}
