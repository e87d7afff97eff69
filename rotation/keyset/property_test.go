package keyset_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"pgregory.net/rapid"

	"github.com/rekey-go/rekey/rotation"
	"github.com/rekey-go/rekey/rotation/keyset"
	"github.com/rekey-go/rekey/rotation/rotationtest"
)

const (
	lag  = 5 * time.Minute // when a consumer no longer goes on with a superseded value
	life = time.Hour       // of a token
)

// A token was signed by some consumer.
type token struct {
	text   string
	signed time.Time
	key    string
}

// An era is a value and when it was current.
type era struct {
	set   *keyset.Set
	until time.Time // zero while it is current
}

// A world is a secret with consumers that take a new version over at any moment
// up to lag, each for itself.
type world struct {
	store    *rotationtest.Store
	now      time.Time
	eras     []era
	tokens   map[string]token // :: the youngest of each key, which lives longest
	versions int
	supplied map[string]bool      // :: ids of keys that an operator supplied
	due      map[string]time.Time // :: when a superseded version is to be retired
}

func newWorld(t *rapid.T) *world {
	v := rotation.NewValue(first)
	if rapid.Bool().Draw(t, "with a next key") {
		s, err := keyset.New("myapp.com", keyset.HS256)
		check(t, err)
		v, err = s.Value()
		check(t, err)
	}
	w := &world{
		store: rotationtest.NewStore(v, nil), now: time.Now().Add(2 * lag), versions: 1,
		tokens: make(map[string]token), supplied: make(map[string]bool), due: make(map[string]time.Time),
	}
	w.store.SetClock(func() time.Time { return w.now })
	w.note(t)
	return w
}

func check(t *rapid.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// note begins an era with the current value.
func (w *world) note(t *rapid.T) {
	v, err := w.store.Get(context.Background(), "", "", rotation.LabelCurrent)
	check(t, err)
	s, err := keyset.Parse(v)
	check(t, err)
	if n := len(w.eras); n > 0 {
		w.eras[n-1].until = w.now
	}
	w.eras = append(w.eras, era{set: s})
}

// held are the values that consumers may have now.
func (w *world) held() []*keyset.Set {
	var held []*keyset.Set
	for _, e := range w.eras {
		if e.until.IsZero() || w.now.Sub(e.until) < lag { // at the end of its time a value is read again
			held = append(held, e.set)
		}
	}
	return held
}

func (w *world) wait(t *rapid.T) {
	w.now = w.now.Add(time.Duration(rapid.IntRange(1, 4000).Draw(t, "seconds")) * time.Second)
}

func (w *world) rotate(t *rapid.T) {
	about, err := w.store.Describe(context.Background(), "")
	check(t, err)
	old := about.VersionWith(rotation.LabelCurrent)
	w.versions++
	err = rotate(context.Background(), w.store, keyset.Strategy{Publish: lag}, fmt.Sprintf("version-%d", w.versions))
	if errors.Is(err, rotation.ErrConflict) {
		return // too early: Secrets Manager repeats it, or an operator does
	}
	check(t, err)
	w.due[old] = w.now.Add(life + lag)
	w.note(t)
}

func (w *world) supply(t *rapid.T) {
	text := fmt.Sprintf("a supplied key, number %d", w.versions)
	w.store.Supply(fmt.Sprintf("supplied-%d", w.versions), rotation.NewValue(fmt.Sprintf(`{"signing_key":%q}`, text)))
	w.rotate(t)
	w.supplied[w.eras[len(w.eras)-1].set.Current.ID] = true
}

// retire retires what is due, in any order, as the queue delivers it.
func (w *world) retire(t *rapid.T) {
	for version, at := range w.due {
		if w.now.Before(at) {
			continue
		}
		err := rotation.Retire(context.Background(), w.store, rotation.Only(keyset.Strategy{}), "", version)
		if errors.Is(err, rotation.ErrInUse) {
			continue // it is tried again
		}
		if !errors.Is(err, rotation.ErrReplaced) {
			check(t, err)
		}
		delete(w.due, version)
		w.note(t)
	}
}

// sign has each consumer sign with what it holds.
func (w *world) sign(t *rapid.T) {
	for _, s := range w.held() {
		text, err := s.Sign(jwt.RegisteredClaims{Issuer: s.Issuer})
		check(t, err)
		w.tokens[s.Current.ID] = token{text, w.now, s.Current.ID}
	}
}

// verify has each consumer verify every token that lives.
func (w *world) verify(t *rapid.T) {
	held := w.held()
	newest := held[len(held)-1]
	for _, token := range w.tokens {
		if w.now.Sub(token.signed) >= life {
			delete(w.tokens, token.key)
			continue
		}
		for _, s := range held {
			err := s.Verify(token.text, &jwt.RegisteredClaims{})
			if errors.Is(err, keyset.ErrUnknownKey) && w.supplied[token.key] {
				err = newest.Verify(token.text, &jwt.RegisteredClaims{}) // it looks again
			}
			if err != nil {
				t.Fatalf("%v refuses a token of %s, %v old: %v", s, token.key, w.now.Sub(token.signed), err)
			}
		}
	}
}

func TestEveryTokenVerifiesForItsLife(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		t.Repeat(map[string]func(*rapid.T){
			"wait": w.wait, "rotate": w.rotate, "supply": w.supply, "retire": w.retire, "sign": w.sign, "": w.verify,
		})
	})
}
