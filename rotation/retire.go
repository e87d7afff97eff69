package rotation

import (
	"context"
	"errors"
	"fmt"
)

// Retire revokes a superseded version of a secret. The caller knows that no
// consumer holds the version any more.
//
// It may be repeated, and it never takes away what is needed: the error wraps
// [ErrInUse] where the version, or what it is for, is current or pending (again), as
// after a rollback. It is [ErrReplaced] where there is nothing to do, because
// the strategy has no overlap. The labels are looked at again when nobody else
// can change the target, so that a rotation that starts at the same time is
// seen.
func Retire(ctx context.Context, store Store, choose Chooser, secretID, versionID string) error {
	secret, err := store.Describe(ctx, secretID)
	if err != nil {
		return err
	}
	for _, label := range []string{LabelCurrent, LabelPending} {
		if secret.Has(versionID, label) {
			return fmt.Errorf("the version carries %s: %w", label, ErrInUse)
		}
	}
	v, err := store.Get(ctx, secretID, versionID, "")
	if err != nil {
		return err
	}
	strategy, err := choose(ctx, secret, v)
	if err != nil {
		return err
	}
	retirer, ok := strategy.(Retirer)
	if !ok {
		return ErrReplaced
	}
	return retirer.Retire(ctx, Retirement{Secret: secret, VersionID: versionID, Superseded: v, Store: store})
}

// retireUser takes away the password of a user that no version needs.
func retireUser(ctx context.Context, db Database, get Superuser, r Retirement) error {
	old, err := ParseCredential(r.Superseded)
	if err != nil {
		return err
	}
	inUse := func(ctx context.Context) error { return needed(ctx, r, old) }
	if err := inUse(ctx); err != nil {
		return err
	}
	super, err := superuser(ctx, get, old)
	if err != nil {
		return err
	}
	super.AnyDatabase = true
	return use(ctx, db, super, func(session Session) error {
		return session.Revoke(ctx, old.Username, inUse)
	})
}

// needed says why the user of an old login is still needed, if it is.
func needed(ctx context.Context, r Retirement, old Credential) error {
	for _, label := range []string{LabelCurrent, LabelPending} {
		v, err := r.Store.Get(ctx, r.Secret.ARN, "", label)
		if errors.Is(err, ErrNoValue) {
			continue
		}
		if err != nil {
			return err
		}
		c, err := ParseCredential(v)
		switch {
		case err != nil:
			return err
		case c.Username != old.Username || c.Port != 0 && old.Port != 0 && c.Port != old.Port:
			continue // users are a server's, whatever the database
		case !sameHost(c.Host, old.Host):
			return configurationf("the version with %s has the same user at another host, which may be another name of the same server", label)
		case label == LabelCurrent && c.Password.Reveal() != old.Password.Reveal():
			return ErrReplaced
		}
		return fmt.Errorf("the version with %s is for %q: %w", label, old.Username, ErrInUse)
	}
	return nil
}
