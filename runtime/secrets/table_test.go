package secrets

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

func bounded(o *Options) { o.MaxSecrets = 10 }

func TestWhatIsInMemoryIsBounded(t *testing.T) {
	t.Parallel()
	tests := map[string]func(t *testing.T, c *Client, i int){
		"names from outside": func(t *testing.T, c *Client, i int) {
			t.Helper()
			_, _ = c.Get(t.Context(), fmt.Sprint("any", i))
		},
		"names that are not there": func(t *testing.T, c *Client, i int) {
			t.Helper()
			_, _ = c.Get(t.Context(), fmt.Sprint("missing", i))
		},
		"versions": func(t *testing.T, c *Client, i int) {
			t.Helper()
			_, _ = c.Get(t.Context(), "db", Version(fmt.Sprint("v", i)))
		},
		"labels": func(t *testing.T, c *Client, i int) {
			t.Helper()
			_, _ = c.Get(t.Context(), "db", Stage(fmt.Sprint("L", i)))
		},
	}
	for name, read := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newStore()
				c := New(s, dev, bounded)
				changed := 0
				defer c.OnChange("db", func(_, _ *Secret) { changed++ })()
				ref := Bind[credentials](c, "any-bound")
				_, _ = ref.Get(t.Context())
				hot := func() {
					value(t, c)
					_, _ = c.Get(t.Context(), "any-hot")
				}
				hot()
				hot()
				before := s.reads()
				for i := range 1000 {
					read(t, c, i)
					hot()
					if entries, names := len(c.table.all()), len(*c.table.names.Load()); entries > 10 || names > 20 {
						t.Fatalf("after %d: %d values under %d names are in memory", i, entries, names)
					}
				}
				if got := s.reads() - before; got > 1000+100 {
					t.Errorf("%d reads for 1000 new values: what is in use makes room", got)
				}
				if got := c.Stats().Evicted; got < 980 {
					t.Errorf("%d values made room, want nearly 1000", got)
				}
				if err := c.Invalidate(t.Context(), Rotated{SecretARN: dbARN, Name: dbName, VersionID: s.rotate()}); err != nil || changed != 1 {
					t.Errorf("news does not reach who waits for it: %d changes, %v", changed, err)
				}
			})
		})
	}
}

func TestWhatIsBeingReadMakesNoRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		s.set(func(s *store) { s.delay = time.Second })
		c := New(s, dev, bounded)
		for i := range 100 {
			go func() { _, _ = c.Get(t.Context(), fmt.Sprint("any", i)) }()
		}
		synctest.Wait()
		for i := range 100 {
			go func() { _, _ = c.Get(t.Context(), fmt.Sprint("any", i)) }()
		}
		time.Sleep(2 * time.Second)
		if got := s.reads(); got != 100 {
			t.Errorf("100 secrets were read %d times", got)
		}
		s.set(func(s *store) { s.delay = 0 })
		_, _ = c.Get(t.Context(), "any-other")
		if got := len(c.table.all()); got > 10 {
			t.Errorf("%d values stay in memory", got)
		}
	})
}
