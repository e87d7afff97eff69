package local

import (
	"cmp"
	"strconv"
	"strings"
	"time"

	"github.com/rekey-go/rekey/internal/local/iam"
	"github.com/rekey-go/rekey/internal/local/secretsmanager"
	"github.com/rekey-go/rekey/internal/local/wire"
)

// contextOf has the condition keys of a call: those of one thing that it asks
// for, and those that every call has. More may be nil.
func (e *Engine) contextOf(c *wire.Call, more iam.Context) iam.Context {
	return func(key string) []string {
		if more != nil {
			if values := more(key); values != nil {
				return values
			}
		}
		return e.callKey(c, key)
	}
}

// callKey is a condition key that every call has. The engine's port is on this
// machine and stands for one with TLS, which is what SDKs use on AWS.
func (e *Engine) callKey(c *wire.Call, key string) []string {
	if tag, ok := strings.CutPrefix(key, "aws:principaltag/"); ok {
		if role := e.access.roles.get(c.Caller.RoleARN); role != nil {
			return iam.Member(role.tags, tag)
		}
	}
	switch key {
	case "aws:principalarn":
		return iam.Text(cmp.Or(c.Caller.RoleARN, c.Caller.ARN))
	case "aws:principalaccount":
		return iam.Text(c.Caller.AccountID)
	case "aws:principaltype":
		return iam.Text(principalType(c.Caller))
	case "aws:userid":
		return iam.Text(c.Caller.PrincipalID)
	case "aws:username":
		return iam.Text(c.Caller.UserName)
	case "aws:principalisawsservice", "aws:viaawsservice":
		return iam.Text("false")
	case "aws:sourceip":
		return iam.Text(c.SourceIP)
	case "aws:useragent":
		return iam.Text(c.UserAgent)
	case "aws:requestedregion":
		return iam.Text(c.Region)
	case "aws:securetransport":
		return iam.Text("true")
	case "aws:currenttime":
		return iam.Text(c.Time.UTC().Format(time.RFC3339))
	case "aws:epochtime":
		return iam.Text(strconv.FormatInt(c.Time.Unix(), 10))
	case "lambda:sourcefunctionarn":
		return iam.Text(functionOf(c.Caller))
	}
	return nil
}

func principalType(p wire.Principal) string {
	if p.RoleARN == "" {
		return "User"
	}
	return "AssumedRole"
}

// functionOf is the function whose role a caller has; empty for a person.
func functionOf(p wire.Principal) string {
	if p.RoleARN == "" {
		return ""
	}
	return arnOf("lambda", "function:"+p.SessionName)
}

// keyUse has the condition keys of the use of a KMS key by a service, on behalf
// of its caller.
func (e *Engine) keyUse(c *wire.Call, use wire.KMSUse) iam.Context {
	return e.contextOf(c, func(key string) []string {
		if name, ok := strings.CutPrefix(key, "kms:encryptioncontext:"); ok {
			return iam.Member(use.Context, name)
		}
		switch key {
		case "aws:viaawsservice":
			return iam.Text("true")
		case "kms:viaservice":
			return iam.Text(c.Service + "." + c.Region + ".amazonaws.com")
		case "kms:calleraccount":
			return iam.Text(c.Caller.AccountID)
		case "kms:encryptionalgorithm":
			return iam.Text("SYMMETRIC_DEFAULT")
		case "kms:encryptioncontextkeys":
			return iam.Names(use.Context)
		}
		return nil
	})
}

// serviceContext has the condition keys of a service that acts for a resource.
// More may be nil.
func serviceContext(service, sourceARN string, more iam.Context) iam.Context {
	return func(key string) []string {
		switch key {
		case "aws:sourcearn":
			return iam.Text(sourceARN)
		case "aws:sourceaccount":
			return iam.Text(Account)
		case "aws:principalisawsservice", "aws:securetransport":
			return iam.Text("true")
		case "aws:principalservicename":
			return iam.Text(service)
		}
		if more != nil {
			return more(key)
		}
		return nil
	}
}

// secretKey is a condition key of a request about a secret: one of what the
// secret is, or of what the request says.
func secretKey(facts *secretsmanager.Facts, in *secretInput, key string) []string {
	if tag, ok := strings.CutPrefix(key, "aws:resourcetag/"); ok {
		return iam.Member(facts.Tags, tag)
	}
	if tag, ok := strings.CutPrefix(key, "secretsmanager:resourcetag/"); ok {
		return iam.Member(facts.Tags, tag)
	}
	switch key {
	case "secretsmanager:secretid":
		return iam.Text(facts.ARN)
	case "secretsmanager:secretprimaryregion":
		return iam.Text(Region)
	case "secretsmanager:resource/allowrotationlambdaarn":
		return iam.Text(facts.LambdaARN)
	}
	return in.key(key)
}

// key is a condition key that comes from the request, as AWS documents it: a
// read that names no label has no VersionStage, although it gets the version
// with AWSCURRENT.
func (in *secretInput) key(key string) []string {
	if tag, ok := strings.CutPrefix(key, "aws:requesttag/"); ok {
		return iam.Member(in.tags(), tag)
	}
	switch key {
	case "aws:tagkeys":
		return append(iam.Names(in.tags()), in.TagKeys...)
	case "secretsmanager:name":
		return iam.Text(in.Name)
	case "secretsmanager:description":
		return iam.Text(in.Description)
	case "secretsmanager:kmskeyid":
		return iam.Text(in.KMSKeyID)
	case "secretsmanager:rotationlambdaarn":
		return iam.Text(in.RotationLambdaARN)
	case "secretsmanager:versionid":
		return iam.Text(in.VersionID)
	case "secretsmanager:versionstage":
		return iam.Text(in.VersionStage)
	case "secretsmanager:rotateimmediately":
		return flag(in.RotateImmediately)
	case "secretsmanager:forcedeletewithoutrecovery":
		return flag(in.ForceDeleteWithoutRecovery)
	case "secretsmanager:blockpublicpolicy":
		return flag(in.BlockPublicPolicy)
	case "secretsmanager:recoverywindowindays":
		if in.RecoveryWindowInDays != nil {
			return iam.Text(strconv.FormatInt(*in.RecoveryWindowInDays, 10))
		}
	case "secretsmanager:modifyrotationrules":
		if len(in.RotationRules) > 0 {
			return iam.Text("true")
		}
	}
	return nil
}

// flag is a member that may be left out.
func flag(set *bool) []string {
	if set == nil {
		return nil
	}
	return iam.Text(strconv.FormatBool(*set))
}

// tags are those that the request puts on the secret.
func (in *secretInput) tags() map[string]string {
	all := make(map[string]string, len(in.Tags))
	for _, tag := range in.Tags {
		all[tag.Key] = tag.Value
	}
	return all
}
