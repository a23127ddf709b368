// Package challengepages renders the pages that a player meets: the challenge
// that interrupts a request, what became of it, the security settings, the two
// set-ups and the recovery key. A view model goes in, a whole HTML document
// comes out. It also writes the text of the SMS that carries a code, because
// both must say the same thing about the same request.
//
// # Invariants
//
//   - Rendering is pure: the same [Page] in the same [Lang] gives the same bytes.
//     It reads no clock, so a page that counts down is told the time in its Now.
//   - Everything works without JavaScript. The script adds WebOTP, countdowns,
//     copying, printing and saving, and nothing else.
//   - Every value that came from a request is untrusted, also towards the reader:
//     it is escaped, isolated (<bdi>) and robbed of control, bidirectional and
//     invisible characters, so that a payee's name can neither become markup nor
//     reorder the sentence around it (Trojan Source, CVE-2021-42574).
//   - A page needs no second request: style, script, logo and QR code are inlined,
//     and [Renderer.CSP] allows exactly these by their hashes.
//   - No page says that an SMS was delivered: only that it was sent, which is all
//     that anybody here can know. And none says why an SMS could not be sent.
//   - No text of ours says what kind of site it is. Mobile networks filter such
//     texts, and the person reading over the player's shoulder need not know.
//
// # Languages
//
// All that the pages know of a language is in its catalogue, messages/<tag>.toml,
// named by its BCP 47 tag: how it writes numbers and times under [language], its
// texts under [messages]. A new language needs no Go code. A text is plain, with
// placeholders in braces; values that fill them are escaped and isolated, whatever
// stands around them. One that counts may have the plural forms of its language
// (CLDR): { one = "{n} try left", other = "{n} tries left" }. Texts whose key begins
// with "text." are sent by SMS: in GSM-7, one part each, also with the longest amount
// and the line that binds the code to the site ([OriginLine]).
//
// # Overrides
//
// [Brand.Overrides] is a folder in which an operator puts files over the built-in
// ones, which [BuiltIn] gives to start from:
//
//	messages/en.toml     texts of a built-in language: those that it names change
//	messages/th.toml     another language: all texts, or fallback = "en"
//	templates/NAME.html  takes the place of the built-in file of that name
//	style.css            is added after the built-in style, as it is written
//
// Words for rules and details of the site's own have keys such as "rule.transfer",
// "lead.rule.transfer", "detail.iban" and "text.purpose.transfer"; a template of
// one's own finds further texts under "own.".
//
// [New] reads the folder once and refuses it as a whole, with file and line, if
// anything in it is unknown, empty, or other than what is filled in; if an SMS would
// not be one part; and if a page in any state and language cannot be rendered, lacks
// a form that the gate needs, has what its policy blocks, or is a challenge of more
// than ten kibibytes compressed. The folder is as trusted as the configuration: it
// can change what a page says, but not how a value is shown in it.
//
// # Accessibility
//
// The pages aim at WCAG 2.2 AA. 1.3.5: code and phone fields carry their
// autocomplete purpose. 1.4.3 and 1.4.11: every colour derived from the brand is
// computed against the surface that it stands on, in light and in dark. 1.4.10:
// no horizontal scrolling at 320 CSS pixels. 2.2.1: the time limit is part of the
// transaction's security (the essential exception); it is announced as a time of
// day and starting again is always possible. 2.4.11: nothing is fixed or sticky, so
// focus is never covered. 2.5.8: targets are at least 44 pixels high. 3.3.1: an
// error stands at its field, in words, tied to it by aria-describedby. 3.3.7:
// nothing is asked twice. 3.3.8: a code can be pasted or filled in by the browser,
// and nothing has to be solved or remembered. 4.1.3: notices are status messages,
// errors alerts.
//
// # Not here
//
// The package decides nothing: which page to show, whether a code is right, what
// status and headers go with a page are the gate's business.
package challengepages
