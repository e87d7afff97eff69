package secrets

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/rekey-go/rekey/runtime/bulletin"
)

// SecretsManager is what a [Client] asks of AWS Secrets Manager. A
// *[secretsmanager.Client] is one.
type SecretsManager interface {
	GetSecretValue(ctx context.Context, in *secretsmanager.GetSecretValueInput, opts ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error)
	PutSecretValue(ctx context.Context, in *secretsmanager.PutSecretValueInput, opts ...func(*secretsmanager.Options)) (*secretsmanager.PutSecretValueOutput, error)
}

// Bulletin is what a [Client] asks of the bulletin. A *[bulletin.Bulletin] is
// one.
type Bulletin interface {
	Read(ctx context.Context) (bulletin.Board, error)
	Renew(ctx context.Context, leases ...bulletin.Lease) error
	Release(ctx context.Context, secretARN, consumer string) error
}

// Options configure a [Client].
type Options struct {
	// Stage is put before logical names. If empty, names are taken as they
	// are.
	Stage string
	// TTL is how long a value is served from memory, less up to a tenth so
	// that many clients do not ask at once. If zero, it is five minutes; if
	// negative, nothing is cached.
	TTL time.Duration
	// MaxStale is how long beyond its TTL a value is served while Secrets
	// Manager cannot be asked. If zero, it is one hour; if negative, none is.
	MaxStale time.Duration
	// NegativeTTL is how long it is remembered that a secret could not be
	// read. If zero, it is one second. A secret without a value is asked
	// again after 2 ms.
	NegativeTTL time.Duration
	// Timeout bounds one read of Secrets Manager, whoever waits for it. If
	// zero, it is ten seconds.
	Timeout time.Duration
	// Patience is how long a reader whose value's TTL has passed waits for the
	// new one before it is served the old one as stale. If zero, it is half a
	// second.
	Patience time.Duration

	// MaxSecrets is how many values are kept in memory: one for each secret,
	// and one for each other label or version that was asked for. When there
	// are more, one that was not read of late makes room. If zero, it is
	// 1,024. What a [Ref], OnChange or Watch stands for stays.
	MaxSecrets int

	// Bulletin tells of rotations and keeps the leases. If nil, there is none.
	Bulletin Bulletin
	// CheckInterval is how often the board is read, at most. If zero, it is
	// ten seconds.
	CheckInterval time.Duration
	// Lease is for how long a value is served without the board having been
	// read. If zero, it is a minute. It has to be longer than CheckInterval.
	Lease time.Duration
	// CheckTimeout bounds one read of the board and one renewal of the leases.
	// If zero, it is half a second.
	CheckTimeout time.Duration
	// Consumer names this process in its leases, unique among all that live.
	// If empty, it is made of the Lambda function's name or the program's, the
	// log stream or the process id, and chance.
	Consumer string

	// Freezes says that the process may be frozen between invocations, as a
	// Lambda function's execution environment is; see [Client.Wake]. It is set
	// before the options are applied where AWS_LAMBDA_FUNCTION_NAME is.
	Freezes bool

	// Logger is told when the bulletin cannot be reached. If nil, it is
	// [slog.Default].
	Logger *slog.Logger
}

func (o *Options) setDefaults() {
	o.TTL = cmp.Or(o.TTL, 5*time.Minute)
	o.MaxStale = cmp.Or(o.MaxStale, time.Hour)
	o.NegativeTTL = cmp.Or(o.NegativeTTL, time.Second)
	o.Timeout = cmp.Or(o.Timeout, 10*time.Second)
	o.Patience = cmp.Or(o.Patience, 500*time.Millisecond)
	if o.MaxSecrets <= 0 {
		o.MaxSecrets = 1024
	}
	o.CheckInterval = cmp.Or(o.CheckInterval, 10*time.Second)
	o.Lease = cmp.Or(o.Lease, time.Minute)
	o.CheckTimeout = cmp.Or(o.CheckTimeout, 500*time.Millisecond)
	if o.Consumer == "" {
		o.Consumer = consumer(os.Getenv)
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
}

// functionName is in the environment of a Lambda function only.
const functionName = "AWS_LAMBDA_FUNCTION_NAME"

// consumer names this process.
func consumer(getenv func(string) string) string {
	name, place := getenv(functionName), getenv("AWS_LAMBDA_LOG_STREAM_NAME")
	if name == "" {
		name = os.Args[0][strings.LastIndexByte(os.Args[0], os.PathSeparator)+1:]
	}
	if place == "" {
		place = strconv.Itoa(os.Getpid())
	}
	return name + "/" + place + "/" + rand.Text()[:8]
}

// FromEnv returns a client as the pipeline's template configures its
// functions. It reads
//
//	REKEY_STAGE           stage before logical names; dev where empty
//	REKEY_BULLETIN        table of the bulletin; none where empty
//	REKEY_CHECK_INTERVAL  such as 10s, for Options.CheckInterval
//	REKEY_LEASE           such as 60s, for Options.Lease
//
// and makes no call. The options are applied last.
func FromEnv(cfg aws.Config, getenv func(string) string, optFns ...func(*Options)) (*Client, error) {
	var opts Options
	opts.Stage = getenv("REKEY_STAGE")
	if opts.Stage == "" {
		opts.Stage = "dev"
	}
	if table := getenv("REKEY_BULLETIN"); table != "" {
		opts.Bulletin = bulletin.New(dynamodb.NewFromConfig(cfg), table)
	}
	opts.Consumer, opts.Freezes = consumer(getenv), getenv(functionName) != ""
	for name, into := range map[string]*time.Duration{
		"REKEY_CHECK_INTERVAL": &opts.CheckInterval,
		"REKEY_LEASE":          &opts.Lease,
	} {
		text := getenv(name)
		if text == "" {
			continue
		}
		d, err := time.ParseDuration(text)
		if err != nil || d <= 0 {
			return nil, fmt.Errorf("%s is %q: want a duration such as 10s", name, text)
		}
		*into = d
	}
	all := append([]func(*Options){func(o *Options) { *o = opts }}, optFns...)
	return New(secretsmanager.NewFromConfig(cfg), all...), nil
}

// A ReadOption changes one read.
type ReadOption func(*read)

// read is what one read asks for.
type read struct {
	ttl     time.Duration
	noCache bool
	stage   string
	version string
	field   string
}

// TTL takes a value that is at most this old, in place of the client's TTL.
// Zero or less is [NoCache].
func TTL(d time.Duration) ReadOption {
	return func(r *read) { r.ttl, r.noCache = d, d <= 0 }
}

// NoCache asks Secrets Manager in any case. The answer is kept for other
// reads.
func NoCache() ReadOption { return func(r *read) { r.noCache = true } }

// Stage reads the version with a staging label other than AWSCURRENT.
func Stage(label string) ReadOption { return func(r *read) { r.stage = label } }

// Version reads a version by its id. With [Stage] it must carry that label.
func Version(id string) ReadOption { return func(r *read) { r.version = id } }

// Field takes one member of the value, which must be a JSON object: the text
// of a string, and anything else as JSON.
func Field(name string) ReadOption { return func(r *read) { r.field = name } }
