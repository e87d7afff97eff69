package lambda

import (
	"net/http"

	"github.com/rekey-go/rekey/internal/local/wire"
)

// reservation is a function's reserved concurrency on the wire.
type reservation struct {
	ReservedConcurrentExecutions *int `json:",omitempty"`
}

// reservation is empty where the account's limit alone applies.
func (f *function) reservation() reservation {
	if f.ReservedConcurrency == 0 {
		return reservation{}
	}
	return reservation{new(max(f.ReservedConcurrency, 0))}
}

func (s *Service) serveGetConcurrency(w http.ResponseWriter, r *http.Request, _ *wire.Call) error {
	f, err := s.called(r)
	if err != nil {
		return err
	}
	s.mu.Lock()
	out := f.reservation()
	s.mu.Unlock()
	return writeJSON(w, http.StatusOK, out)
}

func (s *Service) servePutConcurrency(w http.ResponseWriter, r *http.Request, c *wire.Call) error {
	var in reservation
	if err := decodeInput(r, c, &in); err != nil {
		return err
	}
	n := in.ReservedConcurrentExecutions
	if n == nil || *n < 0 {
		return invalidParameter("ReservedConcurrentExecutions is a number from 0")
	}
	reserved := *n
	if reserved == 0 {
		reserved = NoConcurrency
	}
	if err := s.reserve(r, reserved); err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, in)
}

func (s *Service) serveDeleteConcurrency(w http.ResponseWriter, r *http.Request, c *wire.Call) error {
	c.Input = recorded(nil, r.PathValue("name"))
	if err := s.reserve(r, 0); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// reserve sets the concurrency of the function that a request is about. What
// waits for an environment looks again.
func (s *Service) reserve(r *http.Request, n int) error {
	f, err := s.called(r)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f.ReservedConcurrency = n
	s.wakeLocked()
	return nil
}
