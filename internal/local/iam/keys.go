package iam

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"strings"
	"sync"

	"github.com/rekey-go/rekey/internal/local/wire"
)

// Credentials are what a process signs its calls with.
type Credentials struct {
	AccessKeyID, SecretAccessKey, SessionToken string
}

// Keys remembers which principal each issued access key belongs to. It is
// safe for concurrent use.
type Keys struct {
	account string

	mu     sync.RWMutex
	issued map[string]wire.Principal // :: access key id -> principal
}

// NewKeys returns the keys of an account in which nothing was issued yet.
func NewKeys(account string) *Keys {
	return &Keys{account: account, issued: make(map[string]wire.Principal)}
}

// AssumeRole issues credentials for a session of a role. The session's name
// is the function's, as on AWS. More may say further of the principal.
func (k *Keys) AssumeRole(roleARN, sessionName string, more ...func(*wire.Principal)) Credentials {
	roleName := roleARN[strings.LastIndexByte(roleARN, '/')+1:]
	roleID := uniqueID("AROA", roleARN)
	c := Credentials{
		AccessKeyID:     "ASIA" + rand.Text()[:16],
		SecretAccessKey: rand.Text() + rand.Text()[:14],
		SessionToken:    rand.Text() + rand.Text(),
	}
	p := wire.Principal{
		Type:        "AssumedRole",
		PrincipalID: roleID + ":" + sessionName,
		ARN:         "arn:aws:sts::" + k.account + ":assumed-role/" + roleName + "/" + sessionName,
		AccountID:   k.account,
		AccessKeyID: c.AccessKeyID,
		RoleARN:     roleARN,
		RoleName:    roleName,
		SessionName: sessionName,
	}
	for _, fn := range more {
		fn(&p)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.issued[c.AccessKeyID] = p
	return c
}

// uniqueID is the id that IAM gives to a role. It follows from the ARN, so that
// the trail tells one id over all restarts.
func uniqueID(prefix, arn string) string {
	sum := sha256.Sum256([]byte(arn))
	return prefix + base32.StdEncoding.EncodeToString(sum[:])[:17]
}

// Lookup returns the principal that an access key belongs to. A key that was
// not issued here is a user of the account that bears the key's name, so that
// two people with different keys stay apart in the trail.
func (k *Keys) Lookup(accessKeyID string) wire.Principal {
	k.mu.RLock()
	p, ok := k.issued[accessKeyID]
	k.mu.RUnlock()
	if ok {
		return p
	}
	if accessKeyID == "" {
		accessKeyID = "anonymous"
	}
	return wire.Principal{
		Type:        "IAMUser",
		PrincipalID: "AIDA" + strings.ToUpper(accessKeyID),
		ARN:         "arn:aws:iam::" + k.account + ":user/" + accessKeyID,
		AccountID:   k.account,
		AccessKeyID: accessKeyID,
		UserName:    accessKeyID,
	}
}
