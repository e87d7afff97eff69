package lambda

import (
	"slices"

	"github.com/rekey-go/rekey/internal/local/iam"
	"github.com/rekey-go/rekey/internal/local/wire"
)

// A permission is a statement of a function's resource policy.
type permission struct{ sid, principal, sourceARN, sourceAccount string }

// AddPermission lets a principal, such as secretsmanager.amazonaws.com, invoke
// a function. The source's ARN may have the wildcards * and ?; where it or the
// source's account is empty, any will do. A permission for a function that
// does not exist has no effect. What is returned takes the permission back.
func (s *Service) AddPermission(functionARN, principal, sourceARN, sourceAccount string) (remove func()) {
	p := permission{sid: wire.NewID(), principal: principal, sourceARN: sourceARN, sourceAccount: sourceAccount}
	_ = s.permit(functionARN, p)
	return func() { _ = s.revoke(functionARN, p.sid) } // it may have gone with the function
}

func (s *Service) permit(functionARN string, p permission) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, err := s.findLocked(functionARN)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(f.permissions, func(other permission) bool { return other.sid == p.sid }) {
		return conflict("The statement id (%s) provided already exists. Please provide a new statement id, or remove the existing statement.", p.sid)
	}
	f.permissions, f.policyRevision = append(f.permissions, p), wire.NewID()
	return nil
}

// revoke removes a statement from a function's policy.
func (s *Service) revoke(functionARN, sid string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, err := s.findLocked(functionARN)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(f.permissions, func(p permission) bool { return p.sid == sid })
	if i < 0 {
		return notFound("Statement %s is not found in resource policy.", sid)
	}
	f.permissions, f.policyRevision = slices.Delete(slices.Clone(f.permissions), i, i+1), wire.NewID()
	return nil
}

// Has reports whether there is a function.
func (s *Service) Has(functionARN string) bool {
	_, err := s.find(functionARN)
	return err == nil
}

// RoleOf is the ARN of a function's role; empty where there is no such function.
func (s *Service) RoleOf(functionARN string) string {
	f, err := s.find(functionARN)
	if err != nil {
		return ""
	}
	return s.definition(f).RoleARN
}

// Allows reports whether a function exists and its policy lets a principal
// invoke it for a source.
func (s *Service) Allows(functionARN, principal, sourceARN string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, err := s.findLocked(functionARN)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(f.permissions, func(p permission) bool {
		return (p.principal == principal || p.principal == "*") &&
			(p.sourceARN == "" || iam.ArnLike(p.sourceARN, sourceARN)) &&
			(p.sourceAccount == "" || p.sourceAccount == s.opts.Account)
	})
}
