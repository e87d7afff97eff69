package store_test

import (
	"fmt"
	"sync"
	"testing"
)

// BenchmarkPut is the rate of durable writes, each synced before it returns:
// of one client, and of many that share their syncs.
func BenchmarkPut(b *testing.B) {
	for _, clients := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			table := open(b, b.TempDir()).Table("values")
			value := make([]byte, 512)
			var all sync.WaitGroup
			b.ResetTimer()
			for c := range clients {
				all.Go(func() {
					for n := c; n < b.N; n += clients {
						if err := table.Put(fmt.Sprint(n%1000), value); err != nil {
							b.Error(err)
						}
					}
				})
			}
			all.Wait()
		})
	}
}
