package source

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"
)

// An S3Client is what [S3] needs of the SDK's client.
type S3Client interface {
	s3.ListObjectsV2APIClient
	s3.HeadObjectAPIClient
	GetObject(ctx context.Context, in *s3.GetObjectInput, optFns ...func(*s3.Options)) (*s3.GetObjectOutput, error)
}

// S3 returns the records of Secrets Manager from a trail's bucket, named as
// s3://bucket or s3://bucket/prefix: the bucket itself, the prefix that the
// trail was given, or any folder below, such as that of one account.
//
// It lists account by account and Region by Region, those of an organisation
// as well, and of each only the days that From and To ask for. An account that
// it may not list, or a file that it may not read, is left out with an
// [audit.SkippedError]. The files are read as streams, eight at a time unless
// told otherwise, and from where they were if the connection breaks. It needs
// s3:ListBucket and s3:GetObject, and kms:Decrypt where the trail encrypts. The
// client's Region must be the bucket's.
func S3(client S3Client, location string, optFns ...func(*LogsOptions)) (*Logs, error) {
	rest, ok := strings.CutPrefix(location, "s3://")
	bucket, prefix, _ := strings.Cut(rest, "/")
	if !ok || bucket == "" {
		return nil, fmt.Errorf("%q is no bucket: want s3://bucket or s3://bucket/prefix", location)
	}
	if prefix != "" && !strings.HasSuffix(prefix, "/") {
		prefix += "/"
	}
	l := new(Logs)
	for _, fn := range optFns {
		fn(&l.opts)
	}
	l.opts.Workers = cmp.Or(max(l.opts.Workers, 0), atOnce)
	l.shelf = &objects{client: client, bucket: bucket, prefix: prefix, opts: &l.opts}
	return l, nil
}

// Objects returns the records of log files of a bucket that are named by their
// keys, in whatever folders they lie. They are read as those of [S3] are; one
// that is not there is left out with an [audit.SkippedError]. It needs
// s3:GetObject, and lists nothing.
func Objects(client S3Client, bucket string, keys []string, optFns ...func(*LogsOptions)) *Logs {
	l := new(Logs)
	for _, fn := range optFns {
		fn(&l.opts)
	}
	l.opts.Workers = cmp.Or(max(l.opts.Workers, 0), max(min(atOnce, len(keys)), 1))
	l.shelf = named{&objects{client: client, bucket: bucket, opts: &l.opts}, keys}
	return l
}

// named is the shelf of a few objects of a bucket.
type named struct {
	*objects
	keys []string
}

func (n named) list(_ context.Context, add adder, _ func(string, error)) error {
	for _, key := range n.keys {
		if err := add(n.uri(key), -1); err != nil {
			return err
		}
	}
	return nil
}

// atOnce is how many files are read, and Regions listed, at once.
const atOnce = 8

// objects is the shelf of files in a bucket. Their names are URIs.
type objects struct {
	client         S3Client
	bucket, prefix string
	opts           *LogsOptions
}

func (o *objects) uri(key string) string { return "s3://" + o.bucket + "/" + key }

func (o *objects) key(uri string) string { return strings.TrimPrefix(uri, o.uri("")) }

func (o *objects) list(ctx context.Context, add adder, skip func(string, error)) error {
	return o.walk(ctx, "CloudTrail", add, skip)
}

func (o *objects) digests(ctx context.Context, add adder, skip func(string, error)) error {
	return o.walk(ctx, "CloudTrail-Digest", func(uri string, size int64) error {
		if !strings.Contains(uri, "/CloudTrail-Digest/") {
			return nil
		}
		return add(uri, size)
	}, skip)
}

// regionFolder is the prefix of all files of an account in a Region.
var regionFolder = regexp.MustCompile(`(^|/)(CloudTrail|CloudTrail-Digest)/[a-z0-9-]+/$`)

// walk adds the files of a kind below the prefix.
func (o *objects) walk(ctx context.Context, kind string, add adder, skip func(string, error)) error {
	regions, inner := errgroup.WithContext(ctx)
	regions.SetLimit(atOnce)
	err := o.descend(ctx, o.prefix, kind, add, skip, func(prefix string) {
		regions.Go(func() error {
			err := o.region(inner, prefix, add)
			if errors.Is(err, errListing) {
				skip(o.uri(prefix), err)
				return nil
			}
			return err
		})
	})
	return errors.Join(err, regions.Wait())
}

// errListing means that S3 did not list a folder.
var errListing = errors.New("listing it")

// descend goes from folder to folder, and calls region with each that has the
// files of a Region. Only the first folder must be listed.
func (o *objects) descend(ctx context.Context, prefix, kind string, add adder, skip func(string, error), region func(prefix string)) error {
	if regionFolder.MatchString(prefix) || dayFolder.MatchString("/"+strings.TrimSuffix(prefix, "/")) {
		region(prefix)
		return nil
	}
	var folders []string
	err := o.pages(ctx, &s3.ListObjectsV2Input{Bucket: &o.bucket, Prefix: &prefix, Delimiter: new("/")}, func(page *s3.ListObjectsV2Output) (bool, error) {
		for _, object := range page.Contents {
			if isLog(*object.Key) {
				if err := add(o.uri(*object.Key), aws.ToInt64(object.Size)); err != nil {
					return false, err
				}
			}
		}
		for _, folder := range page.CommonPrefixes {
			if leadsTo(kind, prefix, path.Base(*folder.Prefix)) {
				folders = append(folders, *folder.Prefix)
			}
		}
		return true, nil
	})
	switch {
	case !errors.Is(err, errListing) || ctx.Err() != nil:
	case prefix == o.prefix:
		return &rootError{o.uri(prefix), err}
	default:
		skip(o.uri(prefix), err)
		return nil
	}
	for _, folder := range folders {
		if err == nil {
			err = o.descend(ctx, folder, kind, add, skip, region)
		}
	}
	return err
}

// accountFolder is the prefix of all logs of an account, of whatever service.
var accountFolder = regexp.MustCompile(`(^|/)AWSLogs/(o-[a-z0-9]+/)?\d{12}/$`)

// leadsTo reports whether a folder may have files of a kind below it.
func leadsTo(kind, prefix, folder string) bool {
	if accountFolder.MatchString(prefix) {
		return folder == kind
	}
	switch folder {
	case "CloudTrail", "CloudTrail-Digest", "CloudTrail-Insight":
		return folder == kind
	}
	return true
}

// region adds the files of a Region. Their names begin with the day, so those
// of other days are passed over.
func (o *objects) region(ctx context.Context, prefix string, add adder) error {
	in := &s3.ListObjectsV2Input{Bucket: &o.bucket, Prefix: &prefix}
	last := ""
	if regionFolder.MatchString(prefix) {
		if !o.opts.From.IsZero() {
			in.StartAfter = new(prefix + o.opts.From.UTC().Format("2006/01/02"))
		}
		if !o.opts.To.IsZero() {
			last = prefix + o.opts.To.UTC().Add(2*24*time.Hour).Format("2006/01/02")
		}
	}
	return o.pages(ctx, in, func(page *s3.ListObjectsV2Output) (bool, error) {
		for _, object := range page.Contents {
			if last != "" && *object.Key >= last {
				return false, nil
			}
			if isLog(*object.Key) {
				if err := add(o.uri(*object.Key), aws.ToInt64(object.Size)); err != nil {
					return false, err
				}
			}
		}
		return true, nil
	})
}

// pages calls fn with each page of a listing until it returns false.
func (o *objects) pages(ctx context.Context, in *s3.ListObjectsV2Input, fn func(*s3.ListObjectsV2Output) (bool, error)) error {
	for pages := s3.NewListObjectsV2Paginator(o.client, in); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return fmt.Errorf("%w: %w", errListing, err)
		}
		if more, err := fn(page); !more || err != nil {
			return err
		}
	}
	return nil
}

func (o *objects) open(ctx context.Context, uri string) (io.ReadCloser, error) {
	d := &download{ctx: ctx, objects: o, key: o.key(uri)}
	return d, d.connect()
}

func (o *objects) signature(ctx context.Context, uri string) (string, error) {
	out, err := o.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &o.bucket, Key: new(o.key(uri))})
	if err != nil {
		return "", err
	}
	return out.Metadata["signature"], nil
}

// A download is a file that is being read. If the connection breaks, it goes on
// from where it was.
type download struct {
	ctx     context.Context //nolint:containedctx // that of the whole reading, for Read has none.
	objects *objects
	key     string
	body    io.ReadCloser
	etag    *string
	at      int64
	broken  int
}

// reconnects is how often a file is gone on with.
const reconnects = 3

func (d *download) connect() error {
	in := &s3.GetObjectInput{Bucket: &d.objects.bucket, Key: &d.key}
	if d.at > 0 {
		in.Range, in.IfMatch = new(fmt.Sprintf("bytes=%d-", d.at)), d.etag
	}
	out, err := d.objects.client.GetObject(d.ctx, in)
	if _, gone := errors.AsType[*types.NoSuchKey](err); gone {
		return fs.ErrNotExist
	}
	if err != nil {
		return err
	}
	d.body, d.etag = out.Body, out.ETag
	return nil
}

// Read reads on.
func (d *download) Read(p []byte) (int, error) {
	n, err := d.body.Read(p)
	d.at += int64(n)
	if err == nil || errors.Is(err, io.EOF) || d.ctx.Err() != nil || d.broken == reconnects {
		return n, err
	}
	d.broken++
	_ = d.body.Close() // it is broken already
	return n, d.connect()
}

// Close ends the download.
func (d *download) Close() error { return d.body.Close() }
