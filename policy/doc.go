// Package policy decides which rules apply to a request, and what they demand
// together. It is a pure function of the request's facts: it reads nothing,
// keeps no state, does no input or output, and imports the standard library
// only. What a body says is a fact too ([Body]), which a decision asks for where
// it depends on it.
//
// # What must hold
//
// A request that matches a rule is found under every spelling (I1), and
// whatever is ambiguous can only raise the requirement (I2): a request matches
// a rule when any of its readings does, and an exemption ([Rule.ExceptPaths]) is
// for requests that have one reading only and are spelled to the letter. A request
// whose readings touch no rule is left alone, however odd it looks (I12), and costs
// no allocation when it is spelled plainly.
//
// # Readings of a path
//
// The gateway cannot know how the site behind it reads a path, nor how many
// proxies stand between. So [Set.Decide] takes the path as it came and collects
// every form that the following steps lead to, in any order and any number of
// times, and compares each with the rules:
//
//	step        what a reader may do                      spelling            form
//	decode      resolve %XX and %uXXXX, again and again   /%2577allet         /wallet
//	plus        take "+" for a space                      /wallet+            /wallet
//	narrow      resolve overlong UTF-8 and full-width     /wallet%c0%afx      /wallet/x
//	            and compatibility forms of ASCII          /ｗallet            /wallet
//	drop        leave out control bytes, broken UTF-8     /wal%00let          /wallet
//	            and invisible characters                  /wal%e2%80%8blet    /wallet
//	mend        leave out a broken escape, or its "%"     /wal%zzlet          /wallet
//	backslash   take "\" for "/"                          /x\..\wallet        /x/../wallet
//	params      leave out ";…" in each segment            /x/..;a=b/wallet    /x/../wallet
//	merge       merge slashes                             //wallet            /wallet
//	resolve     resolve "." and ".."                      /x/../wallet        /wallet
//	trim        leave out spaces around each segment,     /wallet%20/x        /wallet/x
//	            or dots and spaces behind it              /wallet./x.         /wallet/x
//	format      leave out the ending of the path          /wallet.json        /wallet
//	cut         end at NUL, line end, space, "?", "#"     /wallet%00.css      /wallet
//	            or ";"                                    /wallet%3fx         /wallet
//	scheme      leave out a scheme                        http:/wallet        /wallet
//	authority   leave out scheme and host                 //host/wallet       /wallet
//	root        put "/" before a path that has none       wallet              /wallet
//	script      take a script for the resource, and what  /pay.php/x          /pay.php
//	            follows it for the path (PATH_INFO)       /index.php/wallet   /wallet
//	session     leave out the segment of a session        /(S(x))/wallet      /wallet
//	            without cookies (ASP.NET)
//	list        take the last segment for a list (RPC)    /rpc/a,b            /rpc/b
//
// Forms are compared without regard to case. That includes the characters
// outside ASCII that case mapping leads into it (U+212A to k, U+017F to s,
// U+0130 and U+0131 to i, ß to ss, ligatures to their letters). An exact path
// further matches
//
//   - with and without a slash at its end;
//   - with a format behind it: /wallet/withdraw.json and /wallet/withdraw/.json are
//     /wallet/withdraw;
//   - with the name of a directory's index behind it: /wallet/index.php,
//     /wallet/index and /wallet/default.aspx are /wallet.
//
// A path "/wallet/*" matches "/wallet" too. A "*" that is a whole segment before
// the last stands for any one segment: "/users/*/transfer".
//
// # Refusals
//
// A path is refused, not merely protected, when it touches a rule and carries
// what no honest client sends: a control byte, or an escape that is none. It
// is also refused when its readings are more than are followed (5 decodings, 96
// forms, 64 KiB of text for all paths of a request) and its decoded text holds the
// segments of a rule in their order, or is too long to tell. Odd paths that are
// nowhere near a rule go on.
//
// # Further paths and methods
//
// Some frameworks let a header, the query or the body speak for the request line.
// They count in addition, never instead:
//
//   - paths: X-Original-URL, X-Rewrite-URL, X-Forwarded-Uri; at the root, at a
//     script and at a directory's index also the parameters by which front
//     controllers route: s, r, q, url, _url, route, rest_route, path, page, and the
//     pairs of controller and action. A proxy before the gateway that sets
//     X-Forwarded-Uri truthfully changes nothing by it.
//   - methods: X-HTTP-Method-Override, X-HTTP-Method, X-Method-Override, and the
//     parameter _method (and the same names there) of the query, and of a body that
//     frameworks parse into parameters, whatever the method of the request line.
//   - HEAD counts as GET, and so does CONNECT: a WebSocket over HTTP/2 or HTTP/3
//     (RFC 8441, RFC 9220) reaches the site as GET.
//   - hosts, for rules that name some: X-Forwarded-Host and its kin, Forwarded.
//
// What is peculiar to a framework, or would cost other sites a challenge, stands in
// a table of its own: [Profiles].
//
// # What a request says beside its path
//
// A [Condition] is met when any reading of the request meets it. A parameter counts
// in the query and in the body, under any case, with or without brackets, with "."
// and " " for "_" (PHP), cut at NUL, and after further decodings; its value the
// same. A body that is not clear ([Body.Unclear]) meets every condition that asks
// it, and an [Amount] that is not certainly small is large. A condition on a header
// that is not sent, or on a parameter that nobody names, is not met: a rule should
// ask for what the site needs to act, and nothing else.
//
// # Not here
//
// Transliteration (é for e), Unicode normalisation beyond the table above, 8.3 names
// and alternate streams of Windows file systems are not followed; a site that serves
// files from such a disk must have short names turned off. What travels inside an
// established WebSocket is not seen. The policy does not know subjects, grants or
// time.
package policy
