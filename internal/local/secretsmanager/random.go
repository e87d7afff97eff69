package secretsmanager

import (
	"context"
	"strings"

	"github.com/rekey-go/rekey/internal/local/wire"
)

const (
	defaultPassword = 32 // characters
	maxPassword     = 4096
)

type randomInput struct {
	PasswordLength          *int
	ExcludeCharacters       string
	ExcludeLowercase        bool
	ExcludeUppercase        bool
	ExcludeNumbers          bool
	ExcludePunctuation      bool
	IncludeSpace            bool
	RequireEachIncludedType *bool
}

func (in *randomInput) check(c *constraints) {
	c.number("passwordLength", in.PasswordLength, maxPassword)
	c.text("excludeCharacters", in.ExcludeCharacters, 0, maxPassword)
}

type randomOutput struct{ RandomPassword string }

func (s *Service) getRandomPassword(_ context.Context, _ *wire.Call, in *randomInput) (*randomOutput, error) {
	length := defaultPassword
	if in.PasswordLength != nil {
		length = *in.PasswordLength
	}
	kinds := in.kinds()
	var password []byte
	if in.RequireEachIncludedType == nil || *in.RequireEachIncludedType {
		if length < len(kinds) {
			return nil, invalidParameter("Password length is too short based on the required types.")
		}
		for _, kind := range kinds {
			password = append(password, kind[randomInt(len(kind))])
		}
	}
	all := strings.Join(kinds, "")
	if all == "" {
		return nil, invalidParameter("No characters are left to make a password of.")
	}
	for len(password) < length {
		password = append(password, all[randomInt(len(all))])
	}
	for i := len(password) - 1; i > 0; i-- {
		j := randomInt(i + 1)
		password[i], password[j] = password[j], password[i]
	}
	return &randomOutput{RandomPassword: string(password)}, nil
}

// kinds returns the included types of characters, without the excluded
// characters and without the types of which nothing is left.
func (in *randomInput) kinds() []string {
	included := []struct {
		characters string
		excluded   bool
	}{
		{"abcdefghijklmnopqrstuvwxyz", in.ExcludeLowercase},
		{"ABCDEFGHIJKLMNOPQRSTUVWXYZ", in.ExcludeUppercase},
		{"0123456789", in.ExcludeNumbers},
		{"!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", in.ExcludePunctuation},
		{" ", !in.IncludeSpace},
	}
	var kinds []string
	for _, kind := range included {
		left := strings.Map(func(r rune) rune {
			if kind.excluded || strings.ContainsRune(in.ExcludeCharacters, r) {
				return -1
			}
			return r
		}, kind.characters)
		if left != "" {
			kinds = append(kinds, left)
		}
	}
	return kinds
}
