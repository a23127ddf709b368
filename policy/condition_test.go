package policy

import (
	"fmt"
	"strings"
	"testing"
)

// fields makes a clear body of the given fields, written as name=value. A value
// of {} is a container.
func fields(source DetailSource, pairs ...string) *Body {
	body := &Body{}
	for _, pair := range pairs {
		name, value, _ := strings.Cut(pair, "=")
		if value == "{}" {
			body.Fields = append(body.Fields, Field{Source: source, Name: name, Container: true})
			continue
		}
		body.Fields = append(body.Fields, Field{Source: source, Name: name, Value: value})
	}
	return body
}

func formBody(pairs ...string) *Body { return fields(FromForm, pairs...) }

func jsonBody(pairs ...string) *Body { return fields(FromJSON, pairs...) }

func unclear(word string) *Body { return &Body{Unclear: word} }

// rpcSet protects one action of an endpoint that has many.
func rpcSet(tb testing.TB, condition Condition) *Set {
	tb.Helper()
	return mustCompile(tb, Rule{Name: "withdrawal", Paths: []string{"/rpc"}, Methods: []string{"POST"}, Conditions: []Condition{condition}})
}

// I1, I2: a parameter counts under every name and value that some reader takes
// for it, wherever it stands; what cannot be read may say anything.
func TestInvariantI1AConditionIsMetUnderEverySpelling(t *testing.T) {
	set := rpcSet(t, Condition{Place: InForm, Name: "action", Values: []string{"withdraw", "transfer*"}})
	for _, c := range []struct {
		query string
		body  *Body
	}{
		{"", formBody("action=withdraw")},
		{"", formBody("ACTION=Withdraw")},
		{"", formBody("action=transfer_all")},
		{"", formBody("action=play", "action=withdraw")},
		{"", formBody("action=withdraw", "action=play")},
		{"", formBody("action[]=withdraw")},
		{"", formBody("action[0]=withdraw")},
		{"", formBody("action[name]=withdraw")},
		{"", formBody(" action=withdraw")},
		{"", formBody("action\x00x=withdraw")},
		{"", formBody("action=withdraw\x00.png")},
		{"", formBody("action= withdraw\r\n")},
		{"", formBody("action=with%64raw")},
		{"", formBody("action=with%2564raw")},
		{"", formBody("%61ction=withdraw")},
		{"", formBody("action=with\u200bdraw")},
		{"", formBody("action=ｗithdraw")},
		{"", formBody("action=with\xffdraw")},
		{"", formBody("action={}")},
		{"", jsonBody("action=withdraw")},
		{"action=withdraw", formBody("action=play")},
		{"action=play&action=withdraw", formBody()},
		{"x;action=withdraw", formBody()},
		{"%61ction=with%2564raw", formBody()},
		{"action%00=withdraw", formBody()},
		{"", formBody("action=%25252525252525252577ithdraw")},
		{"", formBody("%25252525252525252561ction=withdraw")},
		{"", unclear(UnclearTooLarge)},
		{"", unclear(UnclearSyntax)},
		{"action=play", unclear(UnclearEncoding)},
	} {
		d := set.Decide(&Request{Method: "POST", Targets: [2]string{"/rpc"}, RawQuery: c.query, Body: c.body})
		if Require(d.Rules).Name() != "withdrawal" || d.Ask || d.Refuse != "" {
			t.Errorf("?%s with %+v = %s, ask %v, want the rule", c.query, c.body, describe(d), d.Ask)
		}
	}
}

func TestARequestThatDoesNotMeetAConditionGoesOn(t *testing.T) {
	set := rpcSet(t, Condition{Place: InForm, Name: "action", Values: []string{"withdraw"}})
	for _, c := range []struct {
		query string
		body  *Body
	}{
		{"", formBody()},
		{"", formBody("action=play")},
		{"", formBody("action=withdrawal")},
		{"", formBody("transaction=withdraw")},
		{"action=play", formBody("note=withdraw")},
	} {
		d := set.Decide(&Request{Method: "POST", Targets: [2]string{"/rpc"}, RawQuery: c.query, Body: c.body})
		if len(d.Rules) > 0 || d.Ask || !d.Near || d.Refuse != "" {
			t.Errorf("?%s with %+v = %s, ask %v, want near", c.query, c.body, describe(d), d.Ask)
		}
	}
}

func TestTheBodyIsAskedForOnlyWhereItDecides(t *testing.T) {
	set := mustCompile(t,
		Rule{Name: "rpc", Paths: []string{"/rpc"}, Methods: []string{"POST"}, Conditions: []Condition{{InForm, "action", []string{"withdraw"}}}},
		Rule{Name: "graph", Paths: []string{"/graphql"}, Conditions: []Condition{{InGraphQL, "mutation", []string{"withdraw"}}}},
		Rule{Name: "put", Paths: []string{"/phone"}, Methods: []string{"PUT"}},
		Rule{Name: "other_host", Paths: []string{"/rpc"}, Hosts: []string{"api.example"}, Conditions: []Condition{{InJSON, "a", []string{"b"}}}},
	)
	formType := map[string][]string{"Content-Type": {"application/x-www-form-urlencoded"}}
	for _, c := range []struct {
		method, path, query string
		header              map[string][]string
		ask, graphQL        bool
	}{
		{"POST", "/rpc", "", formType, true, false},
		{"POST", "/rpc", "action=withdraw", formType, false, false}, // the query has decided
		{"GET", "/rpc", "", nil, false, false},
		{"GET", "/graphql", "query={me}", nil, true, true},
		{"POST", "/graphql", "", nil, true, true},
		{"POST", "/phone", "", formType, true, false}, // _method
		{"POST", "/phone", "", map[string][]string{"Content-Type": {"image/png"}}, false, false},
		{"GET", "/phone", "", formType, true, false},
		{"GET", "/phone", "", nil, false, false},
		{"POST", "/phone", "", nil, true, false},
		{"PUT", "/phone", "", formType, false, false},
		{"POST", "/games", "", formType, false, false},
	} {
		d := set.Decide(&Request{Method: c.method, Host: "casino.example", Targets: [2]string{c.path}, RawQuery: c.query, Header: c.header})
		if d.Ask != c.ask || d.AskGraphQL != c.graphQL {
			t.Errorf("%s %s?%s: ask %v, GraphQL %v, want %v, %v", c.method, c.path, c.query, d.Ask, d.AskGraphQL, c.ask, c.graphQL)
		}
	}
}

// I1: a method in the body counts as one in the request line does.
func TestInvariantI1AMethodInTheBodyCounts(t *testing.T) {
	set := methodSet(t)
	formType := map[string][]string{"Content-Type": {"application/x-www-form-urlencoded"}}
	for _, c := range []struct {
		body *Body
		rule string
	}{
		{formBody("_method=PUT"), "phone"},
		{formBody("_method=delete "), "phone"},
		{formBody(".method=PUT"), "phone"},
		{formBody("%5fmethod=PUT"), "phone"},
		{formBody("_method[]=PUT"), "phone"},
		{formBody("_METHOD=patch", "_method=put"), "phone"},
		{formBody("X-HTTP-Method-Override=PUT"), "phone"},
		{jsonBody("_method=PUT"), "phone"},
		{jsonBody("_method={}"), "phone"},
		{unclear(UnclearCharset), "phone"},
		{formBody("_method=PATCH"), ""},
		{formBody("method=PUT"), ""},
		{formBody(), ""},
	} {
		d := set.Decide(&Request{Method: "POST", Targets: [2]string{"/phone"}, Header: formType, Body: c.body})
		if Require(d.Rules).Name() != c.rule || d.Ask {
			t.Errorf("POST /phone with %+v = %s, want rule %+v", c.body, describe(d), c.rule)
		}
	}
}

func TestConditionsOfAllPlaces(t *testing.T) {
	roots := func(roots ...string) *Body {
		body := &Body{}
		for _, r := range roots {
			operation, field, _ := strings.Cut(r, " ")
			body.GraphQL.Roots = append(body.GraphQL.Roots, Root{operation, field})
		}
		return body
	}
	header := func(values ...string) map[string][]string { return map[string][]string{"Next-Action": values} }
	for _, c := range []struct {
		condition Condition
		query     string
		header    map[string][]string
		body      *Body
		met       bool
	}{
		{Condition{InQuery, "tab", []string{"security"}}, "tab=security", nil, formBody(), true},
		{Condition{InQuery, "tab", []string{"security"}}, "tab=games", nil, formBody(), false},
		{Condition{InQuery, "user.id", []string{"*"}}, "user_id=7", nil, formBody(), true},
		{Condition{InJSON, "call.method", []string{"withdraw"}}, "", nil, jsonBody("call={}", "call.method=withdraw"), true},
		{Condition{InJSON, "call.method", []string{"withdraw"}}, "", nil, formBody("call[method]=withdraw"), true},
		{Condition{InJSON, "call.method", []string{"withdraw"}}, "", nil, jsonBody("call={}", "call.method=play"), false},
		{Condition{InJSON, "type", []string{"1"}}, "", nil, jsonBody("type=1.0"), true},
		{Condition{InJSON, "type", []string{"1"}}, "", nil, jsonBody("type=01"), true},
		{Condition{InJSON, "type", []string{"1"}}, "", nil, jsonBody("type=2"), false},
		{Condition{InHeader, "Next-Action", []string{"7f3a"}}, "", header("7F3A"), nil, true},
		{Condition{InHeader, "next-action", []string{"7f3a"}}, "", header("x", "7f3a"), nil, true},
		{Condition{InHeader, "Next-Action", []string{"7f3a"}}, "", header("x, 7f3a"), nil, true},
		{Condition{InHeader, "Next-Action", []string{"7f3a"}}, "", header("x"), nil, false},
		{Condition{InHeader, "Next-Action", []string{"*"}}, "", nil, nil, false},
		{Condition{InGraphQL, "mutation", []string{"withdraw"}}, "", nil, roots("query me", "mutation withdraw"), true},
		{Condition{InGraphQL, "mutation", []string{"withdraw*"}}, "", nil, roots("mutation withdrawAll"), true},
		{Condition{InGraphQL, "mutation", []string{"withdraw"}}, "", nil, roots("query withdraw"), false},
		{Condition{InGraphQL, "query", []string{"*"}}, "", nil, roots("query me"), true},
		{Condition{InGraphQL, "mutation", []string{"withdraw"}}, "", nil, &Body{GraphQL: GraphQL{Unclear: UnclearPersisted}}, true},
		{Condition{InGraphQL, "mutation", []string{"withdraw"}}, "", nil, unclear(UnclearUnread), true},
	} {
		set := rpcSet(t, c.condition)
		d := set.Decide(&Request{Method: "POST", Targets: [2]string{"/rpc"}, RawQuery: c.query, Header: c.header, Body: c.body})
		if got := len(d.Rules) == 1; got != c.met || d.Ask {
			t.Errorf("%s: ?%s %v %+v: met %v, ask %v, want %v", c.condition, c.query, c.header, c.body, got, d.Ask, c.met)
		}
	}
}

// I2: all conditions have to be met, and an unclear body meets all that ask it.
func TestConditionsNarrowTogether(t *testing.T) {
	set := mustCompile(t, Rule{
		Name: "withdrawal", Paths: []string{"/rpc"}, Hosts: []string{"casino.example"},
		Conditions: []Condition{{InForm, "module", []string{"wallet"}}, {InForm, "action", []string{"withdraw"}}},
	})
	for _, c := range []struct {
		host string
		body *Body
		met  bool
	}{
		{"casino.example", formBody("module=wallet", "action=withdraw"), true},
		{"casino.example", formBody("module=wallet", "action=play"), false},
		{"casino.example", formBody("module=games", "action=withdraw"), false},
		{"casino.example", unclear(UnclearType), true},
		{"other.example", unclear(UnclearType), false},
	} {
		d := set.Decide(&Request{Method: "POST", Host: c.host, Targets: [2]string{"/rpc"}, Body: c.body})
		if got := len(d.Rules) == 1; got != c.met {
			t.Errorf("%s %+v: met %v, want %v", c.host, c.body, got, c.met)
		}
	}
}

func TestInvariantI1AHostIsFoundUnderEverySpelling(t *testing.T) {
	set := mustCompile(t, Rule{Name: "r", Paths: []string{"/x"}, Hosts: []string{"Casino.example", "*.wallet.example"}})
	for _, c := range []struct {
		host   string
		header map[string][]string
		met    bool
	}{
		{"casino.example", nil, true},
		{"CASINO.EXAMPLE:8443", nil, true},
		{"casino.example.", nil, true},
		{"casino.example.:80", nil, true},
		{"id.wallet.example", nil, true},
		{"", nil, true},
		{"wallet.example", nil, false},
		{"evilcasino.example", nil, false},
		{"[::1]:80", nil, false},
		{"other.example", map[string][]string{"X-Forwarded-Host": {"casino.example"}}, true},
		{"other.example", map[string][]string{"X-Forwarded-Host": {"a.example, casino.example:443"}}, true},
		{"other.example", map[string][]string{"Forwarded": {`for=192.0.2.1;HOST="casino.example"`}}, true},
		{"other.example", map[string][]string{"Forwarded": {`for=192.0.2.1;proto=https`}}, false},
	} {
		d := set.Decide(&Request{Method: "GET", Host: c.host, Targets: [2]string{"/x"}, Header: c.header})
		if got := len(d.Rules) == 1; got != c.met {
			t.Errorf("host %q %v: met %v, want %v", c.host, c.header, got, c.met)
		}
	}
}

// I2: a rule for large amounts applies unless the amount is certainly small.
func TestInvariantI2AnAmountThatIsNotCertainlySmallIsLarge(t *testing.T) {
	set := mustCompile(t, Rule{
		Name: "large", Paths: []string{"/withdraw"}, Amounts: []Amount{{FromJSON, "amount", ">", "1000000"}},
	})
	for _, c := range []struct {
		query string
		body  *Body
		met   bool
	}{
		{"", jsonBody("amount=999999"), false},
		{"", jsonBody("amount=1000000"), false},
		{"", jsonBody("amount=1000001"), true},
		{"", jsonBody("amount=0"), false},
		{"", formBody("amount=500"), false},
		{"amount=500", formBody(), false},
		{"", jsonBody("amount=1.50"), false},
		{"", jsonBody("amount=999999.99"), true}, // without its point it is large
		{"", jsonBody("amount=1000.000"), false},
		{"", jsonBody("amount=2000.000"), true},
		{"", jsonBody("amount=1e9"), true},
		{"", jsonBody("amount=0x10"), true},
		{"", jsonBody("amount=010"), true},
		{"", jsonBody("amount=-5"), true},
		{"", jsonBody("amount=1,5"), true},
		{"", jsonBody("amount= 5"), true},
		{"", jsonBody("amount=5 000 000"), true},
		{"", jsonBody("amount=٥"), true},
		{"", jsonBody("amount="), true},
		{"", jsonBody("amount=null"), true},
		{"", jsonBody("amount=99999999999999999999999999999999"), true},
		{"", jsonBody("amount={}"), true},
		{"", jsonBody("amount={}", "amount=5"), true},
		{"", formBody("amount[]=5"), true},
		{"", jsonBody("amount=5", "amount=5"), true},
		{"", jsonBody("amount=5", "Amount=6"), true},
		{"amount=5", jsonBody("amount=5"), true},
		{"", jsonBody("sum=5"), true},
		{"", formBody(), true},
		{"", unclear(UnclearTooLarge), true},
	} {
		d := set.Decide(&Request{Method: "POST", Targets: [2]string{"/withdraw"}, RawQuery: c.query, Body: c.body})
		if got := len(d.Rules) == 1; got != c.met || d.Ask {
			t.Errorf("?%s %+v: applies %v, ask %v, want %v", c.query, c.body, got, d.Ask, c.met)
		}
	}
}

func TestAmountsCompareAsWritten(t *testing.T) {
	for _, c := range []struct {
		operator, value string
		met             bool
	}{
		{">", "10", false}, {">", "11", true}, {">=", "10", true}, {">=", "9", false},
		{"<", "10", false}, {"<", "9", true}, {"<=", "10", true}, {"<=", "11", false},
		{"<", "10.5", true /* or 105 */}, {"<=", "9.5", true},
	} {
		a := Amount{FromForm, "n", c.operator, "10"}
		if c.value == "10.5" {
			c.met = false // neither 10.5 nor 105 is below 10
		}
		f := &facts{req: &Request{Body: formBody("n=" + c.value)}}
		if got := a.holds(f) == yes; got != c.met {
			t.Errorf("%s with %s: %v, want %v", a, c.value, got, c.met)
		}
	}
}

// I2: only a request that is spelled plainly, and exactly as the exemption says,
// is exempt.
func TestInvariantI2NoSpellingWinsAnExemption(t *testing.T) {
	set := mustCompile(t, Rule{Name: "wallet", Paths: []string{"/wallet/*"}, ExceptPaths: []string{"/wallet/quote", "/wallet/help/*"}})
	for _, path := range []string{"/wallet/quote", "/wallet/help/", "/wallet/help/fees"} {
		if d := decidePath(set, "GET", path); len(d.Rules) > 0 || d.Refuse != "" {
			t.Errorf("Decide(%q) = %s, want exempt", path, describe(d))
		}
	}
	for _, c := range []struct {
		targets [2]string
		query   string
		header  map[string][]string
	}{
		{targets: [2]string{"/wallet/withdraw"}},
		{targets: [2]string{"/wallet/Quote"}},
		{targets: [2]string{"/wallet/quote/"}},
		{targets: [2]string{"/wallet/quote.json"}},
		{targets: [2]string{"/wallet/quotes"}},
		{targets: [2]string{"/wallet/help"}},
		{targets: [2]string{"/wallet/help/../withdraw"}},
		{targets: [2]string{"/wallet/help/..%2fwithdraw"}},
		{targets: [2]string{"/wallet/help/..;/withdraw"}},
		{targets: [2]string{"/wallet/help//x"}},
		{targets: [2]string{"/wallet/help;x/y"}},
		{targets: [2]string{"/wallet/withdraw/..%2fquote"}},
		{targets: [2]string{"/wallet/quot%65"}},
		{targets: [2]string{"/wallet/quote", "/wallet/withdraw"}},
		{targets: [2]string{"/wallet/withdraw", "/wallet/quote"}},
		{targets: [2]string{"/wallet/quote"}, header: map[string][]string{"X-Original-Url": {"/wallet/withdraw"}}},
		{targets: [2]string{"/wallet/quote"}, header: map[string][]string{"X-Rewrite-Url": {"/x/../y"}}},
		{targets: [2]string{"/wallet/help/index.php"}, query: "s=/wallet/withdraw"},
	} {
		d := set.Decide(&Request{Method: "GET", Targets: c.targets, RawQuery: c.query, Header: c.header})
		if !protectedBy(d, "wallet") {
			t.Errorf("Decide(%q ?%s %v) = %s, want the rule", c.targets, c.query, c.header, describe(d))
		}
	}
}

func TestInvariantI2OnlyARequestOfNoOtherMethodIsExempt(t *testing.T) {
	set := mustCompile(t, Rule{Name: "wallet", Paths: []string{"/wallet/*"}, ExceptMethods: []string{"GET", "HEAD", "OPTIONS"}})
	for _, c := range []struct {
		method, query string
		header        map[string][]string
		exempt        bool
	}{
		{"GET", "", nil, true},
		{"HEAD", "", nil, true},
		{"POST", "", nil, false},
		{"FOO", "", nil, false},
		{"get", "", nil, false},
		{"CONNECT", "", nil, false},
		{"GET", "_method=POST", nil, false},
		{"GET", "_method=HEAD", nil, true},
		{"GET", "", map[string][]string{"X-Http-Method-Override": {"DELETE"}}, false},
	} {
		d := set.Decide(&Request{Method: c.method, Targets: [2]string{"/wallet/x"}, RawQuery: c.query, Header: c.header})
		if got := len(d.Rules) == 0 && !d.Ask; got != c.exempt {
			t.Errorf("%s ?%s %v: exempt %v, want %v", c.method, c.query, c.header, got, c.exempt)
		}
	}
}

func TestAStarInTheMiddleStandsForOneSegment(t *testing.T) {
	set := mustCompile(t,
		Rule{Name: "transfer", Paths: []string{"/users/*/transfer", "/api/*/payouts*"}},
		Rule{Name: "mine", Paths: []string{"/users/me/transfer"}},
		Rule{Name: "any", Paths: []string{"/*/export"}},
	)
	for path, want := range map[string]string{
		"/users/7/transfer":                 "transfer",
		"/users/me/transfer":                "transfer+mine",
		"/users/7/transfer/":                "transfer",
		"/users/7/transfer.json":            "transfer",
		"/USERS/a%2fb/Transfer":             "transfer",
		"/users/7;x/transfer":               "transfer",
		"/users/x/../7/transfer":            "transfer",
		"/users//transfer":                  "transfer",
		"/api/v2/payouts":                   "transfer",
		"/api/v2/payouts/7":                 "transfer",
		"/api/v2/payoutsettings":            "transfer",
		"/games/export":                     "any",
		"/users/7/8/transfer":               "",
		"/users/transfer":                   "",
		"/users/7/transfers":                "",
		"/users/7":                          "",
		"/a/b/export":                       "",
		"/api/payouts":                      "",
		strings.Repeat("/users", 200) + "/": "",
	} {
		if d := decidePath(set, "POST", path); Require(d.Rules).Name() != want || d.Refuse != "" {
			t.Errorf("Decide(%q) = %s, want %q", path, describe(d), want)
		}
	}
}

func TestCompileSaysWhatIsWrongWithConditions(t *testing.T) {
	rule := func(change func(*Rule)) Rule {
		r := Rule{Name: "r", Paths: []string{"/ok"}}
		change(&r)
		return r
	}
	condition := func(c Condition) Rule { return rule(func(r *Rule) { r.Conditions = []Condition{c} }) }
	amount := func(a Amount) Rule { return rule(func(r *Rule) { r.Amounts = []Amount{a} }) }
	for _, c := range []struct {
		rule Rule
		want string
	}{
		{condition(Condition{"cookie", "a", []string{"b"}}), `condition "cookie a b" looks in "cookie", which is not known: write query, form, json, header or graphql`},
		{condition(Condition{InForm, "", []string{"b"}}), `condition "form  b" names no parameter: write its name and a value, such as form action withdraw`},
		{condition(Condition{InForm, "a", nil}), `condition "form a " has no value: write one or more, or "*" for any`},
		{condition(Condition{InForm, "a", []string{""}}), `condition "form a " has an empty value: write "*" for any`},
		{condition(Condition{InForm, "a", []string{"b*c"}}), `condition "form a b*c" has "*" before the end of "b*c": only the last character can be one`},
		{condition(Condition{InForm, "a", []string{" b"}}), `condition "form a  b" has the value " b", which requests are never compared with: write "b"`},
		{condition(Condition{InJSON, "a..b", []string{"c"}}), `condition "json a..b c" has a JSON path with an empty name: write the names with one dot between them`},
		{condition(Condition{InHeader, "a b", []string{"c"}}), `condition "header a b c" has a name that no header can have`},
		{condition(Condition{InHeader, "host", []string{"c"}}), `condition "header host c" asks for the host: write host and its name`},
		{condition(Condition{InGraphQL, "withdraw", []string{"*"}}), `condition "graphql withdraw *" names no kind of operation: write mutation, query or subscription and the fields, such as graphql mutation withdraw`},
		{amount(Amount{"header", "a", ">", "1"}), `amount "header:a > 1" comes from "header", which is not known: write form:NAME, json:PATH or query:NAME`},
		{amount(Amount{FromForm, "", ">", "1"}), `amount "form: > 1" names no field: write one, such as form:amount`},
		{amount(Amount{FromForm, "a", "!=", "1"}), `amount "form:a != 1" compares by "!=": write one of > >= < <=`},
		{amount(Amount{FromForm, "a", ">", "1e6"}), `amount "form:a > 1e6" has the limit "1e6", which is no plain number: write digits only, such as 1000000`},
		{rule(func(r *Rule) { r.Hosts = []string{"casino.example:443"} }), `host "casino.example:443" has a port or a dot at its end, which hosts are compared without: write "casino.example"`},
		{rule(func(r *Rule) { r.Hosts = []string{"https://casino.example"} }), `host "https://casino.example" is no host: write one such as "casino.example", or "*.casino.example" for all below it`},
		{rule(func(r *Rule) { r.Hosts = []string{"{http.request.host}"} }), `host "{http.request.host}" has a placeholder, and only those of the environment are known before a request comes: write the host itself`},
		{rule(func(r *Rule) { r.Paths = []string{"/{http.request.uri}"} }), `path "/{http.request.uri}" has a placeholder, and only those of the environment are known before a request comes: write the path itself`},
		{rule(func(r *Rule) { r.Paths = []string{"/a/*/b/*/c"} }), `path "/a/*/b/*/c" has more than one segment "*": write "/a/*"`},
		{rule(func(r *Rule) { r.Paths = []string{"/a/b*c/d"} }), `path "/a/b*c/d" has "*" beside other text of a segment before its end: write "/a/b*"`},
		{rule(func(r *Rule) { r.ExceptPaths = []string{"/ok"} }), `except path "/ok" leaves nothing of the rule's path: take the path out of the rule`},
		{rule(func(r *Rule) { r.ExceptPaths = []string{"/a/*/b"} }), `except path "/a/*/b" has a segment "*": write the paths that are meant, each whole or with "*" at its end`},
		{rule(func(r *Rule) { r.ExceptPaths = []string{"/%61"} }), `except: path "/%61" is percent-encoded: write "/a"`},
		{rule(func(r *Rule) { r.ExceptMethods, r.Methods = []string{"GET"}, []string{"POST"} }), `method and except method stand in one rule: write one of them`},
		{rule(func(r *Rule) { r.ExceptMethods = []string{"get"} }), `except method "get" is not a method in capitals: write one such as "GET", each on its own`},
	} {
		_, err := Compile([]Rule{c.rule})
		if want := fmt.Sprintf("compiling rule %q: %s", "r", c.want); err == nil || err.Error() != want {
			t.Errorf("Compile(%+v)\n got %v\nwant %s", c.rule, err, want)
		}
	}
}
