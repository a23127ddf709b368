package policy

import "testing"

// I1: what stands in the table of profiles is followed. Every profile has a line
// here, and for each door a request that is protected with the profile.
func TestInvariantI1ProfilesCloseTheirDoors(t *testing.T) {
	rules := []Rule{
		{Name: "withdrawal", Paths: []string{"/wallet/withdraw"}},
		{Name: "api", Paths: []string{"/wp-json/wallet/v1/withdraw"}, Methods: []string{"POST"}},
		{Name: "vault", Paths: []string{"/vault/*"}},
	}
	formType := map[string][]string{"Content-Type": {"application/x-www-form-urlencoded"}}
	jsonType := map[string][]string{"Content-Type": {"application/json"}}
	doors := map[string][]struct {
		req   Request
		rule  string
		known bool // closed without the profile too
	}{
		"aspnet": {
			{Request{Method: "POST", Targets: [2]string{"/odata/$batch"}, Header: jsonType, Body: jsonBody("requests={}", "requests.url=/wallet/withdraw")}, "withdrawal", false},
			{Request{Method: "POST", Targets: [2]string{"/odata/$batch"}, Header: jsonType, Body: unclear(UnclearType)}, "withdrawal+api+vault", false},
			{Request{Method: "GET", Targets: [2]string{"/(S(3f2a))/wallet/withdraw"}}, "withdrawal", true},
			{Request{Method: "GET", Targets: [2]string{"/wallet/(A(x)F(y))/withdraw.aspx"}}, "withdrawal", true},
		},
		"django":  {{Request{Method: "GET", Targets: [2]string{"/id/wallet/withdraw"}}, "withdrawal", false}},
		"express": {{Request{Method: "GET", Targets: [2]string{"/WALLET/withdraw/"}}, "withdrawal", true}},
		"laravel": {
			{Request{Method: "GET", Targets: [2]string{"/en/wallet/withdraw"}}, "withdrawal", false},
		},
		"nextjs": {
			{Request{Method: "GET", Targets: [2]string{"/_next/data/b7Xk2/wallet/withdraw.json"}}, "withdrawal", false},
			{Request{Method: "GET", Targets: [2]string{"/_next/data/b7Xk2/id/wallet/withdraw.json"}}, "withdrawal", false},
			{Request{Method: "GET", Targets: [2]string{"/_next/data/b7Xk2/vault/x.json"}}, "vault", false},
			{Request{Method: "GET", Targets: [2]string{"/_next%2fdata/b7Xk2/%77allet/withdraw.json"}}, "withdrawal", false},
			{Request{Method: "GET", Targets: [2]string{"/pt-BR/wallet/withdraw"}}, "withdrawal", false},
		},
		"php": {
			{Request{Method: "POST", Targets: [2]string{"/"}, Header: formType, Body: formBody("s=wallet/withdraw")}, "withdrawal", false},
			{Request{Method: "POST", Targets: [2]string{"/index.php"}, Header: formType, Body: formBody("controller=wallet", "action=withdraw")}, "withdrawal", false},
			{Request{Method: "POST", Targets: [2]string{"/index.php"}, Header: formType, Body: unclear(UnclearTooLarge)}, "withdrawal+api+vault", false},
			{Request{Method: "GET", Targets: [2]string{"/index.php"}, RawQuery: "c=wallet&a=withdraw"}, "withdrawal", true},
			{Request{Method: "GET", Targets: [2]string{"/x"}, RawQuery: "route=home&+route=wallet/withdraw"}, "withdrawal", false},
			{Request{Method: "GET", Targets: [2]string{"/x"}, RawQuery: "controller=wallet&action=withdraw"}, "withdrawal", false},
			{Request{Method: "POST", Targets: [2]string{"/x"}, Header: formType, Body: formBody("route=wallet/withdraw")}, "withdrawal", false},
			{Request{Method: "POST", Targets: [2]string{"/x"}, Header: formType, Body: unclear(UnclearSyntax)}, "withdrawal+api+vault", false},
		},
		"rails":   {{Request{Method: "GET", Targets: [2]string{"/id/wallet/withdraw.json"}}, "withdrawal", false}},
		"spring":  {{Request{Method: "GET", Targets: [2]string{"/wallet;jsessionid=1/withdraw.html"}}, "withdrawal", true}},
		"symfony": {{Request{Method: "GET", Targets: [2]string{"/id_ID/wallet/withdraw"}}, "withdrawal", false}},
		"wordpress": {
			{Request{Method: "POST", Targets: [2]string{"/"}, RawQuery: "rest_route=/wallet/v1/withdraw", Header: jsonType, Body: jsonBody()}, "api", false},
			{Request{Method: "POST", Targets: [2]string{"/hello-world/"}, RawQuery: "rest%5froute=/wallet/v1/withdraw/", Header: jsonType, Body: jsonBody()}, "api", false},
			{Request{Method: "POST", Targets: [2]string{"/hello-world/"}, Header: formType, Body: formBody("rest_route=/wallet/v1/withdraw")}, "api", false},
			{Request{Method: "PUT", Targets: [2]string{"/wp-json/batch/v1"}, Header: jsonType, Body: jsonBody("requests={}", "requests.path=/wallet/v1/withdraw")}, "api", false},
			{Request{Method: "POST", Targets: [2]string{"/x"}, RawQuery: "rest_route=/batch/v1", Header: jsonType, Body: jsonBody("requests.path=/wallet/v1/withdraw")}, "api", false},
			{Request{Method: "POST", Targets: [2]string{"/wp-json/batch/v1/"}, Header: jsonType, Body: unclear(UnclearSyntax)}, "withdrawal+api+vault", false},
		},
	}
	for _, p := range Profiles() {
		if len(doors[p.Name]) == 0 {
			t.Errorf("profile %s has no line here", p.Name)
		}
		if len(p.Doors) == 0 {
			t.Errorf("profile %s does not say what it follows", p.Name)
		}
		with, err := Compile(rules, p.Name)
		if err != nil {
			t.Fatal(err)
		}
		without := mustCompile(t, rules...)
		for _, c := range doors[p.Name] {
			if d := with.Decide(&c.req); Require(d.Rules).Name() != c.rule || d.Refuse != "" || d.Ask {
				t.Errorf("%s: %s %s?%s %+v = %s, ask %v, want %q", p.Name, c.req.Method, c.req.Targets[0], c.req.RawQuery, c.req.Body, describe(d), d.Ask, c.rule)
			}
			if d := without.Decide(&c.req); (Require(d.Rules).Name() == c.rule) != c.known {
				t.Errorf("without %s: %s %s?%s = %s, want it closed: %v", p.Name, c.req.Method, c.req.Targets[0], c.req.RawQuery, describe(d), c.known)
			}
		}
	}
}

// A profile asks for no more bodies than its doors need, and challenges nobody
// elsewhere.
func TestProfilesLeaveTheRestOfTheSiteAlone(t *testing.T) {
	var all []string
	for _, p := range Profiles() {
		all = append(all, p.Name)
	}
	set, err := Compile([]Rule{{Name: "withdrawal", Paths: []string{"/wallet/withdraw"}, Methods: []string{"POST"}}}, all...)
	if err != nil {
		t.Fatal(err)
	}
	for _, req := range []Request{
		{Method: "GET", Targets: [2]string{"/"}},
		{Method: "GET", Targets: [2]string{"/id/games"}},
		{Method: "GET", Targets: [2]string{"/id"}},
		{Method: "GET", Targets: [2]string{"/_next/data/b/games.json"}},
		{Method: "GET", Targets: [2]string{"/games/wallet/withdraw"}},
		{Method: "POST", Targets: [2]string{"/games"}, Header: map[string][]string{"Content-Type": {"image/png"}}},
		{Method: "POST", Targets: [2]string{"/avatar"}, Header: map[string][]string{"Content-Type": {"multipart/form-data"}}, Body: unclear(UnclearTooLarge)},
		{Method: "GET", Targets: [2]string{"/search"}, RawQuery: "q=jackpot&page=2"},
	} {
		if d := set.Decide(&req); len(d.Rules) > 0 || d.Ask || d.Refuse != "" {
			t.Errorf("%s %s = %s, ask %v, want nothing", req.Method, req.Targets[0], describe(d), d.Ask)
		}
	}
}

func TestAnUnknownProfileIsNamed(t *testing.T) {
	_, err := Compile(nil, "php", "drupal")
	want := `profile "drupal" is not known: write one of aspnet, django, express, laravel, nextjs, php, rails, spring, symfony, wordpress`
	if err == nil || err.Error() != want {
		t.Errorf("Compile = %v, want %s", err, want)
	}
}
