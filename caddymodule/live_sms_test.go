package caddymodule_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stepgate/stepgate/challengepages"
	"github.com/stepgate/stepgate/sms/vonage/vonagetest"
)

// wantMetrics wants lines of stepgate_sms_total, by event, provider and reason, to
// count more than nothing.
func (g *gateway) wantMetrics(lines ...[3]string) {
	g.t.Helper()
	metrics := g.admin("/metrics")
	for _, l := range lines {
		line := fmt.Sprintf(`stepgate_sms_total{event=%q,provider=%q,reason=%q} `, l[0], l[1], l[2])
		if !strings.Contains(metrics, line) {
			g.t.Errorf("the metrics have no %s", line)
		}
	}
	if found := g.secrets.Find(metrics); len(found) > 0 {
		g.t.Errorf("the metrics have %d secrets", len(found))
	}
}

// audited returns the entries of the audit log of an event, in their order.
func (g *gateway) audited(event string) []map[string]any {
	var found []map[string]any
	for _, entry := range g.log("audit.json") {
		if entry["event"] == event {
			found = append(found, entry)
		}
	}
	return found
}

// wantAudited wants an event of a provider for a reason.
func (g *gateway) wantAudited(event, provider, reason, note string) {
	g.t.Helper()
	for _, entry := range g.audited(event) {
		text := func(key string) string { s, _ := entry[key].(string); return s }
		if text("provider") == provider && text("reason") == reason && strings.Contains(text("note"), note) {
			return
		}
	}
	g.t.Errorf("the audit log has no %s of %q for %q with the note %q, but %v", event, provider, reason, note, g.audited(event))
}

// sendAgain asks for another SMS.
func (p *player) sendAgain(challenge string) answer {
	p.g.t.Helper()
	return p.post("/wallet/withdraw", challengepages.FieldChallenge, challenge, challengepages.FieldAction, challengepages.ActionSend)
}

// wantReleased answers a challenge with a code, after which the site has the
// withdrawals of these amounts.
func (p *player) wantReleased(challenge, code string, amounts ...string) {
	p.g.t.Helper()
	p.post("/wallet/withdraw", solution(challenge, "sms", code)...).want(http.StatusSeeOther)
	var got []string
	for _, h := range p.g.site.reached("/wallet/withdraw") {
		got = append(got, strings.TrimSuffix(strings.TrimPrefix(h.body, "amount="), "&account=BCA+1234567890"))
	}
	if !slices.Equal(got, amounts) {
		p.g.t.Errorf("the site got withdrawals of %q, want %q", got, amounts)
	}
}

func TestAWithdrawalGetsItsCodeThroughVonage(t *testing.T) {
	p := newProviders(t)
	g := p.start(config{sms: p.both() + ampleLimits})
	budi := g.login("budi")
	id := budi.withdraw("1.000.000")
	m := p.last()
	if m.API != vonagetest.Messages || m.To != "6281234567890" || m.From != "EXAMPLE" || m.Parts != 1 || m.Unicode || !strings.Contains(m.Text, "1.000.000") {
		t.Errorf("Vonage got %+v", m)
	}
	budi.wantReleased(id, codeIn(m.Text), "1.000.000")
	if sent := p.backups(); len(sent) > 0 {
		t.Errorf("the backup sent %d as well", len(sent))
	}
	g.wantMetrics([3]string{"sms.accepted", "vonage", ""})
	g.wantAudited("sms.accepted", "vonage", "", "")
	g.wantAudited("challenge.code_sent", "vonage", "", "")
	// What the logs are searched in at the end is not nothing.
	debug := 0
	for _, entry := range g.log("log.json") {
		if entry["level"] == "debug" {
			debug++
		}
	}
	if debug == 0 {
		t.Error("the log has nothing at DEBUG")
	}
}

func TestWithVonageDownTheCodeComesThroughTheBackup(t *testing.T) {
	p := newProviders(t)
	g := p.start(config{sms: p.both() + ampleLimits})
	budi := g.login("budi")
	p.vonage.Refuse()
	id := budi.withdraw("1.000.000")
	sent := p.backups()
	if len(sent) != 1 || sent[0].to != "+6281234567890" || sent[0].ref == "" {
		t.Fatalf("the backup sent %+v, want one to budi", sent)
	}
	budi.wantReleased(id, codeIn(sent[0].text), "1.000.000")
	g.wantMetrics([3]string{"sms.failed", "vonage", "not_sent"}, [3]string{"sms.accepted", "backup", ""})
	g.wantAudited("sms.failed", "vonage", "not_sent", "")
	g.wantAudited("challenge.code_sent", "backup", "", "")

	// An account without credit is the operator's to mend, and is told.
	p.vonage.Accept()
	p.vonage.Next(vonagetest.HTML(http.StatusUnauthorized))
	agus := g.login("agus")
	agus.withdraw("50.000")
	if sent := p.backups(); len(sent) != 2 {
		t.Fatalf("the backup sent %d, want 2", len(sent))
	}
	g.wantMetrics([3]string{"sms.failed", "vonage", "account"}, [3]string{"sms.provider", "vonage", "account_refused"})
	g.wantAudited("sms.provider", "vonage", "account_refused", "vonage")
}

// The page says what to do, and never why (I11): the answer of a spent budget is the
// same.
func TestWithBothDownThePageOffersHelpAndDoesNotSayWhy(t *testing.T) {
	p := newProviders(t)
	g := p.start(config{sms: p.both() + ampleLimits})
	budi := g.login("budi")
	p.vonage.Refuse()
	p.down.Store(true)
	page := budi.post("/wallet/withdraw", "amount", "1.000.000", "account", "BCA 1234567890").want(http.StatusUnauthorized)
	wantNotSent(t, page)
	g.wantMetrics([3]string{"sms.failed", "vonage", "not_sent"}, [3]string{"sms.failed", "backup", "not_sent"})
	failed := g.audited("challenge.code_not_sent")
	if len(failed) != 1 || failed[0]["reason"] != "not_sent" || failed[0]["subject"] == nil {
		t.Errorf("that no code was sent is logged as %v", failed)
	}
	if hits := g.site.reached("/wallet/withdraw"); len(hits) > 0 {
		t.Errorf("the site got %+v", hits)
	}
}

// wantNotSent wants the page of a challenge whose SMS could not be sent.
func wantNotSent(t *testing.T, page answer) {
	t.Helper()
	if !strings.Contains(page.body, "The SMS could not be sent.") {
		t.Errorf("the page does not say that no SMS was sent:\n%s", page.body)
	}
	for _, why := range []string{"Vonage", "vonage", "backup", "budget", "provider", "limit", "not_sent", "refuse"} {
		_, body, _ := strings.Cut(page.body, "<body")
		body, _, _ = strings.Cut(body, "<script")
		if strings.Contains(body, why) {
			t.Errorf("the page says %q:\n%s", why, body)
		}
	}
}

// A signed receipt opens the next SMS at once, which goes another way; a forged one
// does nothing.
func TestAReceiptThatTheSMSFailedLetsThePlayerResendAtOnce(t *testing.T) {
	p := newProviders(t)
	g := p.start(config{sms: p.both() + ampleLimits})
	budi := g.login("budi")
	id := budi.withdraw("1.000.000")
	m := p.last()

	p.report(m, vonagetest.Report{Status: "rejected", Code: "1320", Unsigned: true}, http.StatusServiceUnavailable)
	p.report(m, vonagetest.Report{Status: "submitted"}, http.StatusOK)
	budi.sendAgain(id)
	if sent := p.backups(); len(sent) > 0 {
		t.Fatal("a forged receipt ended the wait")
	}
	p.report(m, vonagetest.Report{Status: "rejected", Code: "1320"}, http.StatusOK)
	budi.sendAgain(id)
	sent := p.backups()
	if len(sent) != 1 || codeIn(sent[0].text) != codeIn(m.Text) {
		t.Fatalf("the backup sent %d messages, want one with the same code", len(sent))
	}
	budi.wantReleased(id, codeIn(sent[0].text), "1.000.000")

	g.wantMetrics([3]string{"sms.forged", "vonage", ""}, [3]string{"sms.reported", "vonage", "failed"}, [3]string{"sms.accepted", "backup", ""})
	g.wantAudited("sms.forged", "vonage", "", "")
	g.wantAudited("sms.reported", "vonage", "failed", "the provider's code is 1320")
	if failed := g.audited("sms.reported"); failed[len(failed)-1]["challenge"] == nil || failed[len(failed)-1]["subject"] == nil {
		t.Errorf("the report is logged as %v, want it with challenge and subject", failed)
	}
}

// I8: receipts of the SMS API have the number in their query and a token in their path,
// both of which an access log would keep.
func TestAReceiptsURLIsInNoLog(t *testing.T) {
	p := newProviders(t)
	g := p.start(config{sms: `
			vonage {
				api sms
				api_key ` + vonageAccount + `
				api_secret {env.TEST_VONAGE_SECRET}
				receipt_token {env.TEST_VONAGE_TOKEN}
				from EXAMPLE
				rest_url ` + p.vonageURL + `
			}` + ampleLimits})
	budi := g.login("budi")
	id := budi.withdraw("1.000.000")
	m := p.last()
	p.report(m, vonagetest.Report{Status: "failed", Code: "1"}, http.StatusOK)
	budi.sendAgain(id)
	if n := len(p.vonage.Outbox()); n != 2 {
		t.Errorf("Vonage sent %d messages, want a second one after the receipt", n)
	}
	// One that the operator has told Vonage wrongly.
	g.visitor().get("/.stepgate/sms/receipts/vonagge/" + vonageToken + "?msisdn=6281234567890").want(http.StatusNotFound)
	g.visitor().get("/.stepgate/sms/receipts/vonage/guessed?msisdn=6281234567890").want(http.StatusServiceUnavailable)
	g.wantAudited("sms.reported", "vonage", "failed", "")
	g.wantAudited("sms.forged", "", "no_receiver", "")
	g.wantAudited("sms.forged", "vonage", "", "")
	for _, entry := range g.log("log.json") {
		if strings.Contains(fmt.Sprint(entry["request"]), "/sms/receipts/") {
			t.Errorf("a receipt is in the log: %v", entry["logger"])
		}
	}
}

func TestABudgetEndsSMSAndTellsTheOperator(t *testing.T) {
	p := newProviders(t)
	// Three messages; the third is more than four fifths.
	g := p.start(config{sms: p.both() + "\n\t\t\tbudget 0.12 per hour at 0.04" + ampleLimits})
	for _, name := range []string{"budi", "sari", "agus"} {
		g.login(name).withdraw("1.000.000")
	}
	before := len(p.vonage.Outbox())
	budi := g.login("budi")
	wantNotSent(t, budi.post("/wallet/withdraw", "amount", "2.000.000", "account", "BCA 1234567890").want(http.StatusUnauthorized))
	if after := len(p.vonage.Outbox()); before != 3 || after != 3 || len(p.backups()) > 0 {
		t.Errorf("%d messages were sent and then %d, want 3 and no more", before, after+len(p.backups()))
	}
	g.wantMetrics([3]string{"sms.limited", "vonage", "budget"}, [3]string{"sms.alert", "", "budget_low"}, [3]string{"sms.alert", "", "budget_spent"})
	g.wantAudited("sms.alert", "", "budget_low", "are spent")
	g.wantAudited("sms.alert", "", "budget_spent", "the SMS budget of 0.12 per 1h0m0s is spent")
	g.wantAudited("sms.limited", "vonage", "budget", "")
	for _, entry := range g.audited("sms.alert") {
		if entry["level"] != "warn" {
			t.Errorf("an alert is logged at %v, want warn", entry["level"])
		}
	}
}

func TestALimitEndsSMSAndReportModeOnlyTells(t *testing.T) {
	const two = "\n\t\t\tlimit number 2 per 1h"
	for _, mode := range []string{"enforce", "report"} {
		t.Run(mode, func(t *testing.T) {
			p := newProviders(t)
			g := p.start(config{sms: p.both() + two + "\n\t\t\tbudget 0.08 per hour at 0.04\n\t\t\tmode " + mode})
			budi := g.login("budi")
			var page answer
			for i := range 3 {
				page = budi.post("/wallet/withdraw", "amount", fmt.Sprintf("%d.000.000", i+1), "account", "BCA 1234567890").want(http.StatusUnauthorized)
			}
			sent := len(p.vonage.Outbox())
			if mode == "enforce" {
				wantNotSent(t, page)
				if sent != 2 {
					t.Errorf("%d were sent, want 2", sent)
				}
				g.wantMetrics([3]string{"sms.limited", "", "limit_number"})
				g.wantAudited("challenge.code_not_sent", "", "limit_number", "")
				return
			}
			if sent != 3 {
				t.Errorf("%d were sent, want 3", sent)
			}
			budi.wantReleased(page.challenge(), codeIn(p.last().Text), "3.000.000")
			g.wantMetrics([3]string{"reported.limited", "", "limit_number"}, [3]string{"reported.limited", "vonage", "budget"})
			g.wantAudited("reported.limited", "", "limit_number", "")
			warned := slices.ContainsFunc(g.log("log.json"), func(entry map[string]any) bool {
				return entry["level"] == "warn" && strings.HasPrefix(fmt.Sprint(entry["msg"]), "REPORT MODE: no limit")
			})
			if !warned {
				t.Error("nothing warns of report mode at the start")
			}
		})
	}
}

// With api verify only Vonage knows the code.
func TestVonageMakesAndChecksTheCode(t *testing.T) {
	p := newProviders(t)
	g := p.start(config{sms: p.verify() + ampleLimits})
	budi := g.login("budi")
	id := budi.withdraw("1.000.000")
	m := p.last()
	right := p.vonage.Code(m.ID)
	if m.API != vonagetest.Verify || m.To != "6281234567890" || len(right) != 6 {
		t.Fatalf("Vonage began %+v", m)
	}
	g.secrets.AddCode("the code of a verification", right)
	wrong := "000000"
	if right == wrong {
		wrong = "111111"
	}
	budi.post("/wallet/withdraw", solution(id, "sms", wrong)...).want(http.StatusUnprocessableEntity)
	if hits := g.site.reached("/wallet/withdraw"); len(hits) > 0 {
		t.Fatalf("a wrong code let %+v through", hits)
	}
	budi.wantReleased(id, right, "1.000.000")
	g.wantMetrics([3]string{"sms.accepted", "vonage", ""})
	g.wantAudited("sms.accepted", "vonage", "", "")

	// One that Vonage cannot check is neither right nor wrong.
	id = budi.withdraw("2.000.000")
	second := p.vonage.Code(p.last().ID)
	g.secrets.AddCode("the code of a verification", second)
	p.vonage.Refuse()
	refused := budi.post("/wallet/withdraw", solution(id, "sms", second)...)
	if refused.status == http.StatusSeeOther || len(g.site.reached("/wallet/withdraw")) != 1 {
		t.Fatalf("with Vonage down a code is answered %d", refused.status)
	}
	p.vonage.Accept()
	budi.wantReleased(id, second, "1.000.000", "2.000.000")
}
