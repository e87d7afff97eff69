package invalidation

import "time"

// At has a subscriber take another time for now.
func At(now func() time.Time) func(*SubscribeOptions) {
	return func(o *SubscribeOptions) { o.now = now }
}
