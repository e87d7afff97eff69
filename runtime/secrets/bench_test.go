package secrets

import (
	"strings"
	"testing"
)

type credentials struct{ Username, Password, Host string }

func benchClient(tb testing.TB, opts ...func(*Options)) *Client {
	tb.Helper()
	return New(credentialStore(), append(opts, dev)...)
}

// credentialStore has a database's login of 1 KB.
func credentialStore() *store {
	s := newStore()
	s.values["v1"] = `{"username":"u","password":"p","host":"h","comment":"` + strings.Repeat("x", 970) + `"}`
	return s
}

func withBoard(o *Options) { o.Bulletin = newBoard() }

func TestAHitAllocatesNothing(t *testing.T) {
	for name, opts := range map[string][]func(*Options){"plain": nil, "with a bulletin": {withBoard}} {
		c := benchClient(t, opts...)
		ref := Bind[credentials](c, "db")
		ctx := t.Context()
		if _, err := ref.Get(ctx); err != nil {
			t.Fatal(err)
		}
		if got := testing.AllocsPerRun(1000, func() { _, _ = c.Get(ctx, "dev-db") }); got != 0 {
			t.Errorf("%s: Get allocates %v times", name, got)
		}
		if got := testing.AllocsPerRun(1000, func() { _, _ = ref.Get(ctx) }); got != 0 {
			t.Errorf("%s: Ref.Get allocates %v times", name, got)
		}
	}
}
