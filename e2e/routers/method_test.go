package routers

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"unicode/utf16"
)

// elsewhere is a method that the handlers do not answer, which something else in
// the request then replaces.
func elsewhere(method string, random *rand.Rand) string {
	for {
		if m := pick(random, "GET", "POST", "POST", "PUT", "DELETE", "PATCH"); m != method {
			return m
		}
	}
}

// overriding makes a respelling that moves the method to another place.
func overriding(name string, say func(r *request, method string, random *rand.Rand)) respelling {
	return respelling{name, func(r *request, random *rand.Rand) {
		method := r.method
		r.method = elsewhere(method, random)
		say(r, method, random)
	}}
}

// methodRespellings say the method differently.
func methodRespellings() []respelling {
	all := []respelling{
		{"the method in small letters", func(r *request, _ *rand.Rand) { r.method = strings.ToLower(r.method) }},
		{"the method as a title", func(r *request, _ *rand.Rand) { r.method = r.method[:1] + strings.ToLower(r.method[1:]) }},
		{"HEAD for GET", func(r *request, _ *rand.Rand) { r.method = strings.Replace(r.method, "GET", "HEAD", 1) }},
		{"GET with a body", func(r *request, _ *rand.Rand) { r.method = "GET" }},
		{"another method", func(r *request, random *rand.Rand) { r.method = elsewhere(r.method, random) }},
		{"OPTIONS", func(r *request, _ *rand.Rand) { r.method = "OPTIONS" }},
		{"TRACE", func(r *request, _ *rand.Rand) { r.method = "TRACE" }},
		{"CONNECT", func(r *request, _ *rand.Rand) { r.method = "CONNECT" }},
		{"QUERY", func(r *request, _ *rand.Rand) { r.method = "QUERY" }},
		{"an unknown method", func(r *request, _ *rand.Rand) { r.method = "X" + r.method }},
		{"a space before the method", func(r *request, _ *rand.Rand) { r.method = " " + r.method }},
		{"a byte behind the method", func(r *request, random *rand.Rand) { r.method += pick(random, "\x00", "\t", "%20", ";", "/", "\x0b") }},
	}
	for _, name := range []string{
		"X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "x-http-method-override", "X_HTTP_Method_Override", "X-HTTP_Method-Override", "X_Method_Override",
		"X.HTTP.Method.Override", "X-HTTP-Method-Override ", "X-Original-Method", "X-Forwarded-Method", "X-Rewrite-Method", "Method", "_method", "X-Method", "REQUEST_METHOD",
	} {
		all = append(all, overriding("the method in the header "+name, func(r *request, method string, random *rand.Rand) {
			method = pick(random, method, method, strings.ToLower(method), " "+method+" ", method+", GET", "GET, "+method)
			r.header = append(r.header, name+": "+method)
		}))
	}
	all = append(all,
		overriding("the method in two headers", func(r *request, method string, _ *rand.Rand) {
			r.header = append(r.header, "X-HTTP-Method-Override: GET", "X-HTTP-Method-Override: "+method)
		}),
		overriding("the method in a folded header", func(r *request, method string, _ *rand.Rand) {
			r.header = append(r.header, "X-HTTP-Method-Override:", " "+method)
		}))
	for _, name := range []string{
		"_method", "_METHOD", "_Method", "%5fmethod", "_%6dethod", ".method", "+method", "%20method", "[method", "_method[]", "_method[0]", "_method%00", "_method%00x", "+_method", "%20_method",
		"%09_method", "%00_method", "_method ", "X-HTTP-Method-Override", "x_http_method_override", "X-HTTP-Method", "method", "_HttpMethod", "httpMethod", "__method", "%25%35fmethod", "%u005fmethod", "_m%c0%a5thod",
	} {
		all = append(all, overriding("the method in the query as "+name, func(r *request, method string, random *rand.Rand) {
			method = pick(random, method, method, strings.ToLower(method), "+"+method, method+"%20", method+"%00", fmt.Sprintf("%%%02x", method[0])+method[1:])
			r.query += joiner(r.query, random) + name + "=" + method
		}))
	}
	return append(all,
		overriding("the method in the query behind another", func(r *request, method string, _ *rand.Rand) { r.query = "?_method=GET&_method=" + method }),
		overriding("the method in the query before another", func(r *request, method string, _ *rand.Rand) { r.query = "?_method=" + method + "&_method=GET" }),
		overriding("the method behind a semicolon", func(r *request, method string, _ *rand.Rand) { r.query = "?a=b;_method=" + method }),
		overriding("the method behind a broken pair", func(r *request, method string, _ *rand.Rand) { r.query = "?%zz&=&a;b&_method=" + method }),
		overriding("the method in a second query", func(r *request, method string, _ *rand.Rand) { r.query = "?x=y?_method=" + method }),
		overriding("the method behind many pairs", func(r *request, method string, _ *rand.Rand) {
			r.query = "?" + strings.Repeat("a=b&", 300) + "_method=" + method
		}))
}

func joiner(query string, random *rand.Rand) string {
	if query == "" {
		return "?"
	}
	return pick(random, "&", "&", "&&", ";")
}

// claiming makes a respelling that says the method in a body of the given type.
func claiming(name, kind string, body func(method string, random *rand.Rand) string) respelling {
	return overriding("the method in "+name, func(r *request, method string, random *rand.Rand) {
		if random.IntN(5) > 0 {
			r.method = "POST"
		}
		r.kind = nil
		if kind != "" {
			r.kind = []string{"Content-Type: " + kind}
		}
		r.body = body(method, random)
	})
}

const (
	formType  = "application/x-www-form-urlencoded"
	multipart = "--x\r\nContent-Disposition: form-data; %s\r\n\r\n%s\r\n--x--\r\n"
)

// bodyRespellings say the method in the body.
func bodyRespellings() []respelling {
	form := func(method string, random *rand.Rand) string {
		name := pick(random, "_method", "_method", "_method", "%5fmethod", "_METHOD", ".method", "_method[]", "_method[0]", "+_method", "X-HTTP-Method-Override")
		return pick(random, "", "amount=1&", "_method=GET&", "a;", "%zz&") + name + "=" + pick(random, method, method, strings.ToLower(method)) + pick(random, "", "", "&_method=GET", "&x=y")
	}
	json := func(method string, random *rand.Rand) string {
		name := pick(random, `_method`, `_method`, `\u005fmethod`, `_meth\u006fd`, `_METHOD`)
		shape := pick(random, `{"amount":1,"%s":"%s"}`, `{"_method":"GET","%s":"%s"}`, `{"%s":"%s","x":{}}`, " {\"%s\":\n\"%s\"}", `{"%s":"%s"}x`, `{"x":{"_method":"GET"},"%s":"%s"}`)
		return fmt.Sprintf(shape, name, pick(random, method, method, strings.ToLower(method), `\u00`+fmt.Sprintf("%02x", method[0])+method[1:]))
	}
	parts := func(method string, random *rand.Rand) string {
		return fmt.Sprintf(multipart, pick(random, `name="_method"`, `name=_method`, `NAME="_method"`, `name="_method"; x=y`, `name*=utf-8''_method`, `name="x"; name="_method"`), method)
	}
	all := []respelling{
		claiming("a form without a type", "", form),
		claiming("a form under two types", "application/json\r\nContent-Type: "+formType, form),
		claiming("a form under two types, itself first", formType+"\r\nContent-Type: application/json", form),
		claiming("multipart", "multipart/form-data; boundary=x", parts),
		claiming("multipart in capitals", `MULTIPART/FORM-DATA; BOUNDARY="x"`, parts),
		claiming("multipart of another kind", "multipart/mixed; boundary=x", parts),
		claiming("JSON in UTF-16", "application/json; charset=utf-16", func(method string, random *rand.Rand) string { return wide(json(method, random)) }),
		claiming("a form in UTF-16", formType+"; charset=utf-16", func(method string, random *rand.Rand) string { return wide(form(method, random)) }),
		claiming("JSON behind a mark", "application/json", func(method string, random *rand.Rand) string { return "\ufeff" + json(method, random) }),
		claiming("JSON in a list", "application/json", func(method string, random *rand.Rand) string { return "[" + json(method, random) + "]" }),
	}
	for _, kind := range []string{formType, formType + "; charset=utf-8", strings.ToUpper(formType), formType + ";", formType + ", text/plain", "text/plain", "application/octet-stream", " " + formType, formType + "\t; x"} {
		all = append(all, claiming("a form as "+kind, kind, form))
	}
	for _, kind := range []string{"application/json", "application/json; charset=utf-8", "APPLICATION/JSON", "text/json", "application/vnd.api+json", "application/json, text/plain", "text/plain", formType} {
		all = append(all, claiming("JSON as "+kind, kind, json))
	}
	for _, kind := range []string{formType, "application/json"} {
		all = append(all, claiming("a compressed "+kind, kind+"\r\nContent-Encoding: gzip", func(method string, random *rand.Rand) string {
			if kind == formType {
				return zipped(form(method, random))
			}
			return zipped(json(method, random))
		}))
	}
	return all
}

func wide(s string) string {
	var b strings.Builder
	for _, c := range utf16.Encode([]rune(s)) {
		b.Write([]byte{byte(c), byte(c >> 8)})
	}
	return b.String()
}

func zipped(s string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write([]byte(s))
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		panic(err) // a buffer takes all
	}
	return b.String()
}

// routing makes a respelling that moves the path to another place of the request.
func routing(name string, say func(r *request, path string, random *rand.Rand)) respelling {
	return respelling{name, func(r *request, random *rand.Rand) {
		path := r.path
		r.path = pick(random, "/", "/", "/", "/index.php", "/index.php/", "/x", "/wallet/")
		say(r, path, random)
	}}
}

// routeRespellings say the path where front controllers and servers behind a
// rewriting proxy look for it.
func routeRespellings() []respelling {
	var all []respelling
	for _, name := range []string{
		"X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Uri", "X-Original-URI", "X-Forwarded-Path", "X-Original-Path", "X-Forwarded-Prefix", "X-Script-Name", "X-Envoy-Original-Path",
		"X_Original_URL", "X_Rewrite_URL", "X-Original_URL", "x-original-url", "X-Forwarded_Uri", "X-Http-Path-Override", "X-Override-URL", "X-Waws-Unencoded-Url", "Unencoded-Url", "X-Request-Uri",
		"Request-Uri", "PATH_INFO", "X-Path-Info", "Orig-Path-Info", "X-Accel-Redirect", "X-Sendfile", "Destination", "Referer", "Content-Location",
	} {
		all = append(all, routing("the path in the header "+name, func(r *request, path string, random *rand.Rand) {
			r.header = append(r.header, name+": "+pick(random, path, path, trimRoot(path), path+"?x=y", "http://localhost"+path, " "+path, path+"#x"))
		}))
	}
	for _, name := range []string{
		"route", "url", "s", "r", "q", "_url", "rest_route", "ROUTE", "Route", "%72oute", "route[]", "route[0]", "+route", "%20route", "route%00", "route%00x", "%00route", "rou%74e", "path", "page", "p", "action",
		"route.", "ur%6c", "+url", "u%72l%00",
	} {
		all = append(all, routing("the path in the query as "+name, func(r *request, path string, random *rand.Rand) {
			path = pick(random, path, path, trimRoot(path), url.QueryEscape(path), url.QueryEscape(trimRoot(path)), path+"/", "%00"+path, "+"+path, trimRoot(path)+"%20")
			r.query += joiner(r.query, random) + name + "=" + path
		}))
	}
	return append(all,
		routing("the path in the form", func(r *request, path string, random *rand.Rand) {
			r.kind, r.body = []string{formKind}, pick(random, "route=", "x=y&route=", "%72oute=", "url=", "+route=")+trimRoot(path)
		}),
		routing("the path in the parts of a form", func(r *request, path string, _ *rand.Rand) {
			r.kind, r.body = []string{"Content-Type: multipart/form-data; boundary=x"}, fmt.Sprintf(multipart, `name="route"`, trimRoot(path))
		}),
		routing("the path in a cookie", func(r *request, path string, _ *rand.Rand) {
			r.header = append(r.header, "Cookie: route="+trimRoot(path))
		}),
		routing("the path in the query behind another", func(r *request, path string, _ *rand.Rand) { r.query = "?route=home&route=" + path }),
		routing("the path in the query before another", func(r *request, path string, _ *rand.Rand) { r.query = "?route=" + path + "&route=home" }),
		routing("the path in the query behind a semicolon", func(r *request, path string, _ *rand.Rand) { r.query = "?x=y;route=" + path }),
		routing("the path alone in the query", func(r *request, path string, _ *rand.Rand) { r.query = "?" + path }),
		routing("the path in the query of a directory", func(r *request, path string, random *rand.Rand) {
			r.path, r.query = pick(random, "/games/", "/assets/x.css", "/games", "/index.php/home", "/x.php", "//", "/./", "/index.php%20", "/INDEX.PHP", "/%69ndex.php", "/index.php.", "/api"), "?route="+trimRoot(path)
		}))
}
