package rotation

import "context"

// known is what a process knows of a rotation under way, from the steps that it
// has run. It saves calls and nothing depends on it: each step may come to
// another process. The value of a version never changes once it is there.
type known struct {
	token string
	// tested says that the pending value passed its test here.
	tested bool
	// pending is the value of the token's version, and current that of the
	// version currentID. They may be empty.
	pending, current Value
	currentID        string
}

// know returns what is known of the rotation of a secret to a token, after
// change, which may be nil. What was known of an earlier rotation is forgotten.
func (r *Rotator) know(secretID, token string, change func(*known)) known {
	r.mu.Lock()
	defer r.mu.Unlock()
	k := r.known[secretID]
	if k.token != token {
		k = known{token: token}
	}
	if change != nil {
		change(&k)
		r.known[secretID] = k
	}
	return k
}

// forget drops what is known of a secret's rotation, with its values.
func (r *Rotator) forget(secretID string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.known, secretID)
}

// pending is the value of the event's version, which carries AWSPENDING.
func (r *Rotator) pending(ctx context.Context, e Event) (Value, error) {
	if k := r.know(e.SecretID, e.Token, nil); !k.pending.Empty() {
		return k.pending, nil
	}
	v, err := r.store.Get(ctx, e.SecretID, e.Token, LabelPending)
	if err == nil {
		r.know(e.SecretID, e.Token, func(k *known) { k.pending = v })
	}
	return v, err
}

// current is the value of the version that Describe said is current.
func (r *Rotator) current(ctx context.Context, e Event, s Secret) (Value, error) {
	version := s.VersionWith(LabelCurrent)
	if version == "" {
		return Value{}, ErrNoValue
	}
	if k := r.know(e.SecretID, e.Token, nil); k.currentID == version {
		return k.current, nil
	}
	v, err := r.store.Get(ctx, e.SecretID, version, LabelCurrent)
	if err == nil {
		r.know(e.SecretID, e.Token, func(k *known) { k.currentID, k.current = version, v })
	}
	return v, err
}
