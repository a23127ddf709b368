package caddymodule

import (
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/stepgate/stepgate/internal/standardwebhooks"
	"github.com/stepgate/stepgate/sms/webhook"
)

// UnmarshalCaddyfile sets up the sender from Caddyfile tokens:
//
//	webhook {
//		url     <url>
//		method  GET|POST|PUT|PATCH
//		auth    bearer <token> | basic <user> <password> | header <name> <value>
//		body    json|form|query
//		field   <name> <value> [number|bool]
//		template <text>
//		template_file <path>
//		success <condition>
//		id      json <path>
//		number_error  <condition>
//		policy        <condition>
//		account_error <condition>
//		not_sent      <condition>
//		sign    standard-webhooks <secret>
//		timeout <duration>
//	}
//
// A condition is one of
//
//	status <status|from-to...>
//	json   <path> ==|!= <value>
//	json   <path> in|contains <value...>
//	body   contains <value...>
//
// Every line of success must hold; of the others one is enough.
func (s *WebhookSender) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the module's name
	err := parseBlock(d, "webhook", []option{
		tried(text("url", "where messages go, such as https://api.example.net/v1/sms", &s.URL), func() error { return webhook.CheckURL(s.URL) }),
		tried(text("method", "a method, such as POST", &s.Method), func() error { return webhook.CheckMethod(s.Method) }),
		{name: "auth", parse: s.parseAuth},
		{name: "body", parse: s.parseBody},
		{name: "field", many: true, parse: s.parseField},
		text("template", "a body, such as template <<BODY and the lines up to one with BODY alone", &s.Template),
		text("template_file", "the file of a body, such as /etc/stepgate/sms.json", &s.TemplateFile),
		conditions("success", "status 200-299", &s.Success, webhook.Condition.CheckSuccess),
		{name: "id", parse: s.parseID},
		conditions("number_error", "json code in 21211 21614", &s.NumberError, webhook.Condition.CheckMapping),
		conditions("policy", "json code == 30450", &s.Policy, webhook.Condition.CheckMapping),
		conditions("account_error", "status 401 402 403", &s.AccountError, webhook.Condition.CheckMapping),
		conditions("not_sent", "status 429", &s.NotSent, webhook.Condition.CheckMapping),
		{name: "sign", parse: s.parseSign},
		duration("timeout", "5s", &s.Timeout),
	})
	if err != nil {
		return err
	}
	if s.TemplateFile != "" && s.Template == "" {
		return nil // what is in it is known when the configuration is loaded
	}
	if err := s.try(); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

// try reports what is wrong with the whole, with every secret taken to be good.
func (s *WebhookSender) try() error {
	config := s.written(func(string) (string, error) { return "0", nil })
	if s.Sign != "" {
		var err error
		if config.Sign, err = standardwebhooks.ParseSecret("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"); err != nil {
			return err // unreachable
		}
	}
	_, err := webhook.New(config)
	return err
}

// tried is an option whose argument is checked as it is read, so that the error names
// its line.
func tried(o option, check func() error) option {
	parse := o.parse
	o.parse = func(d *caddyfile.Dispenser) error {
		if err := parse(d); err != nil {
			return err
		}
		if err := check(); err != nil {
			return d.WrapErr(err)
		}
		return nil
	}
	return o
}

func (s *WebhookSender) parseAuth(d *caddyfile.Dispenser) error {
	const want = "auth needs bearer TOKEN, basic USER PASSWORD, or header NAME VALUE, with secrets as placeholders such as {file./run/secrets/sms}"
	args := d.RemainingArgs()
	s.Auth = new(webhook.Auth)
	switch {
	case len(args) == 0:
		return d.Err(want)
	case args[0] == "bearer" && len(args) == 2:
		s.Auth.Bearer = args[1]
	case args[0] == "basic" && len(args) == 3:
		s.Auth.User, s.Auth.Password = args[1], args[2]
	case args[0] == "header" && len(args) == 3:
		s.Auth.Header, s.Auth.Value = args[1], args[2]
	case args[0] == "bearer" || args[0] == "basic" || args[0] == "header":
		return d.Err(want)
	default:
		return unknown(d, args[0], "kind of auth", []string{"bearer", "basic", "header"})
	}
	if err := s.Auth.Check(); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

func (s *WebhookSender) parseBody(d *caddyfile.Dispenser) error {
	value, err := argument(d, "the form of the body: json, form or query")
	if err != nil {
		return err
	}
	s.Body = webhook.Body(value)
	if err := webhook.CheckBody(s.Body); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

func (s *WebhookSender) parseField(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) < 2 || len(args) > 3 {
		return d.Errf("field needs a name, a value and for JSON its type, such as field to {to} or field ttl {seconds} number")
	}
	f := webhook.Field{Name: args[0], Value: args[1]}
	if len(args) == 3 {
		f.Type = webhook.FieldType(args[2])
	}
	if err := f.Check(); err != nil {
		return d.WrapErr(err)
	}
	s.Fields = append(s.Fields, f)
	return nil
}

// conditions is an option that adds a condition.
func conditions(name, example string, into *[]webhook.Condition, check func(webhook.Condition) error) option {
	return option{name: name, many: true, parse: func(d *caddyfile.Dispenser) error {
		words := d.RemainingArgs()
		if len(words) == 0 {
			return d.Errf("%s needs a condition, such as %s %s", name, name, example)
		}
		c, err := webhook.ParseCondition(words)
		if err == nil {
			err = check(c)
		}
		if err != nil {
			return d.WrapErr(err)
		}
		*into = append(*into, c)
		return nil
	}}
}

func (s *WebhookSender) parseID(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) != 2 || args[0] != "json" {
		return d.Errf("id needs where the provider's name for the message stands in its answer, such as id json messages.0.messageId")
	}
	s.ID = args[1]
	if err := webhook.CheckPath(s.ID); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

func (s *WebhookSender) parseSign(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) != 2 || args[0] != "standard-webhooks" {
		return d.Errf("sign needs a kind and a secret: write sign standard-webhooks {file./run/secrets/hook}")
	}
	s.Sign = args[1]
	if strings.Contains(s.Sign, "{") {
		return nil
	}
	if _, err := standardwebhooks.ParseSecret(s.Sign); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

var _ caddyfile.Unmarshaler = (*WebhookSender)(nil)
