package webhook

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"text/template"
	"text/template/parse"
	"time"

	"github.com/stepgate/stepgate/sms"
)

// samples are the messages that a configuration is tried with at load, in pairs of a
// plain one and one with whatever breaks bodies that are put together badly. What a
// template may well branch on is the same in both of a pair.
var samples = []sms.Message{
	{To: "+6281234567890", Text: "Kode Example Anda: 123456", Code: "123456", Ref: "m1", Locale: "id", Validity: 5 * time.Minute, Brand: "Example", Purpose: "withdrawal", Attempt: 1},
	{To: "+6281298765432", Text: awkward, Code: "012345", Ref: "M-2_b", Locale: "id", Validity: 5 * time.Minute, Brand: awkward, Purpose: awkward, Attempt: 1},
	{To: "+6281234567890", Text: "123456 is your Example code", Code: "123456", Ref: "m1", Locale: "en", Validity: time.Second, Brand: "Example", Purpose: "withdrawal", Attempt: 12},
	{To: "+6281298765432", Text: awkward, Code: "012345", Ref: "M-2_b", Locale: "en", Validity: time.Second, Brand: awkward, Purpose: awkward, Attempt: 12},
}

const awkward = "\"quoted\"\\\r\n& <b>a=b</b>,\"x\":1 + 100% ; é 世 \U0001F600 ' {to} {{.to}} \u2028\x00"

// bodyTemplate is a body that the operator writes out.
type bodyTemplate struct {
	parsed *template.Template
	body   Body
	used   map[string]bool
}

// allowed are the functions of templates: two that print, and those that compare and
// put together.
var allowed = []string{"and", "eq", "ge", "gt", "json", "le", "lt", "ne", "not", "or", "print", "printf", "secret", "urlquery"}

// parseTemplate reads a template. A value can be printed through json or urlquery
// only, and whatever the message says, the body has the same shape: a payee's name
// must not become another field.
func parseTemplate(s string, body Body, resolve Resolve) (*bodyTemplate, error) {
	b := &bodyTemplate{body: body, used: map[string]bool{}}
	secrets := map[string]string{}
	t, err := template.New("template").Option("missingkey=error").Funcs(template.FuncMap{
		"json": func(value any) (string, error) {
			encoded, err := json.Marshal(value)
			return string(encoded), err
		},
		"secret": func(name string) string { return secrets[name] },
	}).Parse(s)
	if err != nil {
		return nil, err // names template and line
	}
	if len(t.Templates()) > 1 || t.Tree == nil {
		return nil, errors.New("template: it has parts of its own (define or block), or nothing at all: write one body")
	}
	w := walker{tree: t.Tree, used: b.used, secrets: map[string]bool{}}
	if err := w.list(t.Root); err != nil {
		return nil, err
	}
	for name := range w.secrets {
		p, err := placeholder(name, resolve)
		if err == nil && p.name != "" {
			err = fmt.Errorf("secret reads env.NAME or file.PATH: write .%s for the message's", p.name)
		}
		if err != nil {
			return nil, fmt.Errorf("template: %w", err)
		}
		secrets[name] = p.fixed
	}
	b.parsed = t
	return b, b.try()
}

// try renders the samples and compares what comes out.
func (b *bodyTemplate) try() error {
	var shapes []string
	for _, m := range samples {
		out, err := b.render(valuesOf(m))
		if err != nil {
			return err
		}
		shape, err := b.shape(out)
		if err != nil {
			return err
		}
		shapes = append(shapes, shape)
	}
	for pair := range slices.Chunk(shapes, 2) {
		if pair[0] != pair[1] {
			return fmt.Errorf("template: the message's words change what fields there are: print values with %s", b.printer())
		}
	}
	return nil
}

func (b *bodyTemplate) printer() string {
	if b.body == BodyJSON {
		return "json, and without quotes around them"
	}
	return "urlquery"
}

func (b *bodyTemplate) render(v values) ([]byte, error) {
	dot := make(map[string]any, len(v))
	for name, value := range v {
		dot[strings.ReplaceAll(name, ".", "_")] = value
		switch name {
		case "minutes", "seconds", "attempt":
			dot[name] = json.Number(value)
		}
	}
	var out bytes.Buffer
	if err := b.parsed.Execute(&out, dot); err != nil {
		// The cause can quote a value.
		return nil, errors.New("template: it cannot be written out: compare values of one type, and print them with json or urlquery")
	}
	body := bytes.TrimSpace(out.Bytes())
	// The samples need not have come through every branch.
	if _, err := b.shape(body); err != nil {
		return nil, err
	}
	return body, nil
}

// shape returns what a body has beside values, or that it is not what it should be.
func (b *bodyTemplate) shape(out []byte) (string, error) {
	if b.body == BodyJSON {
		value, ok := decode(out)
		if !ok {
			return "", fmt.Errorf("template: what comes out is no JSON, or has a name twice: print values with %s", b.printer())
		}
		return shapeOf(value), nil
	}
	form, err := url.ParseQuery(string(out))
	if err != nil || bytes.ContainsAny(out, " \t\r\n") {
		return "", fmt.Errorf("template: what comes out is no form: write name={{urlquery .text}}&name=… on one line")
	}
	var shape strings.Builder
	for _, name := range slices.Sorted(maps.Keys(form)) {
		fmt.Fprintf(&shape, "%q %d\n", name, len(form[name]))
	}
	return shape.String(), nil
}

// shapeOf returns names and types.
func shapeOf(value any) string {
	var shape strings.Builder
	switch value := value.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(value)) {
			fmt.Fprintf(&shape, "%q:%s,", name, shapeOf(value[name]))
		}
		return "{" + shape.String() + "}"
	case []any:
		for _, element := range value {
			shape.WriteString(shapeOf(element) + ",")
		}
		return "[" + shape.String() + "]"
	default:
		return fmt.Sprintf("%T", value)
	}
}

// walker goes through a template and lets nothing pass that it does not know.
type walker struct {
	tree          *parse.Tree
	used, secrets map[string]bool
}

func (w walker) list(l *parse.ListNode) error {
	if l == nil {
		return nil
	}
	for _, n := range l.Nodes {
		var err error
		switch n := n.(type) {
		case *parse.TextNode, *parse.CommentNode:
		case *parse.ActionNode:
			err = w.action(n)
		case *parse.IfNode:
			err = cmp.Or(w.pipe(n.Pipe), w.list(n.List), w.list(n.ElseList))
		default:
			err = w.refuse(n, "only values and if can stand in a template")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// action checks what prints a value.
func (w walker) action(n *parse.ActionNode) error {
	if err := w.pipe(n.Pipe); err != nil {
		return err
	}
	last := n.Pipe.Cmds[len(n.Pipe.Cmds)-1]
	if name, ok := last.Args[0].(*parse.IdentifierNode); ok && (name.Ident == "json" || name.Ident == "urlquery") {
		return nil
	}
	return w.refuse(n, "a value is printed by json or urlquery only: write {{json .text}} in JSON, {{urlquery .text}} in a form")
}

func (w walker) pipe(p *parse.PipeNode) error {
	if len(p.Decl) > 0 {
		return w.refuse(p, "a template has no variables")
	}
	for _, command := range p.Cmds {
		if err := w.command(command); err != nil {
			return err
		}
	}
	return nil
}

func (w walker) command(c *parse.CommandNode) error {
	for i, arg := range c.Args {
		switch arg := arg.(type) {
		case *parse.StringNode, *parse.NumberNode, *parse.BoolNode:
		case *parse.PipeNode:
			if err := w.pipe(arg); err != nil {
				return err
			}
		case *parse.FieldNode:
			if err := w.field(arg); err != nil {
				return err
			}
		case *parse.IdentifierNode:
			if i > 0 || !slices.Contains(allowed, arg.Ident) {
				return w.refuse(arg, "the functions of a template are "+strings.Join(allowed, ", "))
			}
			if arg.Ident != "secret" {
				break
			}
			if err := w.secret(c); err != nil {
				return err
			}
		default:
			return w.refuse(arg, "a template has values such as .text and .to, and functions")
		}
	}
	return nil
}

// secret notes what is read at load.
func (w walker) secret(c *parse.CommandNode) error {
	if len(c.Args) == 2 {
		if constant, ok := c.Args[1].(*parse.StringNode); ok {
			w.secrets[constant.Text] = true
			return nil
		}
	}
	return w.refuse(c, `secret takes one constant: write {{secret "file./run/secrets/sms" | json}}`)
}

// field checks that the message has such a value, and notes it.
func (w walker) field(f *parse.FieldNode) error {
	known := make(map[string]string, len(placeholders))
	for name := range placeholders {
		known[strings.ReplaceAll(name, ".", "_")] = name
	}
	name := strings.Join(f.Ident, ".")
	placeholder, ok := known[name]
	if !ok {
		return w.refuse(f, unknownName("value of the message", strings.ReplaceAll(name, ".", "_"), ".%s", slices.Sorted(maps.Keys(known))).Error())
	}
	w.used[placeholder] = true
	return nil
}

func (w walker) refuse(n parse.Node, why string) error {
	location, _ := w.tree.ErrorContext(n)
	return fmt.Errorf("%s: %s", location, why)
}
