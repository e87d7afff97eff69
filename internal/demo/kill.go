package demo

import (
	"context"
	"errors"
	"fmt"
	"time"

	smithytime "github.com/aws/smithy-go/time"
	"github.com/jackc/pgx/v5"
)

// killPoll is how often the story looks whether the rotator has come to the
// point where it is killed.
const killPoll = 5 * time.Millisecond

// rotateAndKill starts a rotation and kills the rotating function with SIGKILL
// while it changes the password. To hold it there for a moment, the catalogue
// of roles is locked against changes; logins go on.
func (s *story) rotateAndKill(ctx context.Context) (string, error) {
	db := s.Stack.Database
	conn, err := db.Login(ctx, db.User, db.Password, "app")
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // nothing is lost with the session
	tx, err := conn.Begin(ctx)
	if err != nil {
		return "", err
	}
	if _, err := tx.Exec(ctx, "LOCK TABLE pg_authid IN SHARE MODE"); err != nil {
		return "", fmt.Errorf("holding the change of a password up: %w", err)
	}
	version, err := s.rotate(ctx)
	if err != nil {
		return "", err
	}
	if err := s.killWaiting(ctx, tx); err != nil {
		return "", err
	}
	return version, tx.Rollback(ctx)
}

// killWaiting kills the rotator once it waits for the lock.
func (s *story) killWaiting(ctx context.Context, tx pgx.Tx) error {
	const waiting = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database())"
	for {
		// Within a transaction the server shows what it showed at first.
		if _, err := tx.Exec(ctx, "SELECT pg_stat_clear_snapshot()"); err != nil {
			return err
		}
		var there bool
		if err := tx.QueryRow(ctx, waiting).Scan(&there); err != nil {
			return err
		}
		if there {
			break
		}
		if err := smithytime.SleepWithContext(ctx, killPoll); err != nil {
			return fmt.Errorf("waiting for setSecret: %w", err)
		}
	}
	engine := s.Stack.Engine
	for _, env := range engine.Lambda.Environments(engine.Function("DbRotator")) {
		if !env.Busy {
			continue
		}
		if err := engine.Lambda.Kill(env.PID); err != nil {
			return fmt.Errorf("killing the rotator: %w", err)
		}
		s.say("kill -9 %d: the rotator, in the middle of setSecret", env.PID)
		return nil
	}
	return errors.New("no environment of the rotator is at work")
}
