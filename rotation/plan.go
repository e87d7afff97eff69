package rotation

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// A Check is one thing that a rotation needs, and whether it is so.
type Check struct {
	Name string `json:"name"`
	OK   bool   `json:"ok"`
	// Detail says what was found.
	Detail string `json:"detail"`
	// Why is set where it is not OK.
	Why *Explanation `json:"why,omitempty"`
}

// A Planner is a [Strategy] that can tell whether a rotation would go well,
// without changing anything.
type Planner interface {
	// Plan checks what the rotation of c.Current needs.
	Plan(ctx context.Context, c Change) []Check
}

// A RightsSession is a [Session] that can tell whether it may do what the
// strategies ask of a superuser.
type RightsSession interface {
	// Rights is nil if the session may change the password of a user. The
	// error wraps [ErrPermission] and says what is missing.
	Rights(ctx context.Context, user string) error
}

// A Preview is the dry run of a rotation.
type Preview struct {
	Name string `json:"name"`
	ARN  string `json:"arn"`
	// Strategy is what the secret's strategy is called, see [Namer]; of one
	// without a name, its type. It is empty where none fits the value.
	Strategy string  `json:"strategy"`
	Checks   []Check `json:"checks"`
	// OK says that no check failed.
	OK bool `json:"ok"`
}

// Plan is the dry run of a rotation: it checks what the rotation needs and
// changes nothing.
func Plan(ctx context.Context, store Store, choose Chooser, secretID string) (Preview, error) {
	secret, err := store.Describe(ctx, secretID)
	if err != nil {
		return Preview{}, err
	}
	p := Preview{Name: secret.Name, ARN: secret.ARN}
	p.check("rotation is enabled", secret.FunctionARN, enabled(secret))
	p.check("no other rotation is under way", "", Retirement{Secret: secret, Store: store}.UnderWay(ctx))
	current, err := store.Get(ctx, secretID, "", LabelCurrent)
	p.check("the secret has a value", secret.VersionWith(LabelCurrent), err)
	unlabelled, listErr := store.Unlabelled(ctx, secretID)
	p.check("there is room for a version", fmt.Sprintf("%d of 100 versions", len(unlabelled)+len(secret.Versions)), room(len(unlabelled)+len(secret.Versions), listErr))
	if err == nil {
		p.strategy(ctx, choose, Change{Secret: secret, Current: current, Store: store})
	}
	p.OK = true
	for _, c := range p.Checks {
		p.OK = p.OK && c.OK
	}
	return p, nil
}

// strategy checks that there is one, and what it needs.
func (p *Preview) strategy(ctx context.Context, choose Chooser, c Change) {
	s, err := choose(ctx, c.Secret, c.Current)
	if err == nil {
		p.Strategy = nameOf(s)
	}
	p.check("the strategy fits the value", p.Strategy, err)
	if planner, ok := s.(Planner); ok && err == nil {
		p.Checks = append(p.Checks, planner.Plan(ctx, c)...)
	}
}

func enabled(s Secret) error {
	if !s.RotationEnabled {
		return ErrRotationDisabled
	}
	return nil
}

// maxVersions is how many versions Secrets Manager keeps of a secret.
const maxVersions = 100

func room(versions int, err error) error {
	if err == nil && versions >= maxVersions {
		return fmt.Errorf("%w: the secret has %d versions, and those of the last 24 hours stay", ErrConflict, versions)
	}
	return err
}

func (p *Preview) check(name, detail string, err error) {
	p.Checks = append(p.Checks, NewCheck(name, detail, err))
}

// NewCheck is a check with what was found, or with what [Explain] says of err
// where that is not nil.
func NewCheck(name, detail string, err error) Check {
	if err == nil {
		return Check{Name: name, OK: true, Detail: detail}
	}
	return Check{Name: name, Detail: err.Error(), Why: new(Explain(err))}
}

// planLogin is what all strategies for databases check.
func planLogin(ctx context.Context, db Database, c Change) (Credential, []Check) {
	current, err := ParseCredential(c.Current)
	checks := []Check{NewCheck("the value is a login", fmt.Sprint(current), err)}
	if err != nil {
		return current, checks
	}
	checks = append(checks, NewCheck("the server accepts AWSCURRENT, over TLS that is verified", current.Host, works(ctx, db, current)))
	return current, append(checks, NewCheck("the passwords that are made fit every form of connection string", "", fits(NewPassword())))
}

// planSuperuser checks a superuser's login and its rights.
func planSuperuser(ctx context.Context, db Database, get Superuser, c Credential, required bool) []Check {
	if c.Username == "" {
		return nil // there is no login to change
	}
	if get == nil {
		get = func(context.Context, Credential) (Credential, error) { return Credential{}, ErrNoValue }
	}
	super, err := get(ctx, c)
	if errors.Is(err, ErrNoValue) && !required {
		return nil
	}
	checks := []Check{NewCheck("the superuser's secret can be read", super.Username, err)}
	if err != nil {
		return checks
	}
	super.AnyDatabase = true
	err = use(ctx, db, super, func(session Session) error {
		if able, ok := session.(RightsSession); ok {
			return able.Rights(ctx, c.Username)
		}
		return session.Ping(ctx)
	})
	return append(checks, NewCheck("the superuser may change the user", c.Username, err))
}

// fits checks that a password means the same in a URL, a libpq string, a JDBC
// URL, a shell and a JSON text, without any escape.
func fits(password Value) error {
	text := password.Reveal()
	escaped := url.UserPassword("u", text).String() != "u:"+text || url.QueryEscape(text) != text
	if escaped || strings.ContainsAny(text, `'"\ $&;|<>*?{}[]()!#%@:/`+"`") {
		return configurationf("a password that was made has a character that has to be escaped")
	}
	return nil
}

// Plan checks the login, and the superuser's where there is one.
func (s SingleUser) Plan(ctx context.Context, c Change) []Check {
	current, checks := planLogin(ctx, s.Database, c)
	return append(checks, planSuperuser(ctx, s.Database, s.Superuser, current, false)...)
}

// Plan checks the login and the superuser's.
func (s AlternatingUsers) Plan(ctx context.Context, c Change) []Check {
	current, checks := planLogin(ctx, s.Database, c)
	return append(checks, planSuperuser(ctx, s.Database, s.Superuser, current, true)...)
}

// Plan checks the login, and the superuser's where there is one.
func (s DualPassword) Plan(ctx context.Context, c Change) []Check {
	current, checks := planLogin(ctx, s.Database, c)
	return append(checks, planSuperuser(ctx, s.Database, s.Superuser, current, false)...)
}
