package sites

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const (
	phpBudi = "+6281234567821"
	phpSari = "+6281234567822"
)

// phpSite is the folder of the site in PHP.
type phpSite string

// startPHP runs the site in PHP and a gateway in front of it.
func startPHP(t *testing.T) (*gateway, phpSite) {
	t.Helper()
	address, site := runPHP(t)
	return start(t, "phpsite", address), site
}

// startPHPWith is startPHP with more lines in the gateway's step_up block.
func startPHPWith(t *testing.T, lines string) (*gateway, phpSite) {
	t.Helper()
	text, err := os.ReadFile("../../examples/phpsite/Caddyfile")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "Caddyfile")
	const before = "\t\tprofile php\n"
	if err := os.WriteFile(file, []byte(strings.Replace(string(text), before, before+lines, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	address, site := runPHP(t)
	return startWith(t, file, address), site
}

// runPHP runs the site in PHP and returns where.
func runPHP(t *testing.T) (string, phpSite) {
	t.Helper()
	php, err := exec.LookPath("php")
	switch {
	case err == nil:
	case os.Getenv("CI") == "true":
		t.Fatal("no PHP: install it (Debian: apt-get install php-cli)")
	default:
		t.Skip("no PHP: install it (Debian: apt-get install php-cli)")
	}
	address, data := freeAddress(t), t.TempDir()
	cmd := exec.Command(php, "-q", "-S", address, "-t", "../../examples/phpsite/public")
	cmd.Env = append(os.Environ(), "PHPSITE_DATA="+data)
	var printed strings.Builder
	cmd.Stdout, cmd.Stderr = &printed, &printed
	runs(t, cmd, address, printed.String)
	return address, phpSite(data)
}

// ledger returns the amounts of a player's withdrawals.
func (s phpSite) ledger(t *testing.T, player string) []int64 {
	t.Helper()
	text, _ := os.ReadFile(filepath.Join(string(s), "ledger-"+player+".txt"))
	var amounts []int64
	for line := range strings.Lines(string(text)) {
		amount, err := strconv.ParseInt(strings.Split(line, "\t")[1], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		amounts = append(amounts, amount)
	}
	return amounts
}

// phpLogin logs in, in the session that the browser has.
func (b *browser) phpLogin(player string) {
	b.t.Helper()
	b.post("/login.php", "username", player, "password", "rahasia").want(http.StatusSeeOther, "/withdraw.php")
}

func TestPHPWithdrawalIsReleasedOnceAfterACode(t *testing.T) {
	g, site := startPHP(t)
	b := g.browser()
	b.get("/withdraw.php").want(http.StatusSeeOther, "/login.php")
	b.post("/withdraw.php", "amount", "1000", "account", "BCA 1").want(http.StatusSeeOther, "/login.php")
	b.phpLogin("budi")
	challenge := b.post("/withdraw.php", "amount", "2500000", "account", "BCA 1").challenge()
	wantLedger(t, site.ledger(t, "budi"))
	code := g.code(phpBudi, 1)
	b.solve("/withdraw.php", challenge, code).want(http.StatusSeeOther, "/withdraw.php")
	wantLedger(t, site.ledger(t, "budi"), 2_500_000)
	b.solve("/withdraw.php", challenge, code)
	b.post("/withdraw.php", "amount", "2500000", "account", "BCA 1").challenge()
	wantLedger(t, site.ledger(t, "budi"), 2_500_000)
}

// The attack: whoever uses the computer after budi, or got him to use a session id of
// their own, has his cookies, his grant among them, and logs in as somebody else under
// the same id. The gateway still remembers whose the id was.
func TestPHPSessionOfTheNextPlayerIsKnownAtOnce(t *testing.T) {
	for about, leave := range map[string]func(*browser){
		"after a logout":   func(b *browser) { b.get("/logout.php").want(http.StatusSeeOther, "/login.php") },
		"without a logout": func(*browser) {},
	} {
		t.Run(about, func(t *testing.T) {
			t.Parallel()
			g, site := startPHP(t)
			b := g.browser()
			b.phpLogin("budi")
			id := b.cookie("PHPSESSID")
			// budi gets a grant, and the gateway has looked at his session just now.
			challenge := b.get("/email.php").challenge()
			b.solve("/email.php", challenge, g.code(phpBudi, 1)).want(http.StatusSeeOther, "/email.php")
			if page := b.get("/email.php").want(http.StatusOK); !strings.Contains(page.contents, "budi@example.com") {
				t.Fatalf("budi does not see his address:\n%s", page.contents)
			}
			b.post("/email.php", "email", "new@example.com").want(http.StatusSeeOther, "/email.php")
			b.get("/email.php").want(http.StatusOK)

			leave(b)
			b.phpLogin("sari")
			if got := b.cookie("PHPSESSID"); got != id {
				t.Fatalf("the session is %q and was %q: the site is not the one that this test is about", got, id)
			}
			// What only reads goes first: nothing but the login has told the gateway.
			hers := b.get("/email.php").challenge()
			code := g.code(phpSari, 1)
			b.post("/email.php", "email", "thief@example.com").challenge()
			b.post("/withdraw.php", "amount", "9000000", "account", "BCA 666").challenge()
			wantLedger(t, site.ledger(t, "sari"))
			b.solve("/email.php", hers, code).want(http.StatusSeeOther, "/email.php")
			if page := b.get("/email.php").want(http.StatusOK); !strings.Contains(page.contents, "sari@example.com") {
				t.Errorf("sari does not see her address:\n%s", page.contents)
			}
			if n := len(g.sent(phpBudi)); n != 1 {
				t.Errorf("budi got %d SMS, want 1", n)
			}
		})
	}
}

// The attack: a challenge of budi's is answered after somebody else has logged in under
// the same session id, with the code that budi got.
func TestPHPChallengeOfThePlayerBeforeReleasesNothing(t *testing.T) {
	g, site := startPHP(t)
	b := g.browser()
	b.phpLogin("budi")
	challenge := b.post("/withdraw.php", "amount", "1000", "account", "BCA 1").challenge()
	code := g.code(phpBudi, 1)
	b.phpLogin("sari")
	if a := b.solve("/withdraw.php", challenge, code); a.status != http.StatusForbidden {
		t.Errorf("the answer is %d, want 403:\n%s", a.status, a.contents)
	}
	wantLedger(t, site.ledger(t, "budi"))
	wantLedger(t, site.ledger(t, "sari"))
}

// The attack: the site takes any session id, so the attacker has the victim log in
// under one that they know.
func TestPHPSessionIdOfAnAttackerHasNoGrant(t *testing.T) {
	g, site := startPHP(t)
	victim, attacker := g.browser(), g.browser()
	for _, b := range []*browser{victim, attacker} {
		b.setCookie("PHPSESSID", "chosenbyanattacker")
	}
	victim.phpLogin("budi")
	challenge := victim.get("/email.php").challenge()
	victim.solve("/email.php", challenge, g.code(phpBudi, 1)).want(http.StatusSeeOther, "/email.php")
	victim.get("/email.php").want(http.StatusOK)
	if page := attacker.get("/withdraw.php").want(http.StatusOK); !strings.Contains(page.contents, "<b>budi</b>") {
		t.Fatalf("the attacker has no session of budi's:\n%s", page.contents)
	}
	attacker.get("/email.php").challenge()
	attacker.post("/withdraw.php", "amount", "1000", "account", "BCA 666").challenge()
	wantLedger(t, site.ledger(t, "budi"))
}

// The attack: the site keeps PHPSESSID over a login. Budi, who is known on his device,
// logs in as sari with her password over the same session, and meets the challenge with
// the next page, whatever he kept.
func TestPHPNewDeviceIsChallengedInTheMomentAfterTheLogin(t *testing.T) {
	g, _ := startPHPWith(t, "\t\tlogout /logout.php\n\t\tnew_device {\n\t\t\tunenrolled registered_phone\n\t\t}\n")
	b := g.browser()
	b.get("/login.php").want(http.StatusOK)
	b.phpLogin("budi")
	id := b.cookie("PHPSESSID")
	challenge := b.get("/withdraw.php").challenge()
	b.solve("/withdraw.php", challenge, g.code(phpBudi, 1)).want(http.StatusSeeOther, "/withdraw.php")
	// Only a factor of his own can trust the device.
	const bind = "/.stepgate/security/sms"
	b.solve(bind, b.post(bind, "stepgate_phone", "").challenge(), g.code(phpBudi, 2)).want(http.StatusOK)
	b.get("/logout.php").want(http.StatusSeeOther, "/login.php")
	b.phpLogin("budi")
	challenge = b.get("/withdraw.php").challenge()
	b.solve("/withdraw.php", challenge, g.code(phpBudi, 3), "stepgate_trust", "1").want(http.StatusSeeOther, "/withdraw.php")
	for range 2 { // by the device, and by the pass
		b.get("/withdraw.php").want(http.StatusOK)
	}

	b.phpLogin("sari")
	b.get("/withdraw.php").challenge()
	b.post("/email.php", "email", "thief@example.com").challenge()
	b.get("/logout.php").want(http.StatusSeeOther, "/login.php")
	b.get("/login.php").want(http.StatusOK)
	b.phpLogin("budi")
	b.get("/withdraw.php").want(http.StatusOK)
	if got := b.cookie("PHPSESSID"); got != id {
		t.Fatalf("the session is %q and was %q: the site is not the one that this test is about", got, id)
	}
	g.code(phpBudi, 3)
}
