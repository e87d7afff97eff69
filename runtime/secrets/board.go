package secrets

import (
	"context"
	"time"

	"github.com/rekey-go/rekey/runtime/bulletin"
)

// A pursuit is the read of a version that the board names.
type pursuit struct {
	flight *flight
	entry  bulletin.Entry
}

const (
	// skew is by how much the clock of whoever wrote the board may be behind.
	skew = time.Minute
	// lookTries is how often the board is asked for where leases have run out:
	// after a freeze the first try may go to a dead connection.
	lookTries = 2
)

// read reads the board, and begins to read what is newer there than in memory.
// Where the leases had run out, reads wait for that: the value in memory may
// have been revoked since.
func (w *watch) read(ctx context.Context, started instant) (map[string]pursuit, error) {
	lapsed := !started.before(w.lease.load())
	w.checks.Add(1)
	board, err := w.ask(ctx)
	if err != nil && lapsed {
		board, err = w.ask(ctx)
	}
	if err != nil {
		return nil, err
	}
	pursuits := make(map[string]pursuit)
	for e, s := range w.c.held() {
		posted, ok := board.Entry(s.secret.arn)
		if !ok || w.knows(posted, s) {
			continue
		}
		if f := w.follow(ctx, e, s, posted, lapsed); f != nil {
			pursuits[posted.SecretARN] = pursuit{flight: f, entry: posted}
		} else {
			w.note(posted.SecretARN, posted)
		}
	}
	return pursuits, nil
}

func (w *watch) ask(ctx context.Context) (bulletin.Board, error) {
	ctx, cancel := context.WithTimeout(ctx, w.c.opts.CheckTimeout)
	defer cancel()
	return w.board.Read(ctx)
}

// knows reports whether an entry of the board says nothing new: it was looked
// into before, or the value in memory was read well after it was written.
func (w *watch) knows(posted bulletin.Entry, s *state) bool {
	w.mu.Lock()
	noted, ok := w.noted[posted.SecretARN]
	w.mu.Unlock()
	same := ok && noted.VersionID == posted.VersionID && noted.Deleted == posted.Deleted && noted.At.Equal(posted.At)
	return same || s.failures == 0 && s.hold == usable && posted.At.Add(skew).Before(s.fetched.time())
}

// follow begins the read of what the board says is current.
func (w *watch) follow(ctx context.Context, e *entry, s *state, posted bulletin.Entry, lapsed bool) *flight {
	news := Rotated{
		SecretARN: posted.SecretARN, Name: posted.Name, VersionID: posted.VersionID,
		PreviousVersionID: posted.PreviousVersionID, Reason: posted.Reason, At: posted.At,
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if posted.VersionID != s.secret.version || posted.Deleted {
		switch {
		case posted.Deleted:
			e.condemn(revoked)
		case lapsed:
			e.condemn(superseded)
		}
	}
	e.strike(news)
	return w.c.supersede(ctx, e, news)
}

// note remembers that an entry of the board needs no second look.
func (w *watch) note(arn string, posted bulletin.Entry) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.noted[arn] = posted
}
