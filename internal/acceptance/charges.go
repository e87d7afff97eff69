package main

import "fmt"

// A charge is what the stand-in for Stripe has booked.
type charge struct {
	ID, Currency, Source, KeyID string
	Amount                      int64
}

// charges are those of a card's token, in their order; it is an error if there
// is none.
func (s *system) charges(source string) ([]charge, error) {
	var book struct{ Charges []charge }
	if err := s.sh("curl $PROVIDERS").answer().into(&book); err != nil {
		return nil, err
	}
	var own []charge
	for _, c := range book.Charges {
		if c.Source == source {
			own = append(own, c)
		}
	}
	if len(own) == 0 {
		return nil, fmt.Errorf("there is no charge of %s", source)
	}
	return own, nil
}
