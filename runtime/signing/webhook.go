package signing

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/rekey-go/rekey/runtime/secrets"
)

// A Webhook makes and checks MACs under an opaque secret, as package
// rotation/random rotates it: AWSCURRENT signs, AWSCURRENT and AWSPREVIOUS are
// accepted. It is safe for concurrent use.
//
// A role that may not read AWSPREVIOUS accepts AWSCURRENT alone.
type Webhook struct {
	client *secrets.Client
	name   string
	read   []secrets.ReadOption
	again  *again
	held   atomic.Pointer[held]
}

// held is what is known of the version before the current one.
type held struct {
	current *secrets.Secret
	// until is until when there is known to be none; zero where there is one.
	until time.Time
}

// none is for how long it is remembered that no version is previous.
const none = time.Minute

// NewWebhook returns the webhook of a secret. It makes no call.
func NewWebhook(client *secrets.Client, name string, optFns ...func(*Options)) *Webhook {
	opts := optionsOf(optFns)
	w := &Webhook{client: client, name: name, again: &again{client: client, name: name, every: opts.Again}}
	w.again.then = func() { w.held.Store(nil) } // AWSPREVIOUS may have moved too
	if opts.Field != "" {
		w.read = []secrets.ReadOption{secrets.Field(opts.Field)}
	}
	return w
}

// MAC is the HMAC-SHA-256 of a message under the current value.
func (w *Webhook) MAC(ctx context.Context, message []byte) ([]byte, error) {
	current, err := w.current(ctx)
	if err != nil {
		return nil, err
	}
	return sum(current, message), nil
}

// VerifyMAC checks the HMAC-SHA-256 of a message under every accepted value, in
// constant time. The error wraps [ErrUnknownKey] if none has made it, and one of
// package secrets where the values could not be read.
func (w *Webhook) VerifyMAC(ctx context.Context, message, mac []byte) error {
	return w.Accept(ctx, func(secret []byte) bool { return hmac.Equal(hash(secret, message), mac) })
}

// Accept asks about every accepted value, current first, until one is right. It
// is for schemes that are no HMAC-SHA-256; compare in constant time. Where none
// is right, the values are read again and asked about once more, at most once a
// second. The error is as in [Webhook.VerifyMAC].
func (w *Webhook) Accept(ctx context.Context, right func(secret []byte) bool) error {
	ok, err := w.try(ctx, right)
	if ok || err != nil {
		return err
	}
	if err := w.again.read(ctx); err != nil {
		return fmt.Errorf("reading the values of %s again: %w", w.name, err)
	}
	if ok, err = w.try(ctx, right); ok || err != nil {
		return err
	}
	return ErrUnknownKey
}

func (w *Webhook) try(ctx context.Context, right func(secret []byte) bool) (bool, error) {
	values, err := w.accepted(ctx)
	if err != nil {
		return false, err
	}
	for _, v := range values {
		if right([]byte(v.Reveal())) {
			return true, nil
		}
	}
	return false, nil
}

func (w *Webhook) current(ctx context.Context) (*secrets.Secret, error) {
	current, err := w.client.Get(ctx, w.name, w.read...)
	if err != nil {
		return nil, fmt.Errorf("reading the current value: %w", err)
	}
	return current, nil
}

// accepted are the values that count. The one before is asked for when another
// becomes current, so that it is never that of two rotations ago; where it
// cannot be had then, it is the one that was current until now.
func (w *Webhook) accepted(ctx context.Context) ([]*secrets.Secret, error) {
	current, err := w.current(ctx)
	if err != nil {
		return nil, err
	}
	h := w.held.Load()
	same := h != nil && h.current.VersionID() == current.VersionID()
	if same && !h.until.IsZero() && time.Now().Before(h.until) {
		return []*secrets.Secret{current}, nil
	}
	options := append([]secrets.ReadOption{secrets.Stage("AWSPREVIOUS")}, w.read...)
	if !same {
		options = append(options, secrets.NoCache())
	}
	previous, err := w.client.Get(ctx, w.name, options...)
	switch {
	case err == nil:
		w.held.Store(&held{current: current})
		return []*secrets.Secret{current, previous}, nil
	case absent(err):
		w.held.Store(&held{current: current, until: time.Now().Add(none)})
		return []*secrets.Secret{current}, nil
	case ctx.Err() != nil:
		return nil, fmt.Errorf("reading the previous value: %w", err)
	case h != nil && !same:
		return []*secrets.Secret{current, h.current}, nil
	}
	return []*secrets.Secret{current}, nil
}

// absent reports whether there is no previous value, or none for this role.
func absent(err error) bool {
	return errors.Is(err, secrets.ErrNoValue) || errors.Is(err, secrets.ErrDenied)
}

func sum(secret *secrets.Secret, message []byte) []byte {
	return hash([]byte(secret.Reveal()), message)
}

func hash(secret, message []byte) []byte {
	h := hmac.New(sha256.New, secret)
	_, _ = h.Write(message) // never fails
	return h.Sum(nil)
}
