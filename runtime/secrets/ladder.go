package secrets

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"
)

// A Ladder finds another version of a secret when the one at hand is refused.
// It exists because a rotation and its consumers can never move in the same
// instant: while a single user's password changes, there is a moment in which
// only the pending one works and AWSCURRENT is still the one before.
//
// The rungs are, in this order:
//
//  1. the version at hand, or the one that worked in its place before,
//  2. AWSCURRENT as Secrets Manager has it now,
//  3. AWSPENDING,
//  4. AWSCURRENT once more: the pending one may have been promoted in between,
//  5. AWSPREVIOUS, unless it is known to have been revoked.
//
// A version is tried once and three are tried at most, so that no account is
// locked, and no longer than the caller's context allows. One caller climbs
// while the others wait for what it finds. What worked is used until AWSCURRENT
// changes. A label that the role may not read, or that no version carries, is a
// rung that is missing. When nothing works, Secrets Manager is left alone for a
// second, then for two, and so on up to half a minute, or until AWSCURRENT
// changes.
//
// A ladder is safe for concurrent use. [Client.Ladder] has the one of a secret.
type Ladder struct {
	client *Client
	entry  *entry

	// detour is the version that is used in place of a current one that was
	// refused; nil where there is none.
	detour atomic.Pointer[detour]
	// fall is the last climb on which every version was refused; nil where
	// there was none.
	fall atomic.Pointer[fall]
	// climbing holds one token: who has it climbs.
	climbing chan struct{}
}

// errRevoked means that a version is not tried because it was revoked.
var errRevoked = errors.New("the version was revoked")

// A detour replaces one version of a secret by another.
type detour struct {
	around string // id of the version that was refused while it was current
	by     *Secret
}

// A fall is a climb that found nothing.
type fall struct {
	around string  // id of the version that was current
	err    error   // the last refusal
	row    int     // how many falls there were since something was accepted
	rest   instant // until when nobody climbs
	door   instant // until when nobody logs in, if row is not zero
}

const (
	// maxUses bounds the credentials that one call uses, the first included.
	maxUses = 3
	// firstRest is how long nobody climbs after a fall; it doubles with each.
	firstRest = time.Second
	// maxRest bounds that.
	maxRest = 30 * time.Second
)

// Ladder returns the ladder of a secret: always the same, so that all who use
// the secret in this process share what it finds. It makes no call.
func (c *Client) Ladder(name string) *Ladder {
	id := entryID{id: c.physical(name)}
	if l := c.table.get(id).ladder.Load(); l != nil {
		return l
	}
	return c.ladder(c.table.pin(id))
}

// ladder returns the ladder of an entry that is pinned.
func (c *Client) ladder(e *entry) *Ladder {
	if l := e.ladder.Load(); l != nil {
		return l
	}
	e.ladder.CompareAndSwap(nil, &Ladder{client: c, entry: e, climbing: make(chan struct{}, 1)})
	return e.ladder.Load()
}

// Use calls do with the value of a secret, and again with another version of
// it as long as refused reports that the error means a refusal of the
// credential; package refused has such functions. See [Ladder.Do].
func Use[T any](ctx context.Context, ref *Ref[T], refused func(error) bool, do func(ctx context.Context, value T) error) error {
	l := ref.client.ladder(ref.entry)
	first, err := l.first(ctx)
	if err != nil {
		return err
	}
	v, err := ref.decode(first)
	if err != nil {
		return err
	}
	if err = do(ctx, v); err == nil || !refused(err) {
		l.accepted(err)
		return err
	}
	return l.Climb(ctx, first, err, refused, func(ctx context.Context, s *Secret) error {
		v, err := ref.decode(s)
		if err != nil {
			return err
		}
		return do(ctx, v)
	})
}

// Do calls use with a version of the secret, and again with another one as
// long as refused reports that the error means a refusal of the credential. It
// returns the error of the last call, or one of this package's if the secret
// cannot be read. Use must be a call that has done nothing when it is refused.
//
// Each call of Do makes at least one of use, whatever became of others: a
// refusal may be about what was asked for. Where the other side counts
// refusals, [Ladder.Login] is right.
func (l *Ladder) Do(ctx context.Context, refused func(error) bool, use func(context.Context, *Secret) error) error {
	first, err := l.first(ctx)
	if err != nil {
		return err
	}
	return l.from(ctx, first, refused, use)
}

// Login is Do for logins: when every version has been refused, it does not try
// again while the ladder rests, and returns an error that wraps the last
// refusal. So a password that is wrong for good is not tried with every query,
// which locks accounts.
func (l *Ladder) Login(ctx context.Context, refused func(error) bool, login func(context.Context, *Secret) error) error {
	first, err := l.First(ctx)
	if err != nil {
		return err
	}
	return l.from(ctx, first, refused, login)
}

func (l *Ladder) from(ctx context.Context, first *Secret, refused func(error) bool, use func(context.Context, *Secret) error) error {
	err := use(ctx, first)
	if err == nil || !refused(err) {
		l.accepted(err)
		return err
	}
	return l.Climb(ctx, first, err, refused, use)
}

// First returns the version that a login begins with. It is for pools, which
// log in at times of their own, and goes with [Ladder.Climb]; the two are what
// [Ladder.Login] is made of. While the ladder rests, the error wraps the last
// refusal.
func (l *Ladder) First(ctx context.Context) (*Secret, error) {
	s, err := l.first(ctx)
	if err != nil {
		return nil, err
	}
	if f := l.fall.Load(); f != nil && f.row > 0 && !l.mayTry(f) {
		return nil, fmt.Errorf("%v was refused, as was what could replace it; not trying again yet: %w", s, f.err)
	}
	return s, nil
}

// mayTry reports whether the caller may log in after a fall. When the rest is
// over, one may, and a second later another: of many who come at once all
// would be refused.
func (l *Ladder) mayTry(f *fall) bool {
	now := l.client.now()
	switch {
	case !l.concerns(f):
		return true
	case now.before(f.door):
		return false
	}
	next := *f
	next.door = now.add(firstRest)
	return l.fall.CompareAndSwap(f, &next)
}

// first returns the version at hand.
func (l *Ladder) first(ctx context.Context) (*Secret, error) {
	s, err := l.client.read(ctx, l.entry)
	if err != nil {
		return nil, err
	}
	if d := l.detour.Load(); d != nil && d.around == s.version {
		return d.by, nil
	}
	return s, nil
}

// Climb goes on where the use of a version was refused with err: it calls use
// with others as Do does, and returns nil as soon as one is accepted.
func (l *Ladder) Climb(ctx context.Context, used *Secret, err error, refused func(error) bool, use func(context.Context, *Secret) error) error {
	c := &climb{Ladder: l, refused: refused, use: use, began: l.current(), tried: []string{used.version}, err: err}
	for c.on() {
		if s := l.found(c.tried); s != nil {
			c.try(ctx, s)
			continue
		}
		select {
		case l.climbing <- struct{}{}:
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		}
		if c.rungs(ctx) {
			break
		}
	}
	return c.err
}

// found returns a version in memory that was not tried yet: what another
// caller, or an event, has brought.
func (l *Ladder) found(tried []string) *Secret {
	s := l.current()
	if d := l.detour.Load(); s != nil && d != nil && d.around == s.version {
		s = d.by
	}
	if s == nil || slices.Contains(tried, s.version) {
		return nil
	}
	return s
}

// current returns the current version in memory, without a thought for its
// age, or nil.
func (l *Ladder) current() *Secret {
	if s := l.entry.state.Load(); s != nil && s.secret != nil && s.hold == usable {
		return s.secret
	}
	return nil
}

// concerns reports whether a fall was from the version that is still current.
func (l *Ladder) concerns(f *fall) bool {
	s := l.current()
	return s != nil && s.version == f.around
}

// A Mark tells whether what was made with a version, such as a connection, is
// to be replaced. The zero Mark is never superseded.
type Mark struct {
	ladder      *Ladder
	used, began string // version ids: what was used, and what was current then
}

// Mark returns the mark of what is about to be made with a version.
func (l *Ladder) Mark(used *Secret) Mark {
	m := Mark{ladder: l, used: used.version, began: used.version}
	if s := l.current(); s != nil {
		m.began = s.version
	}
	return m
}

// Superseded reports whether another version has become current since. What
// was made with the pending version is not superseded by its promotion. It
// makes no call.
func (m Mark) Superseded() bool {
	if m.ladder == nil {
		return false
	}
	s := m.ladder.current()
	return s != nil && s.version != m.began && s.version != m.used
}

// accepted notes that a use was not refused.
func (l *Ladder) accepted(err error) {
	if f := l.fall.Load(); err == nil && f != nil && f.row > 0 {
		l.fall.CompareAndSwap(f, &fall{around: f.around, rest: f.rest})
	}
}

// A climb is what one caller tries.
type climb struct {
	*Ladder
	refused func(error) bool
	use     func(context.Context, *Secret) error
	began   *Secret  // what was current in memory
	tried   []string // version ids
	err     error    // of the last use
}

// on reports whether there is reason to go on.
func (c *climb) on() bool { return c.err != nil && c.refused(c.err) && len(c.tried) < maxUses }

// try uses a version.
func (c *climb) try(ctx context.Context, s *Secret) {
	c.tried = append(c.tried, s.version)
	c.err = c.use(ctx, s)
	c.accepted(c.err)
}

// rungs climbs those that Secrets Manager has to be asked for. It is called
// with the token, which it gives back. It reports false where there was news
// in memory, to be tried first.
func (c *climb) rungs(ctx context.Context) (climbed bool) {
	defer func() { <-c.climbing }()
	if c.found(c.tried) != nil {
		return false // another caller has climbed
	}
	if f := c.fall.Load(); f != nil && c.concerns(f) && c.client.now().before(f.rest) {
		return true
	}
	for _, rung := range [...]func(context.Context) (*Secret, error){
		c.refreshed, c.pending, c.refreshed, c.previous,
	} {
		s, err := rung(ctx)
		// A rung that cannot be read is missing: the role may not read it, or
		// there is no such version.
		if err != nil || slices.Contains(c.tried, s.version) {
			continue
		}
		if c.try(ctx, s); c.err == nil {
			c.remember(s)
		}
		if !c.on() {
			break
		}
	}
	if c.err != nil && c.refused(c.err) && ctx.Err() == nil {
		c.fell()
	}
	return true
}

// refreshed is the rung of the version that carries AWSCURRENT now.
func (c *climb) refreshed(ctx context.Context) (*Secret, error) {
	refused := ""
	if s := c.found(c.tried); s != nil {
		return s, nil
	}
	if s := c.current(); s != nil {
		refused = s.version
	}
	return c.client.fresh(ctx, c.entry, refused)
}

func (c *climb) pending(ctx context.Context) (*Secret, error) { return c.staged(ctx, "AWSPENDING") }

// previous is the rung of the version before, as long as it may be accepted.
func (c *climb) previous(ctx context.Context) (*Secret, error) {
	s, err := c.staged(ctx, "AWSPREVIOUS")
	if err == nil && c.entry.isStruck(s.version) {
		return nil, fmt.Errorf("%v: %w", s, errRevoked)
	}
	return s, err
}

func (c *climb) staged(ctx context.Context, label string) (*Secret, error) {
	return c.client.fresh(ctx, c.client.table.get(entryID{id: c.entry.id, stage: label}), "")
}

// remember has everybody use a version that works, for as long as the current
// one is what it is now.
func (l *Ladder) remember(s *Secret) {
	l.detour.Store(nil)
	if held := l.current(); held != nil && held.version != s.version {
		l.detour.Store(&detour{around: held.version, by: s})
	}
}

// fell notes that every version was refused. Where another one has become
// current since the climb began, it proves little: a login may take longer than
// a rotation, and then its password is the one before.
func (c *climb) fell() {
	held := c.current()
	if held == nil || c.began == nil || held.version != c.began.version {
		return
	}
	f := &fall{around: held.version, err: c.err, row: 1}
	if before := c.fall.Load(); before != nil && before.around == f.around {
		f.row = before.row + 1
	}
	f.rest = c.client.now().add(min(firstRest<<min(f.row-1, 10), maxRest))
	f.door = f.rest
	c.fall.Store(f)
}

// maxStruck bounds how many revoked versions are remembered: only one can carry
// AWSPREVIOUS.
const maxStruck = 4

// strike notes which version the news says was revoked, and that the one which
// is current is not. It holds e.mu.
func (e *entry) strike(r Rotated) {
	version := r.PreviousVersionID
	e.struck = slices.DeleteFunc(e.struck, func(v string) bool { return v == r.VersionID || v == version })
	if version == "" || r.against(version) != revoked {
		return
	}
	e.struck = append(e.struck, version)
	e.struck = e.struck[max(len(e.struck)-maxStruck, 0):]
	l := e.ladder.Load()
	if l == nil {
		return
	}
	if d := l.detour.Load(); d != nil && d.by.version == version {
		l.detour.CompareAndSwap(d, nil)
	}
}

func (e *entry) isStruck(version string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Contains(e.struck, version)
}
