package vonage

import (
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stepgate/stepgate/sms"
	"github.com/stepgate/stepgate/sms/vonage/vonagetest"
)

// fake runs a fake of Vonage that was written from the documentation alone.
func fake(t *testing.T, algorithm string, shape vonagetest.Shape) (*vonagetest.Server, string) {
	t.Helper()
	const hook = "https://gw.example.test/receipts"
	f := vonagetest.New(vonagetest.Options{
		Key: testKey, Secret: testSecret,
		Application: testApplication, PublicKey: &testPrivateKey().PublicKey,
		SignatureSecret: testSignature, Signature: vonagetest.Algorithm(algorithm),
		SignReceipts: true, ReceiptShape: shape,
		ReceiptURL: hook, StatusURL: hook, VerifyURL: hook,
	})
	return f, f.Start(t)
}

// reported returns what a receiver makes of the fake's report on its last message.
func reported(t *testing.T, f *vonagetest.Server, r vonagetest.Report, receiver sms.Receiver) ([]sms.Report, error) {
	t.Helper()
	outbox := f.Outbox()
	request, err := f.Callback(outbox[len(outbox)-1], r)
	if err != nil {
		t.Fatal(err)
	}
	c := sms.Callback{Method: request.Method, Query: request.URL.RawQuery, Header: request.Header}
	if request.Body != nil {
		if c.Body, err = io.ReadAll(request.Body); err != nil {
			t.Fatal(err)
		}
	}
	return receiver.Receive(c)
}

func TestTheFakeTakesEveryMessageAndItsReportsAreBelieved(t *testing.T) {
	for _, shape := range []vonagetest.Shape{vonagetest.JSON, vonagetest.Form, vonagetest.Query} {
		for _, algorithm := range Algorithms {
			f, url := fake(t, algorithm, shape)
			messages := messagesConfig(url)
			messages.EntityID, messages.ContentID, messages.Callback = "1101456324675322134", "1107457532145798767", "https://gw.example.test/receipts"
			account := basicMessagesConfig(url)
			account.SignatureSecret = testSignature
			body := smsConfig(url)
			body.CredentialsInBody = true
			signed := signedConfig(url)
			signed.SignatureAlgorithm = algorithm
			signed.EntityID, signed.ContentID, signed.Callback = messages.EntityID, messages.ContentID, messages.Callback

			rejected := vonagetest.Report{Status: "rejected", Code: "1120"}
			failed := vonagetest.Report{Status: "failed", Code: "51"}
			bySignature := must(t, NewSMS, signed)
			for _, c := range []struct {
				name     string
				sender   sms.Sender
				report   vonagetest.Report
				receiver sms.Receiver
				code     string
			}{
				{"messages", must(t, NewMessages, messages), rejected, must(t, NewMessages, messages), "1120"},
				{"messages of an account", must(t, NewMessages, account), rejected, must(t, NewMessages, account), "1120"},
				{"sms", must(t, NewSMS, smsConfig(url)), failed, bySignature, "51"},
				{"sms in the body", must(t, NewSMS, body), failed, bySignature, "51"},
				{"sms signed", bySignature, failed, bySignature, "51"},
			} {
				receipt, err := c.sender.Send(t.Context(), testMessage)
				if err != nil {
					t.Errorf("%s, %s: Send = %v", c.name, algorithm, err)
					continue
				}
				want := []sms.Report{{Ref: testMessage.Ref, ID: receipt.ID, State: sms.Failed, Code: c.code, Class: sms.Account}}
				got, err := reported(t, f, c.report, c.receiver)
				if diff := cmp.Diff(want, got); err != nil || diff != "" {
					t.Errorf("%s, %s as %s: Receive = %v (-want +got):\n%s", c.name, algorithm, shape, err, diff)
				}
			}
		}
	}
}

func TestTheFakeAndTheVerifierAgree(t *testing.T) {
	f, url := fake(t, "sha256", vonagetest.JSON)
	v := must(t, NewVerify, verifyConfig(url))
	start := func() string {
		t.Helper()
		receipt, err := v.Start(t.Context(), testMessage)
		if err != nil {
			t.Fatal(err)
		}
		return receipt.ID
	}
	check := func(id, code string, want sms.Checked) {
		t.Helper()
		if got, err := v.Check(t.Context(), id, code); err != nil || got != want {
			t.Errorf("Check = %v, %v, want %v", got, err, want)
		}
	}
	// Another one for the same number takes the place of the first.
	first, id := start(), start()
	check(first, f.Code(first), sms.CheckedOver)
	wrong := "000000"
	if f.Code(id) == wrong {
		wrong = "000001"
	}
	check(id, wrong, sms.CheckedWrong)
	check(id, f.Code(id), sms.CheckedRight)
	check(id, f.Code(id), sms.CheckedOver)

	id = start()
	for range 2 { // one that is over is no error
		if err := v.Cancel(t.Context(), id); err != nil {
			t.Errorf("Cancel = %v", err)
		}
	}
	check(id, f.Code(id), sms.CheckedOver)

	id = start()
	got, err := reported(t, f, vonagetest.Report{Status: "blocked", Summary: true}, v)
	want := []sms.Report{{Ref: testMessage.Ref, ID: id, State: sms.Failed, Code: "blocked", Class: sms.Policy}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("a block: Receive = %v (-want +got):\n%s", err, diff)
	}
}
