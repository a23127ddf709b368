package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/stepgate/stepgate/internal/standardwebhooks"
	"github.com/stepgate/stepgate/sms"
	"github.com/stepgate/stepgate/sms/webhook"
)

func init() { caddy.RegisterModule(new(WebhookSender)) }

// WebhookSender hands SMS to a provider as one HTTP request each, whose form is
// configured, as is what the answers mean.
//
// These placeholders stand for the message: `{to}` (+6281234567890), `{to.digits}`
// (6281234567890), `{to.national}` (081234567890), `{text}`, `{code}`, `{brand}`,
// `{minutes}` and `{seconds}` (how long the code is still good for), `{locale}` (`id`),
// `{purpose}` (the rule that the code is for), `{ref}` (the same where a message is
// handed over again: an idempotency key) and `{attempt}`. Beside them `{env.NAME}` and
// `{file.PATH}` stand for secrets, which are read at load.
//
// What may have been sent is never said not to have been. Whatever no line describes is
// judged by its status: 429 was not sent, 401, 402 and 403 are the account's, every
// other from 300 to 499 is a bad request, and the rest may have been sent.
type WebhookSender struct {
	// Where messages go: https, or http on this machine, since whoever listens on the way
	// reads every code. Segments of the path and values of the query may have
	// placeholders, which are escaped. Scheme and host are fixed text. Redirects are not
	// followed. Required.
	URL string `json:"url,omitempty"`

	// The method: `GET`, `POST`, `PUT` or `PATCH`. Default: `POST`, and `GET` where the
	// body is `query`.
	Method string `json:"method,omitempty"`

	// Who sends. Whoever has these secrets sends SMS at the operator's expense. Default:
	// nobody says so.
	Auth *webhook.Auth `json:"auth,omitempty"`

	// How the fields are written: `json`, `form` or `query`. DANGER: what stands in a
	// query, numbers and codes, ends in the logs of every server on its way. Default:
	// `json`.
	Body webhook.Body `json:"body,omitempty"`

	// What is sent. One of them has the number, and one the text or the code. Required,
	// or a template.
	Fields []webhook.Field `json:"fields,omitempty"`

	// The whole body, where fields are not enough: a Go text/template with the
	// placeholders as values, dots written as `_`: `{{json .text}}`, `{{json
	// .to_digits}}`. Values can be printed by `json` and `urlquery` only; `secret
	// "file.PATH"` reads a secret. It is tried at load with awkward messages, whose words
	// must not change what fields there are.
	Template string `json:"template,omitempty"`

	// The file of the template, in the place of one that stands here. Read at load.
	TemplateFile string `json:"template_file,omitempty"`

	// What an answer is that accepts a message; all of it holds. An answer from 200 to 299
	// for which it does not hold may have been sent. Default: any from 200 to 299.
	Success []webhook.Condition `json:"success,omitempty"`

	// Where in the answer's JSON the provider's name for the message stands, such as
	// `messages.0.messageId`; it is logged. Default: nowhere.
	ID string `json:"id,omitempty"`

	// Answers that mean that the number cannot be reached: no other provider is tried.
	// One of the conditions is enough. Default: none.
	NumberError []webhook.Condition `json:"number_error,omitempty"`

	// Answers that mean that the provider refuses for reasons of fraud or policy: no other
	// provider is tried. Default: none.
	Policy []webhook.Condition `json:"policy,omitempty"`

	// Answers that mean that the operator's account does not work. Default: the statuses
	// 401, 402 and 403, which these conditions add to.
	AccountError []webhook.Condition `json:"account_error,omitempty"`

	// Answers that mean that the message was not sent, and that another try may do better.
	// DANGER: what is sent all the same is sent twice, and does not count. Default: the
	// status 429, which these conditions add to.
	NotSent []webhook.Condition `json:"not_sent,omitempty"`

	// Signs every request as Standard Webhooks says (https://www.standardwebhooks.com), so
	// that a gateway of the operator's own takes messages from nobody else: `whsec_` and
	// 24 to 64 random bytes in base64. As for auth, write a placeholder. Not for the body
	// `query`, of which nothing would be signed. Default: no signature.
	Sign string `json:"sign,omitempty"`

	// How long handing over one message may take. Default: 5s.
	Timeout caddy.Duration `json:"timeout,omitempty"`

	sender *webhook.Sender
}

// CaddyModule returns the Caddy module information.
func (*WebhookSender) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: senderNamespace + ".webhook", New: func() caddy.Module { return new(WebhookSender) }}
}

// Provision reads the secrets and checks the configuration. It asks nobody.
func (s *WebhookSender) Provision(caddy.Context) error {
	config, err := s.config()
	if err != nil {
		return err
	}
	s.sender, err = webhook.New(config)
	return err
}

// Cleanup lets go of the connections.
func (s *WebhookSender) Cleanup() error {
	if s.sender != nil {
		s.sender.Close()
	}
	return nil
}

// Send hands over one message.
func (s *WebhookSender) Send(ctx context.Context, m sms.Message) (sms.Receipt, error) {
	return s.sender.Send(ctx, m)
}

// config returns the configuration with what stands outside of it. Placeholders of the
// message are left to the sender, which Caddy's replacer would take for unknown ones.
func (s *WebhookSender) config() (webhook.Config, error) {
	known := caddy.NewReplacer()
	config := s.written(func(name string) (string, error) { return known.ReplaceOrErr("{"+name+"}", true, true) })
	if s.TemplateFile != "" {
		if s.Template != "" {
			return webhook.Config{}, errors.New("template and template_file stand side by side: write one of them")
		}
		body, err := os.ReadFile(s.TemplateFile)
		if err != nil {
			return webhook.Config{}, fmt.Errorf("reading template_file: %w", err)
		}
		if config.Template = string(body); len(body) == 0 {
			return webhook.Config{}, errors.New("template_file is empty: write the body into it")
		}
	}
	if s.Sign == "" {
		return config, nil
	}
	secret, err := known.ReplaceOrErr(s.Sign, true, true)
	if err != nil {
		return webhook.Config{}, fmt.Errorf("reading the secret of sign: %w", err)
	}
	config.Sign, err = standardwebhooks.ParseSecret(secret)
	return config, err
}

// written returns the part of the configuration that stands in it.
func (s *WebhookSender) written(resolve webhook.Resolve) webhook.Config {
	config := webhook.Config{
		URL: s.URL, Method: s.Method, Body: s.Body, Fields: s.Fields, Template: s.Template, Success: s.Success, ID: s.ID,
		NumberError: s.NumberError, Policy: s.Policy, AccountError: s.AccountError, NotSent: s.NotSent,
		Timeout: time.Duration(s.Timeout), Resolve: resolve,
	}
	if s.Auth != nil {
		config.Auth = *s.Auth
	}
	return config
}

var (
	_ caddy.Provisioner  = (*WebhookSender)(nil)
	_ caddy.CleanerUpper = (*WebhookSender)(nil)
	_ sms.Sender         = (*WebhookSender)(nil)
)
