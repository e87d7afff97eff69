package rotation

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"
)

// test has the strategy use the pending value. If it does not work, the server
// gets the current one back before the step fails, for which a part of the
// step's time is kept. A pending version without a value is a rehearsal
// (RotateSecret with RotateImmediately=false): the current value is tested, and
// the version must not be promoted.
func (r *Rotator) test(ctx context.Context, e Event, c Change) (rehearsal bool, err error) {
	c.Pending, err = r.pending(ctx, e)
	if rehearsal = errors.Is(err, ErrNoValue); rehearsal {
		c.Pending, err = r.current(ctx, e, c.Secret)
		if errors.Is(err, ErrNoValue) {
			return rehearsal, nil // a placeholder: there is nothing to test yet
		}
	}
	if err != nil {
		return rehearsal, err
	}
	strategy, err := r.opts.Choose(ctx, c.Secret, c.Pending)
	if err != nil {
		return rehearsal, err
	}
	restorer, restores := strategy.(Restorer)
	err = inShare(ctx, restores, func(ctx context.Context) error { return strategy.Test(ctx, c) })
	if err == nil && !rehearsal {
		r.know(e.SecretID, e.Token, func(k *known) { k.tested = true })
	}
	if restores && err != nil && !rehearsal {
		err = errors.Join(err, r.restore(ctx, e, c, restorer))
	}
	return rehearsal, err
}

// testShare is the part of the time left that a test may take where the current
// credential may have to be restored after it.
const testShare = 0.6

// inShare runs fn in a share of the time that is left, or in all of it.
func inShare(ctx context.Context, share bool, fn func(context.Context) error) error {
	deadline, ok := ctx.Deadline()
	if !share || !ok {
		return fn(ctx)
	}
	left := time.Duration(testShare * float64(time.Until(deadline)))
	ctx, cancel := context.WithTimeout(ctx, left)
	defer cancel()
	return fn(ctx)
}

func (r *Rotator) restore(ctx context.Context, e Event, c Change, restorer Restorer) (err error) {
	if c.Current, err = r.current(ctx, e, c.Secret); err == nil {
		err = restorer.Restore(ctx, c)
	}
	if err != nil {
		return fmt.Errorf("restoring the current credential: %w", err)
	}
	r.opts.Logger.WarnContext(ctx, "the pending credential failed its test; the current one is in force", "secret", e.SecretID, "version", e.Token)
	return nil
}

// finish makes the version current and announces it. A version that is current
// is announced again: the announcement may be what failed the last time. The
// labels that are left over come last, because nobody waits for them.
func (r *Rotator) finish(ctx context.Context, e Event, c Change) error {
	previous := c.Secret.VersionWith(LabelPrevious)
	if !c.Secret.Has(e.Token, LabelCurrent) {
		previous = c.Secret.VersionWith(LabelCurrent)
		if err := r.promote(ctx, e, c); err != nil {
			return err
		}
	}
	r.forget(e.SecretID)
	if r.opts.OnPromoted != nil {
		p := Promotion{
			SecretARN: c.Secret.ARN, Name: c.Secret.Name,
			VersionID: e.Token, PreviousVersionID: previous, At: time.Now().UTC(),
		}
		if err := r.opts.OnPromoted(ctx, p); err != nil {
			return fmt.Errorf("announcing the new version: %w", err)
		}
	}
	return r.tidy(ctx, e, c.Secret)
}

// promote moves AWSCURRENT to a version that works. Events may come in any
// order and to any process, so the version is tested here, unless this process
// has done so.
func (r *Rotator) promote(ctx context.Context, e Event, c Change) error {
	if !r.know(e.SecretID, e.Token, nil).tested {
		rehearsal, err := r.test(ctx, e, c)
		if err != nil {
			return err
		}
		if rehearsal {
			return fmt.Errorf("the version to promote is empty: %w", ErrNoValue)
		}
	}
	return r.moveLabel(ctx, e.SecretID, LabelCurrent, c.Secret.VersionWith(LabelCurrent), e.Token)
}

// tidy takes the label off the value that the version was made of. It leaves
// AWSPENDING on the version: AWS takes it off itself, and a rotation may begin
// while it is where AWSCURRENT is.
func (r *Rotator) tidy(ctx context.Context, e Event, s Secret) error {
	if holder, label := s.supplied(e.Token); holder != "" {
		return r.moveLabel(ctx, e.SecretID, label, holder, "")
	}
	return nil
}

// moveLabel moves a label. Where the same step runs twice at once, or the
// service tidies up itself, the one that comes second finds it done.
func (r *Rotator) moveLabel(ctx context.Context, secretID, label, from, to string) error {
	err := r.store.MoveLabel(ctx, secretID, label, from, to)
	if err == nil {
		return nil
	}
	now, describeErr := r.store.Describe(ctx, secretID)
	if describeErr == nil && !now.Has(from, label) && (to == "" || now.Has(to, label)) {
		return nil
	}
	return err
}

// earlierValues reads the values before the current one: AWSPREVIOUS, then
// those that have lost their labels, newest first, but for the version that is
// left out. A version without a value is passed over.
func earlierValues(ctx context.Context, store Store, s Secret, without string) iter.Seq2[Value, error] {
	return func(yield func(Value, error) bool) {
		read := func(version string) bool {
			if version == "" || version == without {
				return true
			}
			v, err := store.Get(ctx, s.ARN, version, "")
			return errors.Is(err, ErrNoValue) || yield(v, err) && err == nil
		}
		if !read(s.VersionWith(LabelPrevious)) {
			return
		}
		unlabelled, err := store.Unlabelled(ctx, s.ARN)
		if err != nil {
			yield(Value{}, err)
			return
		}
		for _, version := range unlabelled {
			if !read(version) {
				return
			}
		}
	}
}
