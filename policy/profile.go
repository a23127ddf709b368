package policy

import (
	"fmt"
	"slices"
	"strings"
)

// Profile says by which further doors the sites of a framework let requests in.
// What every set knows already (the table in the package comment, method
// overrides, the parameters of front controllers) needs no profile: a door
// stands here where it is peculiar to a framework, or where following it on
// every site would cost others a challenge or their speed.
type Profile struct {
	// Name is what the operator writes.
	Name string
	// Doors says in words what the profile follows.
	Doors []string
	// Open says in words what no profile can follow, and what to write instead.
	Open []string

	// prefixes are patterns of what may stand before a path.
	prefixes []string
	// params are parameters that name a path at every path.
	params []routeParameter
	// batches are endpoints whose body holds further requests.
	batches []batch
	// bodies says that what names a path in the query does so in the body too.
	bodies bool
	// routes says that what front controllers take for the path counts at every path.
	routes bool
	// locales says that a first segment may name a language.
	locales bool
}

// openUpload is the door that profiles which read bodies leave open.
const openUpload = "a route beyond the first max_body bytes of an upload to an ordinary path is not seen, so have the site take its route from the path or the query only"

// profiles is the table of what frameworks are known for. To add to it takes a
// line here and one in TestInvariantI1ProfilesCloseTheirDoors.
var profiles = []*Profile{
	{
		Name:  "aspnet",
		Doors: []string{"odata: requests of a JSON $batch at /odata/$batch and /$batch"},
		Open: []string{
			"postbacks: the page's own path takes every event, so protect the page's path for POST",
			"multipart $batch: its parts cannot be told apart, so they count as every request",
		},
		batches: []batch{{"/odata/$batch", "requests.url", ""}, {"/odata/$batch", "requests.url", "/odata"}, {"/$batch", "requests.url", ""}},
	},
	{
		Name:    "django",
		Doors:   []string{"i18n_patterns: a language before the path, /id/wallet"},
		locales: true,
	},
	{
		Name:  "express",
		Doors: []string{"none beyond those of every site"},
	},
	{
		Name:    "laravel",
		Doors:   []string{"localized routes: a language before the path, /id/wallet"},
		Open:    []string{"Livewire: every component is called at /livewire/update, so protect that path, or the component's call by json components.calls.method NAME"},
		locales: true,
	},
	{
		Name: "nextjs",
		Doors: []string{
			"data routes: /_next/data/BUILD/wallet.json is /wallet",
			"internationalized routing: a language before the path, /id/wallet",
		},
		Open: []string{
			"server actions: every page takes every action, so write path /* and header Next-Action with the action's id",
		},
		prefixes: []string{"/_next/data/*", "/_next/data/*/*"},
		locales:  true,
	},
	{
		Name: "php",
		Doors: []string{
			"front controller parameters at every path, for sites that rewrite all paths to one script",
			"front controller parameters in the body too, as $_REQUEST has them",
		},
		Open:   []string{openUpload},
		bodies: true,
		routes: true,
	},
	{
		Name:    "rails",
		Doors:   []string{"scope (:locale): a language before the path, /id/wallet"},
		Open:    []string{"Turbo and Action Cable: messages over a WebSocket are not seen, so protect /cable"},
		locales: true,
	},
	{
		Name:  "spring",
		Doors: []string{"none beyond those of every site"},
		Open:  []string{"messages over a WebSocket (STOMP) are not seen, so protect the path of the handshake"},
	},
	{
		Name:    "symfony",
		Doors:   []string{"{_locale}: a language before the path, /id/wallet"},
		locales: true,
	},
	{
		Name: "wordpress",
		Doors: []string{
			"?rest_route=/x and the same in a form, at every path, are /wp-json/x",
			"requests of a batch at /wp-json/batch/v1",
			"front controller parameters in the body too",
			"multilingual plugins: a language before the path, /id/wallet",
		},
		Open: []string{
			"admin-ajax.php: one path for every action, so write path /wp-admin/admin-ajax.php and form action NAME",
			"xmlrpc.php: its XML is not read, so protect /xmlrpc.php or turn it off",
			openUpload,
		},
		params:  []routeParameter{{"rest_route", "/wp-json"}},
		batches: []batch{{"/wp-json/batch/v1", "requests.path", "/wp-json"}},
		bodies:  true,
		locales: true,
	},
}

// Profiles returns the known profiles, by name.
func Profiles() []Profile {
	all := make([]Profile, len(profiles))
	for i, p := range profiles {
		all[i] = *p
	}
	return all
}

// findProfiles returns the profiles of the given names.
func findProfiles(names []string) ([]*Profile, error) {
	var named []*Profile
	for _, name := range names {
		i := slices.IndexFunc(profiles, func(p *Profile) bool { return p.Name == name })
		if i < 0 {
			var known []string
			for _, p := range profiles {
				known = append(known, p.Name)
			}
			return nil, fmt.Errorf("profile %q is not known: write one of %s", name, strings.Join(known, ", "))
		}
		named = append(named, profiles[i])
	}
	return named, nil
}
