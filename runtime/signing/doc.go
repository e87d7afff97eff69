// Package signing signs and verifies with keys that rotate: tokens (JWT) with a
// key set, and the MACs of webhooks with a key set or with one opaque value.
//
//	keys := signing.NewKeys(client, "jwt-configuration")
//	token, err := keys.Sign(ctx, jwt.MapClaims{"sub": "7", "exp": ...})
//	err = keys.Verify(ctx, token, &claims)
//
// # Why nothing fails while a key rotates
//
// A signing key cannot fail a login, so nothing tells a verifier that it is
// behind; whoever has the newer version signs with a key that others must know
// already. A key set has, for each time, the keys of the time before and after:
// next is known to everybody before it signs, current signs, and previous ones are
// accepted until they are retired. A verifier accepts all of them, so signers and
// verifiers may take a version over in any order. An opaque value has the
// staging labels for that: AWSCURRENT signs, and AWSPREVIOUS is accepted too
// until it is retired.
//
// # Looking again
//
// What no accepted key has signed may be of a version that has not come here
// yet. Then the secret is read again before the token is refused, at most once a
// second, since anybody can make up the name of a key. Those who come meanwhile
// wait for the same read.
//
// # What is checked
//
// The algorithm of a token has to be that of the key which it names; there is no
// "none", and no RSA key is taken for the text of an HMAC key. Issuer and expiry
// are checked always, the audience and all else with the options of
// [github.com/golang-jwt/jwt/v5]. MACs are compared in constant time. No error
// quotes a key, a token or a MAC.
package signing

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/rekey-go/rekey/runtime/secrets"
)

var (
	// ErrRefused means that something is wrong with a token or a MAC: answer with
	// 401. All other errors mean that the keys could not be read.
	ErrRefused = errors.New("the signature is refused")
	// ErrUnknownKey means, beside ErrRefused, that no accepted key has signed. It
	// may be of one that was retired.
	ErrUnknownKey = fmt.Errorf("%w: no accepted key has signed", ErrRefused)
)

// Options configure [Keys] and a [Webhook].
type Options struct {
	// Again is how often at most the secret is read again for what no accepted
	// key has signed. If zero, once a second.
	Again time.Duration
	// Field is the member of a JSON object that is a [Webhook]'s secret. If
	// empty, the whole value is.
	Field string
}

func optionsOf(optFns []func(*Options)) Options {
	opts := Options{Again: time.Second}
	for _, fn := range optFns {
		fn(&opts)
	}
	return opts
}

// again reads a secret again for those whose token or MAC no key has signed.
type again struct {
	client *secrets.Client
	name   string
	every  time.Duration
	then   func() // is called when it was read; nil for nothing

	mu     sync.Mutex
	last   time.Time
	flight *flight // the read under way
}

type flight struct {
	done chan struct{}
	err  error
}

// read reads the secret again, unless that was done a moment ago. Those who come
// while it is read wait for the same answer, each as long as its own context
// allows. Whoever comes just after has not seen that answer, perhaps; so all
// look at what is in memory once more.
func (a *again) read(ctx context.Context) error {
	a.mu.Lock()
	f := a.flight
	if f == nil {
		if !a.last.IsZero() && time.Since(a.last) < a.every {
			a.mu.Unlock()
			return nil
		}
		f = &flight{done: make(chan struct{})}
		a.flight, a.last = f, time.Now()
		go a.run(context.WithoutCancel(ctx), f)
	}
	a.mu.Unlock()
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (a *again) run(ctx context.Context, f *flight) {
	held, err := a.client.Get(ctx, a.name)
	if err == nil {
		_, err = a.client.Refresh(ctx, a.name, held)
	}
	if err == nil && a.then != nil {
		a.then()
	}
	a.mu.Lock()
	a.flight = nil
	a.mu.Unlock()
	f.err = err
	close(f.done)
}
