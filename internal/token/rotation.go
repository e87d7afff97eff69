package token

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/rekey-go/rekey/rotation"
)

// Rotation rotates an admin token. Its secret holds the token itself, which
// operators read; the API's own secret holds hashes only. A new token's hash is
// put beside the old one's, and the old one's is taken away when it is retired,
// so two tokens live at once. A further rotation before that leaves the newest
// three.
type Rotation struct {
	Store rotation.Store
	// Tokens is the id of the secret with the hashes, see [Tokens].
	Tokens string
}

var (
	_ rotation.Strategy = Rotation{}
	_ rotation.Retirer  = Rotation{}
	_ rotation.Prober   = Rotation{}
	_ rotation.Namer    = Rotation{}
)

// RotationName is what operators call the [Rotation]: the word of the tag
// rekey:strategy.
const RotationName = "admin-token"

// Name is [RotationName].
func (Rotation) Name() string { return RotationName }

const (
	// minToken is the shortest token in characters that an operator may supply.
	minToken = 20
	// rotatedID begins the ids of hashes that rotations have added; the version
	// of the token follows.
	rotatedID = "rotated-"
)

// Create makes a token.
func (Rotation) Create(_ context.Context, _ rotation.Change, supplied rotation.Value) (rotation.Value, error) {
	if supplied.Empty() {
		return rotation.NewValue(rand.Text() + rand.Text()), nil
	}
	isOther := func(r rune) bool { return r <= ' ' || r > '~' }
	if text := supplied.Reveal(); len(text) < minToken || strings.ContainsFunc(text, isOther) {
		return rotation.Value{}, fmt.Errorf("%w: an admin token has at least %d characters, all of ASCII and none of them a space", rotation.ErrConfiguration, minToken)
	}
	return supplied, nil
}

// Set has the API accept the token.
func (s Rotation) Set(ctx context.Context, c rotation.Change) error {
	return s.change(ctx, c.VersionID, func(held []Token) []Token {
		if accepts(held, c.Pending) {
			return held
		}
		return append(held, successor(held, c))
	})
}

// successor is the token that takes the place of the current one. It is for what
// that one is for, and no more.
func successor(held []Token, c rotation.Change) Token {
	next := New(rotatedID+c.VersionID, c.Pending.Reveal())
	if i := slices.IndexFunc(held, func(t Token) bool { return t.is(c.Current) }); i >= 0 {
		next.Scopes, next.Prefixes = held[i].Scopes, held[i].Prefixes
	}
	return next
}

// Test checks that the API accepts the token.
func (s Rotation) Test(ctx context.Context, c rotation.Change) error {
	return s.Probe(ctx, c.Pending)
}

// Probe checks it of any token.
func (s Rotation) Probe(ctx context.Context, v rotation.Value) error {
	held, _, err := s.Read(ctx)
	if err == nil && !accepts(held, v) {
		err = fmt.Errorf("%w: the token's hash is not in %s, or has expired", rotation.ErrAuth, s.Tokens)
	}
	return err
}

// Retire has the API refuse the superseded token, and those of rotations that
// were given up.
func (s Rotation) Retire(ctx context.Context, r rotation.Retirement) error {
	if err := r.UnderWay(ctx); err != nil {
		return err
	}
	now, err := r.Store.Describe(ctx, r.Secret.ARN)
	if err != nil {
		return err
	}
	current, err := r.Store.Get(ctx, r.Secret.ARN, now.VersionWith(rotation.LabelCurrent), "")
	switch {
	case err != nil:
		return err
	case current.Reveal() == r.Superseded.Reveal():
		return fmt.Errorf("the version with %s has the same token: %w", rotation.LabelCurrent, rotation.ErrInUse)
	}
	return s.change(ctx, r.VersionID, func(held []Token) []Token {
		if !accepts(held, current) {
			return held // it would leave no token that anybody knows
		}
		return slices.DeleteFunc(held, func(t Token) bool {
			version, rotated := strings.CutPrefix(t.ID, rotatedID)
			given := rotated && len(now.Versions[version]) == 0 && !t.is(current)
			return t.is(r.Superseded) || given
		})
	})
}

func accepts(held []Token, v rotation.Value) bool {
	return slices.ContainsFunc(held, func(t Token) bool { return t.is(v) && t.Live() })
}

// Read returns the tokens, and the version that holds them.
func (s Rotation) Read(ctx context.Context) (held []Token, version string, err error) {
	about, err := s.Store.Describe(ctx, s.Tokens)
	if err != nil {
		return nil, "", err
	}
	version = about.VersionWith(rotation.LabelCurrent)
	if version == "" {
		return nil, "", fmt.Errorf("%s: %w", s.Tokens, rotation.ErrNoValue)
	}
	v, err := s.Store.Get(ctx, about.ARN, version, "")
	if err != nil {
		return nil, "", err
	}
	var all Tokens
	if json.Unmarshal([]byte(v.Reveal()), &all) != nil { // the cause could quote it
		return nil, "", fmt.Errorf("%w: the value of %s is not a list of tokens", rotation.ErrConfiguration, s.Tokens)
	}
	return all.Tokens, version, nil
}

// attempts bounds how often a change begins again because somebody else has
// changed the tokens in between.
const attempts = 5

// change stores what edit makes of the tokens. Cause is a version on whose
// account they change: repeated, the change is the same.
func (s Rotation) change(ctx context.Context, cause string, edit func([]Token) []Token) error {
	for range attempts {
		held, from, err := s.Read(ctx)
		if err != nil {
			return err
		}
		before, err := json.Marshal(Tokens{held})
		if err != nil {
			return err
		}
		after, err := json.Marshal(Tokens{edit(slices.Clone(held))})
		if err != nil || string(after) == string(before) {
			return err
		}
		err = s.Store.PutCurrent(ctx, s.Tokens, from, changeID(from, cause, after), rotation.NewValue(string(after)))
		if !errors.Is(err, rotation.ErrConflict) {
			return err
		}
	}
	return fmt.Errorf("%w: %s changed each time that its tokens were read", rotation.ErrConflict, s.Tokens)
}

// changeID is the version id of a change. Two that differ in any way have two.
func changeID(from, cause string, after []byte) string {
	sum := sha256.Sum256([]byte("rekey tokens\x00" + from + "\x00" + cause + "\x00" + string(after)))
	return hex.EncodeToString(sum[:])
}
