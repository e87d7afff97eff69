package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/rekey-go/rekey/runtime/secrets"
)

type execFlags struct {
	env, envJSON, files []string
	watch               bool
	signal              string
	news                newsFlags
	grace               time.Duration
}

func (a *app) execCommand() *cobra.Command {
	var f execFlags
	cmd := &cobra.Command{
		Use:   "exec [flags] -- COMMAND [ARGUMENT]...",
		Short: "Run a command with secrets in its environment, and again when they rotate",
		Long: `Run a command with secrets in its environment:

  rekey exec --env DB_PASSWORD=database-credentials:password -- ./server

takes the member password of the secret database-credentials; without :MEMBER it
takes the whole value. --env-json SECRET takes all members of a secret, each as
a variable with its name in capitals. --file NAME=SECRET[:MEMBER] writes the
value to a file that only this user may read, in memory, and sets NAME to its
path: an environment can be read by every process of the same user, and is
handed down to all that the command starts.

With --watch the command is restarted when one of its secrets rotates: it is
sent TERM, after --grace KILL, and is started with the new values. With --signal
the files are replaced and the command gets that signal instead; the environment
of a process that runs cannot be changed. Until then its lease stays on the old
version, so that this is not revoked. What cannot be read keeps the command as it
is.

Signals are passed on to the command, and its exit code is passed back: 128+n
for a command that signal n ended, 127 for one that is not there, 126 for one
that cannot be run.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return withHint(errors.New("there is no command to run"), "usage: rekey exec --env NAME=SECRET:MEMBER -- COMMAND [ARGUMENT]...")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return a.exec(cmd.Context(), f, args) },
	}
	cmd.Flags().SetInterspersed(false) // the command's own flags are not rekey's
	cmd.Flags().StringArrayVar(&f.env, "env", nil, "NAME=SECRET[:MEMBER] of a variable; may be repeated")
	cmd.Flags().StringArrayVar(&f.envJSON, "env-json", nil, "SECRET whose members become variables; may be repeated")
	cmd.Flags().StringArrayVar(&f.files, "file", nil, "NAME=SECRET[:MEMBER] of a file, whose path the variable NAME has; may be repeated")
	cmd.Flags().BoolVar(&f.watch, "watch", false, "restart the command when a secret rotates")
	cmd.Flags().StringVar(&f.signal, "signal", "", "send the command this signal, such as HUP, instead of restarting it (implies --watch)")
	cmd.Flags().DurationVar(&f.grace, "grace", 10*time.Second, "how long a command that is restarted may take to end")
	f.news.define(cmd)
	return cmd
}

// A binding says which value goes where.
type binding struct {
	name   string // of the variable; empty where all members become variables
	secret string
	member string // empty for the whole value
	file   bool   // the variable has the path of a file with the value
}

// bindings reads the flags.
func (f execFlags) bindings() ([]binding, error) {
	var all []binding
	for _, flags := range []struct {
		name   string
		values []string
		file   bool
	}{{"--env", f.env, false}, {"--file", f.files, true}} {
		for _, value := range flags.values {
			name, from, ok := strings.Cut(value, "=")
			secret, member := splitMember(from)
			if !ok || !isVariable(name) || secret == "" {
				return nil, withHint(fmt.Errorf("%s %q is not NAME=SECRET or NAME=SECRET:MEMBER", flags.name, value),
					"write "+flags.name+" DB_PASSWORD=database-credentials:password")
			}
			all = append(all, binding{name: name, secret: secret, member: member, file: flags.file})
		}
	}
	for _, secret := range f.envJSON {
		all = append(all, binding{secret: secret})
	}
	if len(all) == 0 {
		return nil, withHint(errors.New("no secret is asked for"), "write --env NAME=SECRET:MEMBER, --env-json SECRET or --file NAME=SECRET")
	}
	return all, nil
}

// splitMember takes SECRET:MEMBER apart. An ARN has colons of its own.
func splitMember(from string) (secret, member string) {
	const colons = 6 // of arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME
	skip := 0
	if strings.HasPrefix(from, "arn:") {
		for range colons {
			skip += strings.IndexByte(from[skip:], ':') + 1
		}
	}
	secret, member, _ = strings.Cut(from[skip:], ":")
	return from[:skip] + secret, member
}

// isVariable reports whether a text can be a variable's name.
func isVariable(name string) bool {
	for i, c := range name {
		letter := c == '_' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}

// variable makes a variable's name of a member's.
func variable(member string) string {
	return strings.Map(func(r rune) rune {
		if r < 128 && isVariable("_"+string(r)) {
			return r
		}
		return '_'
	}, strings.ToUpper(member))
}

// A dressing is what a command is started with: its secrets, as variables and
// as the content of files, and the versions that they are of.
type dressing struct {
	variables map[string]string
	files     map[string]string
	versions  map[string]string // :: secret -> version id
}

// dress reads the secrets.
func dress(ctx context.Context, client *secrets.Client, all []binding) (dressing, error) {
	d := dressing{variables: map[string]string{}, files: map[string]string{}, versions: map[string]string{}}
	for _, b := range all {
		whole, err := client.Get(ctx, b.secret)
		if err != nil {
			return dressing{}, err
		}
		d.versions[b.secret] = whole.VersionID()
		if b.name == "" {
			err = d.members(whole)
		} else {
			err = d.one(ctx, client, b, whole)
		}
		if err != nil {
			return dressing{}, err
		}
	}
	return d, nil
}

// one takes a value, or a member of it.
func (d dressing) one(ctx context.Context, client *secrets.Client, b binding, s *secrets.Secret) (err error) {
	if b.member != "" {
		if s, err = client.Get(ctx, b.secret, secrets.Field(b.member)); err != nil {
			return err
		}
	}
	if b.file {
		d.files[b.name] = s.Reveal()
		return nil
	}
	return d.set(b.name, b.secret, s.Reveal())
}

// set takes a variable. It would end at the first zero byte.
func (d dressing) set(name, secret, value string) error {
	if strings.ContainsRune(value, 0) {
		return withHint(fmt.Errorf("the value of %s has a zero byte, which no variable can have", secret), "write --file "+name+"=... instead")
	}
	d.variables[name] = value
	return nil
}

// members takes all members of a value.
func (d dressing) members(s *secrets.Secret) error {
	var all map[string]json.RawMessage
	if json.Unmarshal([]byte(s.Reveal()), &all) != nil { // the decoder's own error quotes what it read
		return fmt.Errorf("reading the members of %s: %w", s.Name(), secrets.ErrDecode)
	}
	for name, raw := range all {
		value := string(raw)
		var text string
		if strings.HasPrefix(value, `"`) && json.Unmarshal(raw, &text) == nil {
			value = text
		}
		if err := d.set(variable(name), s.Name(), value); err != nil {
			return err
		}
	}
	return nil
}

// environment is that of this process with the variables.
func (d dressing) environment(more map[string]string) []string {
	own := maps.Clone(d.variables)
	maps.Copy(own, more)
	env := slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		_, replaced := own[name]
		return replaced
	})
	for _, name := range slices.Sorted(maps.Keys(own)) {
		env = append(env, name+"="+own[name])
	}
	return env
}
