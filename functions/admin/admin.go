// Package admin is the HTTP API through which operators store, rotate and look
// after secrets. It is write-only: no route gives a value back, and the
// function's role may not read one.
//
//	POST   /admin/secrets                  store a value
//	PUT    /admin/secrets/rotate           rotate, to a value of the caller's or a new one
//	GET    /admin/secrets                  all secrets at a glance
//	GET    /admin/secrets/{name}           one secret: versions, rotations, consumers
//	DELETE /admin/secrets/{name}           delete, with a recovery window of 7 days
//	GET    /admin/secrets/{name}/rotation  how a rotation goes; ?wait=25s waits for its end
//	POST   /admin/secrets/{name}/cancel    end the rotation, and turn the schedule off
//	POST   /admin/secrets/{name}/rollback  the previous value, through set and test
//	POST   /admin/secrets/{name}/restore   take a deletion back
//	GET    /admin/audit                    who read which version of what
//	GET    /admin/openapi.json             this, for machines
//	GET    /admin                          this, for people: a page in the browser
//
// docs/api.md has each with an example; openapi.json is the contract, and the
// tests hold every request and answer against it.
//
// # Who may call
//
// A caller proves who they are by a bearer token, which is an admin token or a
// JSON Web Token of an identity provider, or by an AWS signature that API
// Gateway has checked. Each has scopes, and may be bound to secrets whose name
// begins with a text. A missing, a wrong, an expired token and one without the
// scope get the same answer.
//
// # Names
//
// Names are logical: the stage is put before them ("database-credentials" is
// "dev-database-credentials" in stage dev).
//
// # Repeats
//
// A call with an Idempotency-Key may be repeated: Secrets Manager itself keeps
// the key, as the id of the version that the call makes.
//
// [New] wraps the API for AWS Lambda. [Handler] is a plain [http.Handler]
// that runs anywhere.
package admin

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/awslabs/aws-lambda-go-api-proxy/httpadapter"

	"github.com/rekey-go/rekey/internal/stage"
	"github.com/rekey-go/rekey/runtime/bulletin"
	"github.com/rekey-go/rekey/runtime/secrets"
)

// SecretsManager is what the API asks of AWS Secrets Manager. There is no
// read of a value in it.
type SecretsManager interface {
	PutSecretValue(ctx context.Context, in *secretsmanager.PutSecretValueInput, opts ...func(*secretsmanager.Options)) (*secretsmanager.PutSecretValueOutput, error)
	CreateSecret(ctx context.Context, in *secretsmanager.CreateSecretInput, opts ...func(*secretsmanager.Options)) (*secretsmanager.CreateSecretOutput, error)
	DescribeSecret(ctx context.Context, in *secretsmanager.DescribeSecretInput, opts ...func(*secretsmanager.Options)) (*secretsmanager.DescribeSecretOutput, error)
	ListSecrets(ctx context.Context, in *secretsmanager.ListSecretsInput, opts ...func(*secretsmanager.Options)) (*secretsmanager.ListSecretsOutput, error)
	ListSecretVersionIds(ctx context.Context, in *secretsmanager.ListSecretVersionIdsInput, opts ...func(*secretsmanager.Options)) (*secretsmanager.ListSecretVersionIdsOutput, error)
	RotateSecret(ctx context.Context, in *secretsmanager.RotateSecretInput, opts ...func(*secretsmanager.Options)) (*secretsmanager.RotateSecretOutput, error)
	CancelRotateSecret(ctx context.Context, in *secretsmanager.CancelRotateSecretInput, opts ...func(*secretsmanager.Options)) (*secretsmanager.CancelRotateSecretOutput, error)
	UpdateSecretVersionStage(ctx context.Context, in *secretsmanager.UpdateSecretVersionStageInput, opts ...func(*secretsmanager.Options)) (*secretsmanager.UpdateSecretVersionStageOutput, error)
	DeleteSecret(ctx context.Context, in *secretsmanager.DeleteSecretInput, opts ...func(*secretsmanager.Options)) (*secretsmanager.DeleteSecretOutput, error)
	RestoreSecret(ctx context.Context, in *secretsmanager.RestoreSecretInput, opts ...func(*secretsmanager.Options)) (*secretsmanager.RestoreSecretOutput, error)
}

// Options configure a [Handler].
type Options struct {
	// Stage is the deployment stage; "dev" where empty.
	Stage string
	// Tokens tells the admin tokens that are valid now.
	Tokens TokenSource
	// Access says who else may call.
	Access Access
	// Board tells who holds which version. If nil, that is not known.
	Board Board
	// Trail tells how rotations went and who read what. If nil, neither is
	// known.
	Trail cloudtrail.LookupEventsAPIClient
	// TrailPerSecond is how many events of the trail are looked up in a second.
	// If zero, it is what AWS allows; if negative, there is no limit.
	TrailPerSecond float64
	// KMSKey encrypts secrets that the API makes. If empty, it is the account's
	// own key.
	KMSKey string
	// CallsPerSecond is how many calls one caller may make in a second, on
	// average and in one environment of the function, with twice as many at
	// once. If zero, it is 50.
	CallsPerSecond int
	// RotateEvery is how often one secret may be rotated through the API, on
	// average, with five at once. If zero, it is a minute.
	RotateEvery time.Duration
	// Logger gets one line per call. If nil, it is [slog.Default].
	Logger *slog.Logger
}

func (o Options) callsPerSecond() int {
	if o.CallsPerSecond == 0 {
		return 50
	}
	return o.CallsPerSecond
}

func (o Options) rotateEvery() time.Duration {
	if o.RotateEvery == 0 {
		return time.Minute
	}
	return o.RotateEvery
}

// rotateBurst is how often a secret may be rotated at once.
const rotateBurst = 5

// Handler serves the admin API. It is safe for concurrent use.
type Handler struct {
	store     SecretsManager
	stage     string
	kmsKey    string
	tokens    TokenSource
	access    Access
	oidc      *verifier
	board     Board
	history   *history
	inventory *inventory
	details   *details
	reports   *reports
	callers   *buckets
	rotations *buckets
	log       *slog.Logger
	routes    []route
}

// NewHandler returns the admin API over a store.
func NewHandler(store SecretsManager, opts Options) *Handler {
	perSecond := opts.callsPerSecond()
	h := &Handler{
		store: store, stage: cmp.Or(opts.Stage, stage.Default), kmsKey: opts.KMSKey, tokens: opts.Tokens, access: opts.Access, board: opts.Board, log: opts.Logger,
		history:   newHistory(opts.Trail, opts.TrailPerSecond),
		details:   newDetails(),
		reports:   newReports(opts.Trail, opts.TrailPerSecond),
		callers:   &buckets{every: time.Second / time.Duration(perSecond), burst: 2 * perSecond},
		rotations: &buckets{every: opts.rotateEvery(), burst: rotateBurst},
		routes:    routes(),
	}
	if h.log == nil {
		h.log = slog.Default()
	}
	if opts.Access.OIDC != nil {
		h.oidc = newVerifier(*opts.Access.OIDC)
	}
	h.inventory = newInventory(h)
	return h
}

// New returns the API as a Lambda function behind an HTTP API. It reads
// REKEY_STAGE, REKEY_ADMIN_TOKENS, the id of the secret with the tokens,
// REKEY_ADMIN_ACCESS, see [Access], REKEY_BULLETIN, and REKEY_KMS_KEY.
func New(cfg aws.Config, getenv func(string) string) (lambda.Handler, error) {
	consumer, err := secrets.FromEnv(cfg, getenv)
	if err != nil {
		return nil, err
	}
	access, err := ParseAccess(getenv("REKEY_ADMIN_ACCESS"))
	if err != nil {
		return nil, err
	}
	opts := Options{
		Stage:  getenv("REKEY_STAGE"),
		Tokens: secretTokens{secrets.Bind[Tokens](consumer, getenv("REKEY_ADMIN_TOKENS"))},
		Access: access,
		Trail:  cloudtrail.NewFromConfig(cfg),
		KMSKey: getenv("REKEY_KMS_KEY"),
		Logger: slog.New(slog.NewJSONHandler(os.Stdout, nil)),
	}
	if table := getenv("REKEY_BULLETIN"); table != "" {
		opts.Board = bulletin.New(dynamodb.NewFromConfig(cfg), table)
	}
	if cfg.BaseEndpoint != nil {
		opts.TrailPerSecond = -1 // the limit is that of AWS's own endpoint
	}
	adapter := httpadapter.NewV2(NewHandler(secretsmanager.NewFromConfig(cfg), opts))
	return lambda.NewHandler(func(ctx context.Context, e events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error) {
		// The path comes decoded; the adapter reads it as it stands in a URL.
		e.RawPath = (&url.URL{Path: e.RawPath}).EscapedPath()
		return adapter.ProxyWithContext(ctx, e)
	}), nil
}

var _ http.Handler = (*Handler)(nil)
