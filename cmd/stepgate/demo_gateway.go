package main

import (
	_ "embed"
	"errors"
	"fmt"
	"net"
	"strings"
	"text/template"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// gateway is what the demo's Caddyfile leaves open.
type gateway struct {
	Host, Port string // Port 0 is any free one
	Site       string // URL of the site
	Folder     string // of the gateway's state
	Phones     *phones
}

// Addresses returns the site's addresses in the Caddyfile. Requests for other hosts
// get nothing: a page on the web whose name leads to this machine (DNS rebinding)
// must not read the codes.
func (g gateway) Addresses() string {
	addresses := "http://" + net.JoinHostPort(g.Host, g.Port)
	if g.Host == "localhost" {
		addresses += ", http://127.0.0.1:" + g.Port
	}
	return addresses
}

// Brand returns the site's name.
func (g gateway) Brand() string { return brand }

// Storage returns the folder of Caddy's storage.
func (g gateway) Storage() string { return storagePath(g.Folder) }

// Store returns the file of the store.
func (g gateway) Store() string { return storePath(g.Folder) }

//go:embed demo/Caddyfile
var caddyfileText string

var caddyfileTemplate = template.Must(template.New("Caddyfile").Funcs(template.FuncMap{"quote": quote}).Parse(caddyfileText))

// quote writes a word of a Caddyfile that may have spaces.
func quote(word string) string { return `"` + strings.ReplaceAll(word, `"`, `\"`) + `"` }

// adapt returns the gateway's configuration, and what Caddy has to say about how
// it is written.
func (g gateway) adapt() (config []byte, warnings []caddyconfig.Warning, err error) {
	var text strings.Builder
	if err := caddyfileTemplate.Execute(&text, g); err != nil {
		return nil, nil, fmt.Errorf("writing the demo's Caddyfile: %w", err)
	}
	config, warnings, err = caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text.String()), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		return nil, nil, fmt.Errorf("reading the demo's Caddyfile: %w", err)
	}
	return config, warnings, nil
}

// startGateway starts Caddy with the demo's Caddyfile and returns the port on
// which it listens.
func startGateway(g gateway) (port string, err error) {
	g.Phones.register()
	config, _, err := g.adapt()
	if err != nil {
		return "", err
	}
	if err := caddy.Load(config, true); err != nil {
		return "", fmt.Errorf("starting the gateway: %w", err)
	}
	if port, err = listeningPort(); err != nil {
		return "", errors.Join(err, stopGateway())
	}
	return port, nil
}

func stopGateway() error {
	if err := caddy.Stop(); err != nil {
		return fmt.Errorf("stopping the gateway: %w", err)
	}
	return nil
}

// listeningPort returns the port of Caddy's one listener.
func listeningPort() (string, error) {
	mod, err := caddy.ActiveContext().AppIfConfigured("http")
	if err != nil {
		return "", fmt.Errorf("finding the gateway's port: %w", err)
	}
	if app, ok := mod.(*caddyhttp.App); ok {
		for _, server := range app.Servers {
			for _, ln := range server.Listeners() {
				_, port, err := net.SplitHostPort(ln.Addr().String())
				return port, err
			}
		}
	}
	return "", errors.New("finding the gateway's port: it does not listen")
}
