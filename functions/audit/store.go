package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"github.com/rekey-go/rekey/audit"
	"github.com/rekey-go/rekey/audit/render"
	"github.com/rekey-go/rekey/audit/source"
)

const (
	stateKey     = "state/audit.json"
	stateVersion = 1
	// stamp is how times stand in keys: in the order of the alphabet.
	stamp = "2006-01-02T150405Z"
)

// A state is what one run leaves to the next. It has names, addresses and times,
// never a value.
type state struct {
	// Version is the version of the form, 1.
	Version int `json:"rekeyAudit"`
	// Through is the time up to which all events were read.
	Through time.Time `json:"through,omitzero"`
	// Segments are the objects that have them, in the order of time.
	Segments []segment `json:"segments"`
	// Reported is the time up to which the last report that was kept goes.
	Reported time.Time `json:"reported,omitzero"`
	// Published are the findings that were published, by their keys, and when a
	// report had them last.
	Published map[string]time.Time `json:"published"`
	// Baseline is who and what used each secret, as of the last report.
	Baseline *audit.Baseline `json:"baseline,omitempty"`

	etag *string // of the object that it was read from; nil if there was none
}

// A segment is the records of some time in an object.
type segment struct {
	Key     string    `json:"key"`
	From    time.Time `json:"from"`
	To      time.Time `json:"to"`
	Records int       `json:"records"`
}

// A store is the bucket. What encrypts its objects is the bucket's to say.
type store struct {
	client *s3.Client
	bucket string
}

// errOvertaken means that another run wrote the state since it was read.
var errOvertaken = errors.New("another run was faster: this one is to begin again")

// load reads the state. The first run has an empty one.
func (s *store) load(ctx context.Context) (*state, error) {
	out, err := s.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.bucket, Key: aws.String(stateKey)})
	if _, none := errors.AsType[*types.NoSuchKey](err); none {
		return &state{Version: stateVersion, Published: map[string]time.Time{}}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the state of the audit: %w", err)
	}
	defer out.Body.Close() //nolint:errcheck // it was only read.
	st := &state{etag: out.ETag}
	if err := json.NewDecoder(out.Body).Decode(st); err != nil {
		return nil, fmt.Errorf("reading the state of the audit, s3://%s/%s: %w", s.bucket, stateKey, err)
	}
	if st.Version != stateVersion {
		return nil, fmt.Errorf("s3://%s/%s has version %d, want %d: delete it to begin anew", s.bucket, stateKey, st.Version, stateVersion)
	}
	return st, nil
}

// save writes the state in place of the one that was read. If that is not there
// any more, the error is [errOvertaken].
func (s *store) save(ctx context.Context, st *state) error {
	body, err := json.Marshal(st)
	if err != nil {
		return fmt.Errorf("writing the state of the audit: %w", err)
	}
	in := &s3.PutObjectInput{
		Bucket: &s.bucket, Key: aws.String(stateKey), Body: bytes.NewReader(body), ContentType: aws.String("application/json"), IfMatch: st.etag,
	}
	if st.etag == nil {
		in.IfNoneMatch = aws.String("*")
	}
	out, err := s.client.PutObject(ctx, in)
	if refusal, ok := errors.AsType[smithy.APIError](err); ok {
		switch refusal.ErrorCode() {
		case "PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey":
			return errOvertaken
		}
	}
	if err != nil {
		return fmt.Errorf("writing the state of the audit: %w", err)
	}
	st.etag = out.ETag
	return nil
}

// put writes an object. Who writes it again writes the same, or what is newer.
func (s *store) put(ctx context.Context, key, contentType string, body []byte) error {
	_, err := s.client.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &s.bucket, Key: &key, Body: bytes.NewReader(body), ContentType: &contentType, CacheControl: aws.String("no-cache"),
	})
	if err != nil {
		return fmt.Errorf("writing s3://%s/%s: %w", s.bucket, key, err)
	}
	return nil
}

// keepRecords writes what a source has of some time, and returns where it is.
func (s *store) keepRecords(ctx context.Context, src audit.Source, from, to time.Time) (segment, error) {
	seg := segment{Key: "state/records/" + from.UTC().Format(stamp) + "-" + to.UTC().Format(stamp) + ".json.gz", From: from.UTC(), To: to.UTC()}
	var packed bytes.Buffer
	var err error
	if seg.Records, err = source.Pack(ctx, &packed, src); err != nil {
		return seg, err
	}
	return seg, s.put(ctx, seg.Key, "application/gzip", packed.Bytes())
}

// records reads segments. One that somebody deleted is left out, and one that
// cannot be read now is an error: the next try may have it.
func (s *store) records(list []segment) audit.Source {
	keys := make([]string, 0, len(list))
	for _, seg := range list {
		if seg.Records > 0 {
			keys = append(keys, seg.Key)
		}
	}
	return strict{source.Objects(s.client, s.bucket, keys)}
}

// strict is a source that ends with what it would leave out, unless that is gone.
type strict struct{ audit.Source }

// Records yields them.
func (s strict) Records(ctx context.Context) iter.Seq2[json.RawMessage, error] {
	return func(yield func(json.RawMessage, error) bool) {
		for raw, err := range s.Source.Records(ctx) {
			if skipped, ok := errors.AsType[*audit.SkippedError](err); ok && !errors.Is(err, fs.ErrNotExist) {
				err = fmt.Errorf("reading %s: %w", skipped.What, skipped.Err)
			}
			if !yield(raw, err) {
				return
			}
		}
	}
}

// keepReport writes a report, its page and its findings, under the time of its
// run and as the latest: the latest last, so that what it names is there.
func (s *store) keepReport(ctx context.Context, at time.Time, report *audit.Report) error {
	forms := []struct {
		suffix, contentType string
		write               func(*bytes.Buffer) error
	}{
		{".json", "application/json", func(w *bytes.Buffer) error { return render.JSON(w, report) }},
		{".html", "text/html; charset=utf-8", func(w *bytes.Buffer) error { return render.HTML(w, report) }},
		{".csv", "text/csv; charset=utf-8", func(w *bytes.Buffer) error { return render.CSV(w, report, "findings") }},
	}
	at = at.UTC()
	for _, name := range []string{at.Format("2006/01/02/" + stamp), "latest"} {
		for _, form := range forms {
			var body bytes.Buffer
			if err := form.write(&body); err != nil {
				return err
			}
			if err := s.put(ctx, "reports/"+name+form.suffix, form.contentType, body.Bytes()); err != nil {
				return err
			}
		}
	}
	return nil
}
