package challengepages

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"regexp"
	"strings"
)

//go:embed templates
var embedded embed.FS

// readAssets puts together the style and script of a page. The operator's style
// comes last, so that it has the last word, and as it is written.
func readAssets(brand rgb, operators string, styles, scripts []string) (assets, error) {
	style, script := newPalette(brand).css(), ""
	for _, name := range styles {
		b, err := embedded.ReadFile("templates/" + name)
		if err != nil {
			return assets{}, fmt.Errorf("reading style: %w", err)
		}
		style += compactStyle(string(b))
	}
	for _, name := range scripts {
		b, err := embedded.ReadFile("templates/" + name)
		if err != nil {
			return assets{}, fmt.Errorf("reading script: %w", err)
		}
		script += compactScript(string(b)) + "\n"
	}
	style += operators
	return assets{Style: template.CSS(style), Script: template.JS(script)}, nil
}

// contentSecurityPolicy allows the given styles and scripts by their hashes (CSP
// Level 3, section 2.3.1), and forms to the given targets.
func contentSecurityPolicy(formTargets string, all ...assets) string {
	styles, scripts := "style-src", "script-src"
	for _, a := range all {
		styles += " '" + sourceHash(string(a.Style)) + "'"
		scripts += " '" + sourceHash(string(a.Script)) + "'"
	}
	return strings.Join([]string{
		"default-src 'none'", styles, scripts, "img-src data:", "form-action " + formTargets, "base-uri 'none'",
		"frame-ancestors 'none'", "object-src 'none'",
	}, "; ")
}

func sourceHash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

var (
	styleComment = regexp.MustCompile(`(?s)/\*.*?\*/`)
	styleSpace   = regexp.MustCompile(`\s+`)
	stylePunct   = regexp.MustCompile(` ?([{};,]) ?`)
	styleColon   = regexp.MustCompile(`: `)
	scriptLine   = regexp.MustCompile(`(?m)^\s*(//.*)?\n?`)
)

// compactStyle drops from a stylesheet what only its writer needs.
func compactStyle(s string) string {
	s = styleComment.ReplaceAllString(s, "")
	s = styleSpace.ReplaceAllString(s, " ")
	s = stylePunct.ReplaceAllString(s, "$1")
	s = styleColon.ReplaceAllString(s, ":")
	return strings.TrimSpace(strings.ReplaceAll(s, ";}", "}"))
}

// compactScript drops comment lines and indentation.
func compactScript(s string) string {
	return strings.TrimSpace(scriptLine.ReplaceAllString(s, ""))
}
