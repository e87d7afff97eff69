package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	smithytime "github.com/aws/smithy-go/time"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/rekey-go/rekey/internal/follow"
	"github.com/rekey-go/rekey/internal/stack"
	"github.com/rekey-go/rekey/runtime/bulletin"
)

// rotations is how many there are in the story.
const rotations = 4

// The values of the tag rekey:strategy.
const (
	alternating = "alternating-users"
	single      = "single-user"
)

// patience is how long the story waits for anything. It is long, for machines under
// load.
const patience = 2 * time.Minute

// rotateAll rotates the login in every way, under the load.
func (s *story) rotateAll(ctx context.Context) error {
	first := credential{user: stack.SampleUser, password: stack.SamplePassword}
	ways := []struct {
		name, strategy string
		start          func(ctx context.Context) (version string, err error)
	}{
		{"alternating users", alternating, s.rotate},
		{"single user", single, s.rotate},
		{"on demand, PUT /admin/secrets/rotate", alternating, s.rotateByAPI},
		{"alternating users, rotator killed in mid-step", alternating, s.rotateAndKill},
	}
	for i, way := range ways {
		if err := s.strategy(ctx, way.strategy); err != nil {
			return err
		}
		if err := s.rotateOnce(ctx, i+1, way.name, way.start); err != nil {
			return fmt.Errorf("rotation %d (%s): %w", i+1, way.name, err)
		}
		if i == 0 {
			if err := s.awaitRefusal(ctx, first); err != nil {
				return err
			}
		}
	}
	last, err := s.supersededLogin(ctx)
	if err != nil {
		return err
	}
	if err := s.awaitRefusal(ctx, last); err != nil {
		return err
	}
	s.result.Revoked = true
	return nil
}

// strategy sets the tag by which the rotator chooses.
func (s *story) strategy(ctx context.Context, name string) error {
	_, err := s.secrets.TagResource(ctx, &secretsmanager.TagResourceInput{
		SecretId: &s.arn, Tags: []types.Tag{{Key: new("rekey:strategy"), Value: &name}},
	})
	if err != nil {
		return fmt.Errorf("choosing the strategy: %w", err)
	}
	return nil
}

// rotateOnce starts a rotation and waits until every consumer holds what came
// of it.
func (s *story) rotateOnce(ctx context.Context, n int, name string, start func(context.Context) (string, error)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	began := time.Now()
	version, err := start(ctx)
	if err != nil {
		return err
	}
	err = follow.Rotation{Secrets: s.secrets, Trail: s.trail, ARN: s.arn, VersionID: version, Started: began}.Wait(ctx)
	if err != nil {
		return err
	}
	took := time.Since(began)
	about, err := s.secrets.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &s.arn})
	if err != nil {
		return err
	}
	holders, slowest, err := s.awaitFresh(ctx, version, aws.ToTime(about.LastChangedDate))
	if err != nil {
		return err
	}
	s.result.Rotations++
	s.say("rotation %d, %s: done in %d ms; all %d environments fresh %d ms later", n, name, took.Milliseconds(), holders, slowest.Milliseconds())
	return nil
}

func (s *story) rotate(ctx context.Context) (string, error) {
	out, err := s.secrets.RotateSecret(ctx, &secretsmanager.RotateSecretInput{SecretId: &s.arn})
	if err != nil {
		return "", err
	}
	return aws.ToString(out.VersionId), nil
}

func (s *story) rotateByAPI(ctx context.Context) (string, error) {
	_, data, err := s.api(ctx, http.MethodPut, "/admin/secrets/rotate?wait=20s", map[string]string{"secretName": secretName})
	if err != nil {
		return "", err
	}
	var answer struct {
		VersionID string `json:"versionId"`
	}
	if err := json.Unmarshal(data, &answer); err != nil || answer.VersionID == "" {
		return "", errors.New("the admin API told no version")
	}
	return answer.VersionID, nil
}

// freshPoll is how often the leases are looked at. It bounds how long the
// story waits, not what it measures: a lease says itself since when.
const freshPoll = 20 * time.Millisecond

// awaitFresh waits until every live lease is on the version, and notes how
// long each consumer took since the rotation's end.
func (s *story) awaitFresh(ctx context.Context, version string, promoted time.Time) (holders int, slowest time.Duration, err error) {
	for {
		leases, err := s.board.Leases(ctx, s.arn)
		if err != nil {
			return 0, 0, err
		}
		now := time.Now()
		leases = slices.DeleteFunc(leases, func(l bulletin.Lease) bool { return now.After(l.Expires) })
		behind := slices.ContainsFunc(leases, func(l bulletin.Lease) bool { return l.VersionID != version })
		if len(leases) > 0 && !behind {
			for _, l := range leases {
				delay := max(0, l.Since.Sub(promoted))
				s.delays, slowest = append(s.delays, delay), max(slowest, delay)
				s.holders[l.Consumer] = true
				if !strings.HasPrefix(l.Consumer, s.Stack.Stage+"-login") {
					s.pushed = append(s.pushed, delay)
				}
			}
			return len(leases), slowest, nil
		}
		if err := smithytime.SleepWithContext(ctx, freshPoll); err != nil {
			return 0, 0, fmt.Errorf("waiting for every consumer to hold version %s: %w", version, err)
		}
	}
}

// distribution gives the median and the maximum.
func distribution(delays []time.Duration) Freshness {
	if len(delays) == 0 {
		return Freshness{}
	}
	sorted := slices.Sorted(slices.Values(delays))
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	return Freshness{P50: ms(sorted[len(sorted)/2]), Max: ms(sorted[len(sorted)-1])}
}

// A credential is a user's login at the database.
type credential struct{ user, password string }

// supersededLogin is the login that the last rotation replaced.
func (s *story) supersededLogin(ctx context.Context) (credential, error) {
	about, err := s.secrets.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &s.arn})
	if err != nil {
		return credential{}, fmt.Errorf("looking for the superseded version: %w", err)
	}
	var logins [2]credential
	for i, label := range []string{"AWSPREVIOUS", "AWSCURRENT"} {
		for version, labels := range about.VersionIdsToStages {
			if slices.Contains(labels, label) {
				logins[i], err = s.login(ctx, version)
			}
		}
		if err != nil {
			return credential{}, fmt.Errorf("reading the version with %s: %w", label, err)
		}
	}
	if logins[0].user == logins[1].user {
		return credential{}, errors.New("the last rotation did not change the user")
	}
	return logins[0], nil
}

// login reads the login of a version.
func (s *story) login(ctx context.Context, version string) (credential, error) {
	out, err := s.secrets.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &s.arn, VersionId: &version})
	if err != nil {
		return credential{}, err
	}
	var value struct{ Username, Password string }
	if json.Unmarshal([]byte(aws.ToString(out.SecretString)), &value) != nil || value.Password == "" {
		return credential{}, errors.New("it holds no login")
	}
	return credential{user: value.Username, password: value.Password}, nil
}

// refusalPoll keeps the tries well below what a server would call an attack.
const refusalPoll = 200 * time.Millisecond

// awaitRefusal waits until the server refuses a login's password.
func (s *story) awaitRefusal(ctx context.Context, l credential) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	began := time.Now()
	for {
		conn, err := s.Stack.Database.Login(ctx, l.user, l.password, "app")
		if refused, ok := errors.AsType[*pgconn.PgError](err); ok && refused.Code == "28P01" {
			s.say("revoked: PostgreSQL refuses the old password of %q (%.1f s after the last consumer let go)", l.user, time.Since(began).Seconds())
			return nil
		}
		if err == nil {
			_ = conn.Close(ctx) // it worked, which is too early
		}
		if pauseErr := smithytime.SleepWithContext(ctx, refusalPoll); pauseErr != nil {
			return errors.Join(fmt.Errorf("waiting for the old password of %q to be revoked: %w", l.user, pauseErr), err)
		}
	}
}
