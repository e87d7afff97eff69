package secretsmanager

import (
	"context"
	"strings"
	"time"

	"github.com/rekey-go/rekey/internal/local/wire"
)

const (
	minWindow     = 7 // days
	maxWindow     = 30
	defaultWindow = 30
)

// The service events of deletions.
const (
	deleteStarted   = "StartSecretVersionDelete"
	deleteCancelled = "CancelSecretVersionDelete"
	deleteEnded     = "EndSecretVersionDelete"
)

type deleteInput struct {
	SecretID                   string `json:"SecretId"`
	RecoveryWindowInDays       *int
	ForceDeleteWithoutRecovery bool
}

func (in *deleteInput) check(c *constraints) { c.secretID(in.SecretID) }

type deleteOutput struct {
	ARN, Name    string
	DeletionDate wire.Timestamp
}

func (s *Service) deleteSecret(_ context.Context, c *wire.Call, in *deleteInput) (*deleteOutput, error) {
	days := defaultWindow
	if in.RecoveryWindowInDays != nil {
		days = *in.RecoveryWindowInDays
		if days < minWindow || days > maxWindow {
			return nil, invalidParameter("The RecoveryWindowInDays value must be between %d and %d days (inclusive).", minWindow, maxWindow)
		}
		if in.ForceDeleteWithoutRecovery {
			return nil, invalidParameter("You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays.")
		}
	}
	e, _, err := s.resolve(c, in.SecretID)
	if in.ForceDeleteWithoutRecovery {
		return s.forceDelete(e, in.SecretID)
	}
	if err != nil {
		return nil, err
	}
	next, err := s.change(e, func(next *secret) error {
		next.Deletion = s.now().Add(time.Duration(days) * 24 * time.Hour)
		next.Run = nil
		return nil
	})
	if err != nil {
		return nil, err
	}
	s.announceDeletion(next, deleteStarted)
	return &deleteOutput{ARN: e.arn, Name: e.name, DeletionDate: wire.Timestamp(next.Deletion)}, nil
}

// forceDelete removes a secret at once. It succeeds where there is none.
func (s *Service) forceDelete(e *entry, id string) (*deleteOutput, error) {
	now := s.now()
	if e == nil {
		name, isARN := strings.CutPrefix(id, s.arnPrefix)
		out := &deleteOutput{ARN: id, Name: name, DeletionDate: wire.Timestamp(now)}
		if !isARN {
			out.ARN = s.arnPrefix + name + "-" + suffix()
		} else if endsLikeARN(name) {
			out.Name = name[:len(name)-suffixLength-1]
		}
		return out, nil
	}
	st := e.state.Load()
	if !st.deleted() {
		s.announceDeletion(st, deleteStarted)
	}
	if err := s.purge(e, func(*secret) bool { return true }); err != nil {
		return nil, err
	}
	return &deleteOutput{ARN: e.arn, Name: e.name, DeletionDate: wire.Timestamp(now)}, nil
}

// Remove removes a secret at once, as ForceDeleteWithoutRecovery does; there
// need not be one.
func (s *Service) Remove(arn string) error {
	e := s.find(arn)
	if e == nil {
		return nil
	}
	_, err := s.forceDelete(e, arn)
	return err
}

// purgeDue removes a secret whose recovery window is over.
func (s *Service) purgeDue(e *entry) {
	err := s.purge(e, func(st *secret) bool { return st.deleted() && !s.now().Before(st.Deletion) })
	if err != nil {
		s.opts.Logger.ErrorContext(s.ctx, "removing a secret after its recovery window", "secret", e.name, "error", err)
	}
}

// purge removes a secret for good, if it still is in the state that agreed
// demands.
func (s *Service) purge(e *entry, agreed func(st *secret) bool) error {
	s.making.Lock()
	defer s.making.Unlock()
	e.writing.Lock()
	defer e.writing.Unlock()
	st := e.state.Load()
	if e.gone || !agreed(st) {
		return nil
	}
	if err := s.erase(st); err != nil {
		return err
	}
	e.gone = true
	ended := *st
	ended.Run = nil
	e.state.Store(&ended)
	e.stopTimers()
	s.mu.Lock()
	delete(s.byName, e.name)
	delete(s.byARN, e.arn)
	s.mu.Unlock()
	s.announceDeletion(st, deleteEnded)
	return nil
}

// restoreSecret takes the mark of a deletion off; it succeeds where there is
// none.
func (s *Service) restoreSecret(_ context.Context, c *wire.Call, in *secretID) (*secretName, error) {
	e, _, err := s.resolve(c, in.SecretID)
	if err != nil {
		return nil, err
	}
	restored := false
	next, err := s.update(e, func(next *secret) error {
		if !next.deleted() {
			return errUnchanged
		}
		restored = true
		next.Deletion, next.Changed = time.Time{}, s.now()
		next.Rotation.plan(s.now())
		return nil
	})
	if err != nil {
		return nil, err
	}
	if restored {
		s.announceDeletion(next, deleteCancelled)
	}
	return &secretName{ARN: e.arn, Name: e.name}, nil
}
