package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
)

// chargeStatements are about POST /payments/charge.
func chargeStatements() []statement {
	return []statement{
		{"M43", "POST /payments/charge reads its keys at run time, and uses a rotated one", chargeFollowsItsKeys},
		{"M44", "the card is charged with the key that the secret names stripe", chargeUsesItsKey},
		{"M45", "an amount in dollars is charged in cents, exactly", amountsAreExact},
		{"M46", "the currency is usd", chargeHas("tok_m46", func(c charge) error { return equal("the currency", c.Currency, "usd") })},
		{"M47", "the source is the token of the request", chargeHas("tok_m47", func(c charge) error { return equal("the source", c.Source, "tok_m47") })},
		{"M48", "a receipt is mailed, with the given sender, subject and text", receiptsAreMailed},
		{"M49", "a provider that refuses a key has it read again, and no charge fails", refusedKeysAreReplaced},
	}
}

// A book is what the stand-ins for Stripe and SendGrid tell of the calls that
// they took. A key that they do not know they answer with 401.
type book struct {
	Charges []charge
	Mails   []json.RawMessage
}

type charge struct {
	ID, Currency, Source, KeyID string
	Amount                      int64
}

func (s *system) book() (b book, err error) { return b, s.sh("curl $PROVIDERS").answer().into(&b) }

// charges are those of a card's token, in their order; it is an error if there
// is none.
func (s *system) charges(source string) ([]charge, error) {
	b, err := s.book()
	if err != nil {
		return nil, err
	}
	var own []charge
	for _, c := range b.Charges {
		if c.Source == source {
			own = append(own, c)
		}
	}
	if len(own) == 0 {
		return nil, fmt.Errorf("there is no charge of %s", source)
	}
	return own, nil
}

// pay charges a card.
func (s *system) pay(amount, source string) answer {
	return s.call("POST", "/payments/charge", `{"amount":`+amount+`,"token":"`+source+`"}`, isJSON)
}

// otherKey charges until that is with another key of Stripe than one, and
// returns that: the stand-in gives each key an id, which is not the key.
func (s *system) otherKey(than string) (key string, err error) {
	err = s.until(func() (err error) {
		if err := s.pay("1", "tok_key").like(200, `"receipt":true`); err != nil {
			return err
		}
		key, err = s.lastKey("tok_key", than)
		return err
	})
	return key, err
}

// nextKey waits until others charge a card with another key than one, and returns
// that.
func (s *system) nextKey(source, than string) (key string, err error) {
	err = s.until(func() (err error) {
		key, err = s.lastKey(source, than)
		return err
	})
	return key, err
}

// lastKey is the key of the last charge of a card, which is to be another than one.
func (s *system) lastKey(source, than string) (string, error) {
	made, err := s.charges(source)
	if err != nil {
		return "", err
	}
	key := made[len(made)-1].KeyID
	if key == than {
		return "", errors.New("charges are still made with the key of before")
	}
	return key, nil
}

// chargeFollowsItsKeys hands over the next key of Stripe.
func chargeFollowsItsKeys(r *run) error {
	s := r.up("--no-database", "--parameter", "CheckInterval=100ms")
	stored := errors.Join(
		s.pay("1", "tok_m43").is(500, `{"error":"Service temporarily unavailable"}`),
		s.store("external-api-keys", keysValue),
	)
	before, none := s.otherKey("")
	rotated := s.rotate(`{"secretName":"external-api-keys","newValue":{"stripe":"sk_test_2"}}`)
	held := s.until(func() error { return s.allHoldCurrent("external-api-keys") })
	paid := s.pay("1", "tok_m43").like(200, `"receipt":true`)
	made, err := s.charges("tok_m43")
	if err = errors.Join(stored, none, rotated.like(200, "rotated successfully"), held, paid, err); err != nil {
		return err
	}
	return equal("whether the next charge has the key of before", made[0].KeyID == before, false)
}

// chargeUsesItsKey stores the two keys that Stripe knows, one after the other; a
// key that it does not know charges nothing.
func chargeUsesItsKey(r *run) error {
	s := r.up("--no-database", "--parameter", "CheckInterval=50ms")
	unknown := errors.Join(
		s.store("external-api-keys", `{"stripe":"SG.1.sample","sendgrid":"sk_test_1"}`),
		s.pay("1", "tok_key").is(500, `{"error":"Service temporarily unavailable"}`),
	)
	if _, err := s.charges("tok_key"); err == nil {
		return errors.New("a charge was made with the key of the mail provider")
	}
	stored := s.store("external-api-keys", keysValue)
	first, none := s.otherKey("")
	next := s.store("external-api-keys", nextKeysValue)
	_, err := s.otherKey(first)
	return errors.Join(unknown, stored, none, next, err)
}

func amountsAreExact(r *run) error {
	s := r.shop()
	var errs []error
	for i, c := range []struct {
		amount string
		cents  int64
	}{
		{"12.34", 1234}, {"1.15", 115}, {"8.20", 820}, {"1.1", 110}, {"0.07", 7}, {"100", 10000}, {"4.35", 435}, {"1234567890123.45", 123456789012345},
	} {
		source := fmt.Sprintf("tok_m45_%d", i)
		errs = append(errs, s.pay(c.amount, source).like(200, `"amount":`+c.amount+`,"currency":"usd"`))
		made, err := s.charges(source)
		errs = append(errs, err)
		if err == nil {
			errs = append(errs, equal(c.amount+" in cents", made[0].Amount, c.cents), equal("charges of "+c.amount, len(made), 1))
		}
	}
	for _, amount := range []string{"1.005", "12.340", "0", "-1", "1e2", `"x"`, "null", "true", "99999999999999999999"} {
		errs = append(errs, s.pay(amount, "tok_m45_bad").like(400, `{"error":"`))
	}
	if _, err := s.charges("tok_m45_bad"); err == nil {
		errs = append(errs, errors.New("a card was charged an amount that is none"))
	}
	return errors.Join(errs...)
}

// chargeHas checks what was charged.
func chargeHas(source string, right func(charge) error) func(*run) error {
	return func(r *run) error {
		s := r.shop()
		if err := s.pay("12.34", source).like(200, `"currency":"usd"`); err != nil {
			return err
		}
		made, err := s.charges(source)
		if err != nil {
			return err
		}
		return errors.Join(equal("the number of charges", len(made), 1), right(made[0]))
	}
}

// receiptsAreMailed looks for the receipt of an amount that nobody else charges.
func receiptsAreMailed(r *run) error {
	s := r.shop()
	named := `{"amount":48.01,"token":"tok_m48","email":"ana@example.com"}`
	errs := []error{
		s.call("POST", "/payments/charge", named, isJSON).like(200, `"receipt":true`),
		s.pay("48.2", "tok_m48").like(200, `"receipt":true`),
	}
	b, err := s.book()
	for _, want := range []struct{ to, amount string }{{"ana@example.com", "48.01"}, {"customer@example.com", "48.2"}} {
		mail := fmt.Sprintf(`{"from":{"email":"noreply@myapp.com"},"subject":"Payment Confirmation",
			"personalizations":[{"to":[{"email":%q}]}],"content":[{"type":"text/plain","value":"Payment of $%s processed successfully."}]}`, want.to, want.amount)
		found := fmt.Errorf("there is no mail about %s", want.amount)
		for _, m := range b.Mails {
			if strings.Contains(string(m), want.amount) {
				found = sameJSON(string(m), mail)
			}
		}
		errs = append(errs, found)
	}
	return errors.Join(append(errs, err)...)
}

// replaceSendGridKey makes a key at SendGrid, stores it, and deletes the one
// before at SendGrid.
const replaceSendGridKey = `
	member() { sed 's/.*"'$1'":"\([^"]*\)".*/\1/'; }
	admin=$(aws secretsmanager get-secret-value --secret-id dev-provider-admin --query SecretString --output text | member sendgrid)
	key=$(command curl -sS $PROVIDERS/v3/api_keys -H "Authorization: Bearer $admin" -d '{"name":"m49","scopes":["mail.send"]}' | member api_key)
	printf '{"stripe":"sk_test_1","sendgrid":"%s"}' "$key" | rekey put external-api-keys
	command curl -sS --fail -X DELETE $PROVIDERS/v3/api_keys/1 -H "Authorization: Bearer $admin"`

// refusedKeysAreReplaced has a consumer that looks at the bulletin once an hour
// hold a key that is deleted at the provider, and one that never was any. Then it
// charges all the time while the keys are rotated.
func refusedKeysAreReplaced(r *run) error {
	s := r.up("--no-database", "--parameter", "CheckInterval=1h", "--parameter", "Lease=2h", "--parameter", "Grace=1s")
	rotate := func(with string) error {
		return s.rotate(`{"secretName":"external-api-keys"`+with+`}`).like(200, "rotated successfully")
	}
	return errors.Join(
		s.store("external-api-keys", `{"stripe":"sk_unknown","sendgrid":"SG.1.sample"}`),
		s.pay("1", "tok_m49").is(500, `{"error":"Service temporarily unavailable"}`),
		s.store("external-api-keys", keysValue),
		s.until(func() error { return s.pay("1", "tok_m49").like(200, `"receipt":true`) }), // after a fall nothing is read for a second
		s.sh(replaceSendGridKey).went(),
		s.pay("1", "tok_m49").like(200, `"receipt":true`), // the first, with the deleted key in memory
		s.noChargeFails(
			func() error { return rotate("") },
			func() error { return rotate(`,"newValue":{"stripe":"sk_test_2"}`) },
		),
	)
}

// noChargeFails charges all the time while things are done one after the other,
// with charges before, between and after them.
func (s *system) noChargeFails(things ...func() error) error {
	var made atomic.Int64
	more := func() error {
		until := made.Load() + 5
		return s.until(func() error { return equal("whether charges go on", made.Load() >= until, true) })
	}
	done := make(chan error, 1)
	go func() {
		err := more()
		for _, do := range things {
			err = errors.Join(err, do(), more())
		}
		done <- err
	}()
	for {
		if err := s.pay("1", "tok_m49_load").like(200, `"receipt":true`); err != nil {
			return fmt.Errorf("charge %d: %w", made.Load(), err)
		}
		made.Add(1)
		select {
		case err := <-done:
			return err
		default:
		}
	}
}
