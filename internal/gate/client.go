package gate

import (
	"net/http"

	"github.com/mileusna/useragent"

	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/challenge"
	"github.com/stepgate/stepgate/policy"
)

// maxUserAgent is how much of a User-Agent header is looked at, in bytes.
const maxUserAgent = 512

// knownClients are the names of browsers and systems that are shown to players.
// Whatever else a client calls itself is its own invention, and could be a sentence.
var knownClients = map[string]string{
	useragent.Chrome: "Chrome", useragent.HeadlessChrome: "Chrome", useragent.Firefox: "Firefox", useragent.Safari: "Safari",
	useragent.MobileSafari: "Safari", useragent.Edge: "Edge", useragent.Opera: "Opera", useragent.OperaMini: "Opera Mini",
	useragent.OperaTouch: "Opera", useragent.Vivaldi: "Vivaldi", useragent.SamsungBrowser: "Samsung Internet",
	useragent.InternetExplorer: "Internet Explorer",
	useragent.Windows:          "Windows", useragent.Android: "Android", useragent.MacOS: "macOS", useragent.IOS: "iOS",
	useragent.Linux: "Linux", useragent.ChromeOS: "ChromeOS", useragent.CrOS: "ChromeOS", useragent.Harmony: "HarmonyOS",
}

// clientOf says where a request comes from, for the player's eyes.
func (g *Gate) clientOf(r *http.Request) account.Client {
	header := r.UserAgent()
	agent := useragent.Parse(header[:min(len(header), maxUserAgent)])
	return account.Client{Browser: knownClients[agent.Name], System: knownClients[agent.OS], Address: g.ClientIP(r)}
}

// asker is by whom and for what budgets are kept.
func (c *caller) asker(rule string) account.Asker {
	return account.Asker{Device: c.device(), Stranger: c.name, Purpose: purposeOf(rule)}
}

func purposeOf(rule string) account.Purpose {
	if isSettingsRule(rule) {
		return account.ForSettings
	}
	return account.ForRequest
}

// proofOf says what passing a challenge has shown.
func proofOf(passed *challenge.Challenge) account.Proof {
	switch {
	case passed.PassedBy == policy.RecoveryKey:
		return account.ProofRecovery
	case !passed.Enrolled:
		return account.ProofPhone
	default:
		return account.ProofFactor
	}
}
