package routers

import "net/url"

// found are spellings that have led past the gateway to a handler of some router,
// each as short as it can be. They are tried first, against every router.
func found() []spelling {
	const form, json = "Content-Type: " + formType, "Content-Type: application/json"
	var all []spelling
	add := func(why, handler, method, target string, body string, header ...string) {
		r := sensitive(handler, false)
		r.method, r.body, r.kind, r.header = method, body, nil, header
		r.path, r.query = target, ""
		all = append(all, spelling{handler, why, r})
	}

	// PHP strips blanks before a parameter's name and ends it at NUL.
	for _, name := range []string{"+_method", "%20_method", "_method%00", "_method%00x"} {
		add("the name of a parameter as PHP reads it", "transfer", "PATCH", "/api/users/7/transfer?"+name+"=POST", "")
	}
	for _, name := range []string{"+route", "%20route", "route%00", "route%00x", "+url", "url%00"} {
		add("the name of a parameter as PHP reads it", "export", "GET", "/?"+name+"=account/export", "")
	}

	// A site that leaves the format out is left with the slash before it.
	add("a format and nothing else", "phone", "PUT", "/account/phone/.json", "a=b", form)

	// method-override takes the first of a list.
	for _, name := range []string{"X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"} {
		add("a list of methods in a header", "transfer", "PATCH", "/api/users/7/transfer", "", name+": POST, GET")
		add("a list of methods in a header", "phone", "GET", "/account/phone", "", name+": put,")
	}

	// Behind rewrite rules a front controller answers every path.
	for _, path := range []string{"/x", "/games", "/wallet/", "/http:/", "/x/x%2f..", "/api"} {
		add("a route in the query of any path", "export", "GET", path+"?route=account/export", "")
		add("a route in the query of any path", "withdraw", "POST", path+"?route=home&route=wallet/withdraw", "a=b", form)
	}

	// $_REQUEST holds the form as well as the query.
	for _, path := range []string{"/", "/x", "/index.php"} {
		add("a route in the form", "withdraw", "POST", path, "amount=1&route=wallet/withdraw", form)
		add("a route in the form", "withdraw", "POST", path, "%72oute="+url.QueryEscape("/wallet/withdraw"), form)
		add("a route in the parts of a form", "withdraw", "POST", path,
			"--x\r\nContent-Disposition: form-data; name=\"route\"\r\n\r\nwallet/withdraw\r\n--x--\r\n", "Content-Type: multipart/form-data; boundary=x")
	}

	// Some middlewares take the method from the body of any request, and all from
	// bodies that are compressed or in another character encoding.
	for _, method := range []string{"PUT", "PATCH", "DELETE", "GET"} {
		add("the method in the body of "+method, "withdraw", method, "/wallet/withdraw", "_method=POST", form)
		add("the method in the body of "+method, "withdraw", method, "/wallet/withdraw", `{"_method":"POST"}`, json)
	}
	for _, method := range []string{"POST", "PATCH"} {
		handler, claim, path := "phone", `{"_method":"PUT"}`, "/account/phone"
		if method != "POST" {
			handler, claim, path = "withdraw", `{"_method":"POST"}`, "/wallet/withdraw"
		}
		add("the method in a compressed body", handler, method, path, zipped(claim), json, "Content-Encoding: gzip")
		add("the method in UTF-16", handler, method, path, wide(claim), json+"; charset=utf-16")
		add("the method behind a mark", handler, method, path, "\ufeff"+claim, json)
	}
	return all
}
