package secretsmanager

import (
	"fmt"
	"time"

	"github.com/rekey-go/rekey/internal/local/store"
)

// Secrets and versions are kept apart, so that moving a label does not write
// values again.
const (
	secretTable  = "secretsmanager.secrets"  // :: ARN -> meta
	versionTable = "secretsmanager.versions" // :: ARN/version id -> versionRecord
)

// load fills the service from the store.
func (s *Service) load() error {
	err := s.opts.Store.Table(secretTable).Load(func(_ string, decode func(any) error) error {
		st := new(secret)
		if err := decode(&st.meta); err != nil {
			return err
		}
		st.versions = versions{labels: st.Labels}.clone()
		s.insert(newEntry(st))
		return nil
	})
	if err != nil {
		return err
	}
	return s.opts.Store.Table(versionTable).Load(func(key string, decode func(any) error) error {
		var r versionRecord
		if err := decode(&r); err != nil {
			// The decoder's own text could quote the value.
			return fmt.Errorf("decoding version %s: %w", key, store.ErrTampered)
		}
		if e := s.byARN[r.ARN]; e != nil {
			e.state.Load().versions.set(r.version())
		}
		return nil
	})
}

// insert puts a secret into the index.
func (s *Service) insert(e *entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.byName[e.name], s.byARN[e.arn] = e, e
}

// save writes what differs between two states of a secret; before is nil for
// a new one.
func (s *Service) save(e *entry, before, next *secret) error {
	if before == nil {
		before = new(secret)
	}
	changed, gone := next.versions.since(before.versions)
	e.access.forget(gone)
	if s.opts.Store == nil {
		return nil
	}
	next.Labels, next.Accessed = next.versions.labels, e.access.keep()
	err := s.opts.Store.Update(func(tx *store.Tx) error {
		for _, v := range changed {
			if err := tx.Put(versionTable, e.arn+"/"+v.id, v.record(e.arn)); err != nil {
				return err
			}
		}
		for _, id := range gone {
			if err := tx.Delete(versionTable, e.arn+"/"+id); err != nil {
				return err
			}
		}
		return tx.Put(secretTable, e.arn, next.meta)
	})
	if err != nil {
		return fmt.Errorf("storing secret %s: %w", e.name, err)
	}
	return nil
}

// erase removes a secret from the store.
func (s *Service) erase(st *secret) error {
	err := s.opts.Store.Update(func(tx *store.Tx) error {
		for _, v := range st.versions.all {
			if err := tx.Delete(versionTable, st.ARN+"/"+v.id); err != nil {
				return err
			}
		}
		return tx.Delete(secretTable, st.ARN)
	})
	if err != nil {
		return fmt.Errorf("erasing secret %s: %w", st.Name, err)
	}
	return nil
}

// touch notes that a version was read. The first read of a day is stored,
// beside the reader; what follows is stored with the next write.
func (s *Service) touch(e *entry, id string, now time.Time) {
	if e.access.note(id, now) && s.opts.Store != nil {
		s.background(func() {
			if _, err := s.update(e, func(*secret) error { return nil }); err != nil {
				s.opts.Logger.WarnContext(s.ctx, "storing the day of the last access", "secret", e.name, "error", err)
			}
		})
	}
}

func (v *version) record(arn string) versionRecord {
	r := versionRecord{ARN: arn, ID: v.id, Created: v.created, KeyID: v.keyID}
	if v.value != nil {
		r.Text, r.Binary = v.value.text, v.value.bytes()
	}
	return r
}

func (r versionRecord) version() *version {
	v := &version{id: r.ID, created: r.Created, keyID: r.KeyID}
	switch {
	case r.Text != nil:
		v.value = &value{text: r.Text}
	case r.Binary != nil:
		v.value = &value{binary: &r.Binary}
	}
	return v
}
