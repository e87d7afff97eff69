package rotation_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/smithy-go"

	"github.com/rekey-go/rekey/rotation"
)

func TestErrorsAreExplained(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		err  error
		want string
	}{
		"a refused login":                     {fmt.Errorf("logging in: %w", rotation.ErrAuth), "authentication.refused"},
		"a server that gives no answer":       {fmt.Errorf("%w: %w", rotation.ErrNetwork, context.DeadlineExceeded), "network.timeout"},
		"a server that is not there":          {rotation.ErrNetwork, "network.unreachable"},
		"a certificate of somebody else":      {rotation.ErrTLS, "tls.unverified"},
		"a value that is none":                {rotation.ErrConfiguration, "configuration.value"},
		"a right that the login lacks":        {rotation.ErrPermission, "permission.target"},
		"a right that the role lacks":         {&smithy.GenericAPIError{Code: "AccessDeniedException"}, "permission.aws"},
		"too many calls":                      {&smithy.GenericAPIError{Code: "ThrottlingException"}, "conflict.quota"},
		"a rotation that was overtaken":       {rotation.ErrNotPending, "conflict.pending"},
		"a forged event":                      {rotation.ErrNotOurs, "permission.foreign"},
		"something else":                      {errors.New("the disk is full"), "unknown"},
		"no login works, for several reasons": {errors.Join(rotation.ErrAuth, rotation.ErrPermission), "permission.target"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := rotation.Explain(tt.err)
			if x.Code != tt.want || !strings.HasPrefix(x.Code, string(x.Class)) || x.Next == "" {
				t.Errorf("Explain(%v) = %+v, want the code %s and what to do next", tt.err, x, tt.want)
			}
			step := (&rotation.StepError{Step: rotation.StepSet, SecretID: "db", VersionID: "v", Err: tt.err}).Error()
			if !strings.Contains(step, x.Code) || !strings.Contains(step, x.Next) {
				t.Errorf("the step's error is %q", step)
			}
		})
	}
}
