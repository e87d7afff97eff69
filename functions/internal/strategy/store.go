package strategy

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/rekey-go/rekey/rotation"
)

// Store returns Secrets Manager as the functions call it: where REKEY_ROLE names
// a role, in that role, which may be one of another account.
func Store(cfg aws.Config, getenv func(string) string) rotation.Store {
	if role := getenv("REKEY_ROLE"); role != "" {
		assume := stscreds.NewAssumeRoleProvider(sts.NewFromConfig(cfg), role)
		cfg = cfg.Copy()
		cfg.Credentials = aws.NewCredentialsCache(assume)
	}
	return rotation.NewStore(secretsmanager.NewFromConfig(cfg))
}
