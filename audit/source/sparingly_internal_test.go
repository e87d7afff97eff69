package source

import "testing"

func TestTheMoreIsInUseTheLessGarbageThereMayBe(t *testing.T) {
	t.Parallel()
	const mib = 1 << 20
	for what, test := range map[string]struct {
		inUse uint64
		want  int
	}{
		"nothing, as before the first collection": {0, 50},
		"the heap of 1 GiB of log":                {5 * mib, 50},
		"as much as leaves room for its half":     {24 * mib, 50},
		"a little more":                           {25 * mib, 44},
		"that of 16 GiB":                          {30 * mib, 20},
		"nearly all that there is room for":       {35 * mib, 10},
		"more than there is room for":             {500 * mib, 10},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			if got := garbage(test.inUse); got != test.want {
				t.Errorf("%d %%, want %d %%", got, test.want)
			}
		})
	}
}
