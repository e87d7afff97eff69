package secrets

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"
)

var errRefused = errors.New("wrong password")

func isRefused(err error) bool { return errors.Is(err, errRefused) }

// A server accepts some values, and notes in which order versions were tried.
type server struct {
	mu      sync.Mutex
	accepts string
	tried   []string
	takes   time.Duration
}

func (s *server) login(ctx context.Context, v *Secret) error {
	s.mu.Lock()
	s.tried = append(s.tried, v.VersionID())
	ok := v.Reveal() == s.accepts
	s.mu.Unlock()
	if s.takes > 0 {
		select {
		case <-time.After(s.takes):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if !ok {
		return errRefused
	}
	return nil
}

// since returns what was tried since the last call.
func (s *server) since() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	tried := s.tried
	s.tried = nil
	return tried
}

// stage gives a version a label, and a value if it has none.
func (s *store) stage(label, version string) {
	s.set(func(s *store) {
		if _, ok := s.values[version]; !ok {
			s.values[version], s.created[version] = "value-"+version[1:], time.Now()
		}
		s.labels[label] = version
	})
}

func TestRungs(t *testing.T) {
	tests := map[string]struct {
		change  func(*store) // after v2 is current, in memory, and v1 previous
		accepts string
		want    []string
		fails   bool
	}{
		"the one at hand":                        {accepts: "value-2", want: []string{"v2"}},
		"a newer current one":                    {change: func(s *store) { s.rotate() }, accepts: "value-3", want: []string{"v2", "v3"}},
		"the pending one":                        {change: func(s *store) { s.stage("AWSPENDING", "v3") }, accepts: "value-3", want: []string{"v2", "v3"}},
		"the previous one":                       {accepts: "value-1", want: []string{"v2", "v1"}},
		"the previous one, beside a pending one": {change: func(s *store) { s.stage("AWSPENDING", "v3") }, accepts: "value-1", want: []string{"v2", "v3", "v1"}},
		"a pending label on the current one":     {change: func(s *store) { s.stage("AWSPENDING", "v2") }, accepts: "value-1", want: []string{"v2", "v1"}},
		"no more than three": {
			change:  func(s *store) { s.rotate(); s.stage("AWSPENDING", "v4"); s.stage("AWSPREVIOUS", "v1") },
			accepts: "value-2000", want: []string{"v2", "v3", "v4"}, fails: true,
		},
		"nothing": {accepts: "value-2000", want: []string{"v2", "v1"}, fails: true},
		"Secrets Manager is away": {
			change:  func(s *store) { s.set(func(s *store) { s.err = unreachable() }) },
			accepts: "value-1", want: []string{"v2"}, fails: true,
		},
	}
	for name, tt := range tests {
		for kind, with := range map[string]func(*Ladder, context.Context, func(context.Context, *Secret) error) error{
			"Do": func(l *Ladder, ctx context.Context, use func(context.Context, *Secret) error) error {
				return l.Do(ctx, isRefused, use)
			},
			"Login": func(l *Ladder, ctx context.Context, use func(context.Context, *Secret) error) error {
				return l.Login(ctx, isRefused, use)
			},
		} {
			t.Run(name+" by "+kind, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newStore()
					s.rotate()
					c := New(s, dev)
					value(t, c)
					if tt.change != nil {
						tt.change(s)
					}
					srv := &server{accepts: tt.accepts}
					err := with(c.Ladder("db"), t.Context(), srv.login)
					if tt.fails != (err != nil) || err != nil && !isRefused(err) {
						t.Errorf("got %v", err)
					}
					if diff := cmp.Diff(tt.want, srv.since()); diff != "" {
						t.Errorf("tried (-want +got):\n%s", diff)
					}
				})
			})
		}
	}
}

func TestWhatWorkedIsUsedUntilTheCurrentVersionChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		c := New(s, dev)
		s.stage("AWSPENDING", "v2")
		srv := &server{accepts: "value-2"}
		login := func(want ...string) {
			t.Helper()
			if err := c.Ladder("db").Login(t.Context(), isRefused, srv.login); err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff(want, srv.since()); diff != "" {
				t.Errorf("tried (-want +got):\n%s", diff)
			}
		}
		login("v1", "v2")
		reads := s.reads()
		login("v2")
		login("v2")
		if got := s.reads(); got != reads {
			t.Errorf("%d reads of Secrets Manager for a login that is known", got-reads)
		}
		s.set(func(s *store) { s.move("v2") }) // promoted
		if err := c.Invalidate(t.Context(), Rotated{SecretARN: dbARN, VersionID: "v2", PreviousVersionID: "v1"}); err != nil {
			t.Fatal(err)
		}
		login("v2")
		s.rotate()
		srv.accepts = "value-3"
		if err := c.Invalidate(t.Context(), Rotated{SecretARN: dbARN, VersionID: "v3", PreviousVersionID: "v2"}); err != nil {
			t.Fatal(err)
		}
		login("v3")
		s.rollback() // no event tells of it
		srv.accepts = "value-2"
		login("v3", "v2")
		login("v2")
	})
}

func TestOneClimbsForAllWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		c := New(s, dev)
		value(t, c)
		s.stage("AWSPENDING", "v2")
		s.set(func(s *store) { s.delay = 50 * time.Millisecond })
		srv := &server{accepts: "value-2", takes: 10 * time.Millisecond}
		started := time.Now()
		for range 100 {
			go func() {
				if err := c.Ladder("db").Login(t.Context(), isRefused, srv.login); err != nil {
					t.Error(err)
				}
				if took := time.Since(started); took > 150*time.Millisecond {
					t.Errorf("a login took %v", took)
				}
			}()
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if got, want := s.reads(), 3; got != want { // the first, current again, pending
			t.Errorf("%d reads of Secrets Manager, want %d", got, want)
		}
		if tried := srv.since(); len(tried) != 200 {
			t.Errorf("%d logins for 100 callers, want 2 each", len(tried))
		}
	})
}

func TestAWrongPasswordForGoodHammersNobody(t *testing.T) {
	const callers, lasts = 50, 2 * time.Minute
	tests := map[string]struct {
		run    func(*Ladder, context.Context, func(context.Context, *Secret) error) error
		logins int // at most
	}{
		"logins": {
			run: func(l *Ladder, ctx context.Context, use func(context.Context, *Secret) error) error {
				return l.Login(ctx, isRefused, use)
			},
			logins: callers + 9*maxUses, // those who came before the first refusal, and the tries after 1, 3, 7, 15 ... seconds
		},
		"other calls": {
			run: func(l *Ladder, ctx context.Context, use func(context.Context, *Secret) error) error {
				return l.Do(ctx, isRefused, use)
			},
			logins: callers*int(lasts/(100*time.Millisecond)) + 9*maxUses,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStore()
				s.rotate()
				s.stage("AWSPENDING", "v3")
				c := New(s, dev, func(o *Options) { o.TTL = time.Hour })
				srv := &server{takes: 2 * time.Millisecond}
				var failed atomic.Int32
				ctx, cancel := context.WithTimeout(t.Context(), lasts)
				defer cancel()
				var all sync.WaitGroup
				for range callers {
					all.Go(func() {
						for ctx.Err() == nil {
							err := tt.run(c.Ladder("db"), context.Background(), srv.login)
							if !isRefused(err) || strings.Contains(err.Error(), "value-") {
								t.Errorf("got %v, want a refusal without the value", err)
							}
							failed.Add(1)
							time.Sleep(98 * time.Millisecond)
						}
					})
				}
				all.Wait()
				logins := len(srv.since())
				if logins > tt.logins {
					t.Errorf("%d logins, want at most %d", logins, tt.logins)
				}
				if got := s.reads(); got > 1+4*9 {
					t.Errorf("%d reads of Secrets Manager in %v", got, lasts)
				}
				t.Logf("%d calls in %v: %d logins, %d reads of Secrets Manager", failed.Load(), lasts, logins, s.reads())
			})
		})
	}
}

func TestAfterAFall(t *testing.T) {
	start := func(t *testing.T) (*store, *Client, *server) {
		t.Helper()
		s := newStore()
		c := New(s, dev)
		srv := new(server)
		if err := c.Ladder("db").Login(t.Context(), isRefused, srv.login); !isRefused(err) {
			t.Fatal(err)
		}
		srv.since()
		return s, c, srv
	}
	expect := func(t *testing.T, err error, srv *server, accepted bool, want ...string) {
		t.Helper()
		if accepted != (err == nil) {
			t.Errorf("got %v", err)
		}
		if diff := cmp.Diff(want, srv.since()); diff != "" {
			t.Errorf("tried (-want +got):\n%s", diff)
		}
	}
	t.Run("nobody logs in for a second, then one does", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			_, c, srv := start(t)
			time.Sleep(time.Second - time.Nanosecond)
			expect(t, c.Ladder("db").Login(t.Context(), isRefused, srv.login), srv, false)
			time.Sleep(time.Nanosecond)
			srv.accepts, srv.takes = "value-1", 10*time.Millisecond
			var accepted atomic.Int32
			for range 10 {
				go func() {
					if c.Ladder("db").Login(t.Context(), isRefused, srv.login) == nil {
						accepted.Add(1)
					}
				}()
			}
			time.Sleep(20 * time.Millisecond)
			if accepted.Load() != 1 {
				t.Errorf("%d logged in at once", accepted.Load())
			}
			expect(t, nil, srv, true, "v1")
			expect(t, c.Ladder("db").Login(t.Context(), isRefused, srv.login), srv, true, "v1")
		})
	})
	t.Run("another current version is tried at once", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s, c, srv := start(t)
			s.rotate()
			srv.accepts = "value-2"
			if err := c.Invalidate(t.Context(), Rotated{SecretARN: dbARN, VersionID: "v2"}); err != nil {
				t.Fatal(err)
			}
			expect(t, c.Ladder("db").Login(t.Context(), isRefused, srv.login), srv, true, "v2")
		})
	})
	t.Run("a call that is not a login is made, and asks nobody", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s, c, srv := start(t)
			reads := s.reads()
			expect(t, c.Ladder("db").Do(t.Context(), isRefused, srv.login), srv, false, "v1")
			srv.accepts = "value-1"
			expect(t, c.Ladder("db").Do(t.Context(), isRefused, srv.login), srv, true, "v1")
			expect(t, c.Ladder("db").Login(t.Context(), isRefused, srv.login), srv, true, "v1")
			srv.accepts = ""
			expect(t, c.Ladder("db").Do(t.Context(), isRefused, srv.login), srv, false, "v1")
			if got := s.reads(); got != reads {
				t.Errorf("%d reads within a second of a fall", got-reads)
			}
		})
	})
}

// A login may take longer than a rotation. Then everything is refused, and
// nothing is wrong.
func TestAClimbThatRotationsOvertookIsNoFall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		c := New(s, dev)
		value(t, c)
		srv := new(server)
		err := c.Ladder("db").Login(t.Context(), isRefused, func(ctx context.Context, v *Secret) error {
			s.rotate()
			return srv.login(ctx, v)
		})
		if !isRefused(err) || len(srv.since()) != maxUses {
			t.Errorf("got %v", err)
		}
		s.rotate()
		srv.accepts = "value-5"
		if err := c.Ladder("db").Login(t.Context(), isRefused, srv.login); err != nil {
			t.Error(err)
		}
	})
}

func TestACallersOwnTimeBoundsTheClimb(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		c := New(s, dev)
		value(t, c)
		s.stage("AWSPENDING", "v2")
		s.set(func(s *store) { s.delay = 5 * time.Second })
		srv := &server{accepts: "value-2"}
		for range 2 { // the second waits for the first
			go func() {
				ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
				defer cancel()
				started := time.Now()
				err := c.Ladder("db").Do(ctx, isRefused, srv.login)
				if took := time.Since(started); !isRefused(err) || took > 110*time.Millisecond {
					t.Errorf("got %v after %v", err, took)
				}
			}()
		}
		time.Sleep(time.Minute)
		s.set(func(s *store) { s.delay = 0 })
		// That their time was up says nothing about the versions.
		if err := c.Ladder("db").Login(t.Context(), isRefused, srv.login); err != nil {
			t.Error(err)
		}
	})
}

func TestARevokedVersionIsNotTried(t *testing.T) {
	for _, reason := range []string{ReasonRetired, ReasonCompromised} {
		t.Run(reason, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStore()
				s.rotate()
				c := New(s, dev)
				value(t, c)
				srv := &server{accepts: "value-1"}
				login := func() error { return c.Ladder("db").Do(t.Context(), isRefused, srv.login) }
				if err := login(); err != nil || !slices.Equal(srv.since(), []string{"v2", "v1"}) {
					t.Fatalf("before it was revoked: %v", err)
				}
				news := Rotated{SecretARN: dbARN, VersionID: "v2", PreviousVersionID: "v1", Reason: reason}
				if err := c.Invalidate(t.Context(), news); err != nil {
					t.Fatal(err)
				}
				if err := login(); !isRefused(err) {
					t.Errorf("got %v", err)
				}
				if diff := cmp.Diff([]string{"v2"}, srv.since()); diff != "" {
					t.Errorf("tried (-want +got):\n%s", diff)
				}
				s.rollback() // to v1, which was set again
				if err := c.Invalidate(t.Context(), Rotated{SecretARN: dbARN, VersionID: "v1", PreviousVersionID: "v2"}); err != nil {
					t.Fatal(err)
				}
				if err := login(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// closed is a Secrets Manager whose policy lets a role read AWSCURRENT only.
type closed struct{ *store }

func (c closed) GetSecretValue(ctx context.Context, in *secretsmanager.GetSecretValueInput, opts ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error) {
	if stage := aws.ToString(in.VersionStage); stage != "" && stage != "AWSCURRENT" {
		return nil, &smithy.GenericAPIError{Code: "AccessDeniedException"}
	}
	return c.store.GetSecretValue(ctx, in, opts...)
}

func TestALabelThatMayNotBeReadIsSkipped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		s.rotate()
		c := New(closed{s}, dev)
		srv := &server{accepts: "value-3"}
		value(t, c)
		s.rotate()
		if err := c.Ladder("db").Do(t.Context(), isRefused, srv.login); err != nil {
			t.Error(err)
		}
		srv.accepts = "value-2"
		if err := c.Ladder("db").Do(t.Context(), isRefused, srv.login); !isRefused(err) {
			t.Errorf("got %v, want the refusal", err)
		}
	})
}

func TestAnErrorThatIsNoRefusalEndsTheClimb(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		s.stage("AWSPENDING", "v2")
		c := New(s, dev)
		down := errors.New("the server is down")
		uses := 0
		err := c.Ladder("db").Login(t.Context(), isRefused, func(context.Context, *Secret) error {
			if uses++; uses == 1 {
				return errRefused
			}
			return down
		})
		if !errors.Is(err, down) || uses != 2 {
			t.Errorf("got %v after %d uses", err, uses)
		}
		srv := &server{accepts: "value-2"}
		if err := c.Ladder("db").Login(t.Context(), isRefused, srv.login); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}

func TestAPanicDoesNotBlockTheLadder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		s.stage("AWSPENDING", "v2")
		c := New(s, dev)
		func() {
			defer func() { _ = recover() }()
			_ = c.Ladder("db").Do(t.Context(), isRefused, func(_ context.Context, v *Secret) error {
				if v.VersionID() == "v2" {
					panic("a driver's")
				}
				return errRefused
			})
		}()
		srv := &server{accepts: "value-2"}
		if err := c.Ladder("db").Do(t.Context(), isRefused, srv.login); err != nil {
			t.Error(err)
		}
	})
}

func TestUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type login struct{ Password string }
		s := newStore()
		s.values["v1"], s.values["v2"] = `{"password":"p1"}`, `{"password":"p2"}`
		s.set(func(s *store) { s.labels["AWSPENDING"] = "v2" })
		c := New(s, dev)
		ref := Bind[login](c, "db")
		var tried []string
		use := func() error {
			return Use(t.Context(), ref, isRefused, func(_ context.Context, v login) error {
				tried = append(tried, v.Password)
				if v.Password != "p2" {
					return errRefused
				}
				return nil
			})
		}
		if err := errors.Join(use(), use()); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff([]string{"p1", "p2", "p2"}, tried); diff != "" {
			t.Errorf("tried (-want +got):\n%s", diff)
		}
		s.set(func(s *store) { s.values["v3"] = "hunter2"; s.created["v3"] = time.Now(); s.move("v3") })
		if err := c.Invalidate(t.Context(), Rotated{SecretARN: dbARN, VersionID: "v3"}); err != nil {
			t.Fatal(err)
		}
		if err := use(); !errors.Is(err, ErrDecode) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("got %v, want ErrDecode without the value", err)
		}
		if err := Use(t.Context(), Bind[login](c, "other"), isRefused, func(context.Context, login) error { return nil }); !errors.Is(err, ErrNotFound) {
			t.Errorf("got %v, want ErrNotFound", err)
		}
	})
}

func TestUseAllocatesNothing(t *testing.T) {
	ref := Bind[credentials](benchClient(t, withBoard), "db")
	ctx := t.Context()
	do := func(context.Context, credentials) error { return nil }
	if err := Use(ctx, ref, isRefused, do); err != nil {
		t.Fatal(err)
	}
	if got := testing.AllocsPerRun(1000, func() { _ = Use(ctx, ref, isRefused, do) }); got != 0 {
		t.Errorf("Use allocates %v times", got)
	}
}

func BenchmarkHitUse(b *testing.B) {
	ref := Bind[credentials](benchClient(b, withBoard), "db")
	ctx := b.Context()
	do := func(context.Context, credentials) error { return nil }
	b.ReportAllocs()
	for b.Loop() {
		if err := Use(ctx, ref, isRefused, do); err != nil {
			b.Fatal(err)
		}
	}
}
