package cost

// A Price is what AWS charges for a unit.
type Price struct {
	// Unit is what is counted: "secret and month".
	Unit string `json:"unit"`
	// USD for one unit.
	USD float64 `json:"usd"`
	// Per is how many units the price list names together: 10,000 calls.
	Per float64 `json:"per"`
	// Source is the page of the price, and AsOf the year in which it said so.
	Source string `json:"source"`
	AsOf   string `json:"asOf"`
}

// each is the price of one unit.
func (p Price) each() float64 { return p.USD / p.Per }

// A PriceList has the prices that [Estimate] multiplies.
type PriceList struct {
	Secret        Price `json:"secret"`
	Call          Price `json:"call"`
	BulletinRead  Price `json:"bulletinRead"`
	BulletinWrite Price `json:"bulletinWrite"`
	Event         Price `json:"event"`
	QueueRequest  Price `json:"queueRequest"`
}

// Prices are those of us-east-1, without free tiers and taxes. Storage of the
// bulletin, which is a few kilobytes, is left out.
func Prices() PriceList {
	const million, date = 1e6, "2025"
	return PriceList{
		Secret:        Price{"secret or replica and month", 0.40, 1, "aws.amazon.com/secrets-manager/pricing", date},
		Call:          Price{"10,000 calls", 0.05, 1e4, "aws.amazon.com/secrets-manager/pricing", date},
		BulletinRead:  Price{"million read request units", 0.125, million, "aws.amazon.com/dynamodb/pricing/on-demand", date},
		BulletinWrite: Price{"million write request units", 0.625, million, "aws.amazon.com/dynamodb/pricing/on-demand", date},
		Event:         Price{"million events", 1, million, "aws.amazon.com/eventbridge/pricing", date},
		QueueRequest:  Price{"million requests", 0.40, million, "aws.amazon.com/sqs/pricing", date},
	}
}
