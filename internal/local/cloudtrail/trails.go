package cloudtrail

import (
	"context"
	"regexp"
	"slices"
	"time"

	"github.com/rekey-go/rekey/internal/local/wire"
)

// trail is a trail as it is described.
type trail struct {
	Name                       string
	S3BucketName               string
	S3KeyPrefix                string `json:",omitempty"`
	HomeRegion                 string `json:",omitempty"`
	TrailARN                   string
	IncludeGlobalServiceEvents bool
	IsMultiRegionTrail         bool
	IsOrganizationTrail        bool
	LogFileValidationEnabled   bool
	HasCustomEventSelectors    bool
	HasInsightSelectors        bool
}

// A TrailInput says what trail to make. The members are CloudTrail's.
type TrailInput struct {
	Name, S3BucketName, S3KeyPrefix string
	EnableLogFileValidation         bool
	IncludeGlobalServiceEvents      *bool
	IsMultiRegionTrail              bool
}

// nameInput names a trail, by its name or its ARN.
type nameInput struct{ Name string }

type trailsInput struct {
	TrailNameList []string `json:"trailNameList"`
}

type trailsOutput struct {
	TrailList []trail `json:"trailList"`
}

// maxTrails is how many trails there may be in a Region.
const maxTrails = 5

// trailName is what a trail may be called.
var trailName = regexp.MustCompile(`^[A-Za-z0-9](?:[A-Za-z0-9._-]{1,126})[A-Za-z0-9]$`)

func (s *Service) arn(name string) string {
	return "arn:aws:cloudtrail:" + s.opts.Region + ":" + s.opts.Account + ":trail/" + name
}

// own is the trail of the folder, if there is one.
func (s *Service) own() []trail {
	if s.opts.Dir == "" {
		return nil
	}
	return []trail{{
		Name: TrailName, S3BucketName: Bucket, HomeRegion: s.opts.Region, TrailARN: s.arn(TrailName),
		IncludeGlobalServiceEvents: true, LogFileValidationEnabled: true,
	}}
}

// describeTrails tells of the trail of the folder, and of those that were made.
func (s *Service) describeTrails(_ context.Context, _ *wire.Call, in *trailsInput) (*trailsOutput, error) {
	all := s.own()
	s.do(func(e *encoder) {
		for _, d := range e.deliveries {
			all = append(all, d.trail)
		}
	})
	out := &trailsOutput{TrailList: []trail{}}
	for _, t := range all {
		if len(in.TrailNameList) == 0 || slices.Contains(in.TrailNameList, t.Name) || slices.Contains(in.TrailNameList, t.TrailARN) {
			out.TrailList = append(out.TrailList, t)
		}
	}
	return out, nil
}

// createTrail makes a trail, which logs once it is started. Its bucket must be
// there, and its policy let CloudTrail write to it.
func (s *Service) createTrail(_ context.Context, _ *wire.Call, in *TrailInput) (*trail, error) {
	d, err := s.newDelivery(in)
	if err != nil {
		return nil, err
	}
	s.do(func(e *encoder) {
		switch {
		case e.delivery(in.Name) != nil, s.opts.Dir != "" && in.Name == TrailName:
			err = wire.Errorf("TrailAlreadyExistsException", "Trail %s already exists for customer: %s", in.Name, s.opts.Account)
		case len(s.own())+len(e.deliveries) >= maxTrails:
			err = wire.Errorf("MaximumNumberOfTrailsExceededException", "User: %s already has %d trails in %s.", s.opts.Account, maxTrails, s.opts.Region)
		default:
			e.deliveries = append(e.deliveries, d)
		}
	})
	if err != nil {
		return nil, err
	}
	return &d.trail, nil
}

// Provision makes a trail, or makes the one that there is what it is to be, and
// lets it log or not.
func (s *Service) Provision(in *TrailInput, logging bool) error {
	d, err := s.newDelivery(in)
	if err != nil {
		return err
	}
	s.do(func(e *encoder) {
		if known := e.delivery(in.Name); known != nil && known.trail == d.trail {
			d = known
		} else {
			e.remove(known)
			e.deliveries = append(e.deliveries, d)
		}
		if logging {
			e.start(d)
		} else {
			e.stop(d)
		}
	})
	return nil
}

// Remove ends a trail; there need not be one. What it delivered stays.
func (s *Service) Remove(name string) {
	s.do(func(e *encoder) { e.remove(e.delivery(name)) })
}

// delivery is the trail of a name or an ARN, or nil.
func (e *encoder) delivery(name string) *delivery {
	for _, d := range e.deliveries {
		if d.Name == name || d.TrailARN == name {
			return d
		}
	}
	return nil
}

func (e *encoder) remove(d *delivery) {
	if d != nil {
		e.stop(d)
		e.deliveries = slices.DeleteFunc(e.deliveries, func(known *delivery) bool { return known == d })
	}
}

// newDelivery checks what a trail is to be.
func (s *Service) newDelivery(in *TrailInput) (*delivery, error) {
	d := &delivery{place: place{in.S3BucketName, in.S3KeyPrefix, in.Name}}
	d.trail = trail{
		Name: in.Name, S3BucketName: in.S3BucketName, S3KeyPrefix: in.S3KeyPrefix, HomeRegion: s.opts.Region, TrailARN: s.arn(in.Name),
		IncludeGlobalServiceEvents: in.IncludeGlobalServiceEvents == nil || *in.IncludeGlobalServiceEvents,
		IsMultiRegionTrail:         in.IsMultiRegionTrail, LogFileValidationEnabled: in.EnableLogFileValidation,
	}
	buckets := s.opts.Buckets
	switch {
	case !trailName.MatchString(in.Name):
		return nil, wire.Errorf("InvalidTrailNameException", "Trail name must have 3 to 128 letters, digits, periods, underscores or hyphens.")
	case buckets == nil || !buckets.Has(in.S3BucketName):
		return nil, wire.Errorf("S3BucketDoesNotExistException", "S3 bucket %s does not exist!", in.S3BucketName)
	}
	arn := bucketARN(in.S3BucketName)
	probe := d.place.key(&s.opts, "CloudTrail", time.Time{}, "probe")
	if buckets.Permit(d.TrailARN, "s3:GetBucketAcl", arn) != nil || buckets.Permit(d.TrailARN, "s3:PutObject", arn+"/"+probe) != nil {
		return nil, wire.Errorf("InsufficientS3BucketPolicyException", "Incorrect S3 bucket policy is detected for bucket: %s", in.S3BucketName)
	}
	return d, nil
}

// with runs something with a trail that was made, in the encoder's goroutine.
func (s *Service) with(name string, fn func(*encoder, *delivery)) error {
	err := error(wire.Errorf("TrailNotFoundException", "Unknown trail: %s for the user: %s", name, s.opts.Account))
	s.do(func(e *encoder) {
		if d := e.delivery(name); d != nil {
			fn(e, d)
			err = nil
		}
	})
	return err
}

func (s *Service) startLogging(_ context.Context, _ *wire.Call, in *nameInput) (*struct{}, error) {
	return &struct{}{}, s.with(in.Name, (*encoder).start)
}

func (s *Service) stopLogging(_ context.Context, _ *wire.Call, in *nameInput) (*struct{}, error) {
	return &struct{}{}, s.with(in.Name, (*encoder).stop)
}

func (s *Service) deleteTrail(_ context.Context, _ *wire.Call, in *nameInput) (*struct{}, error) {
	return &struct{}{}, s.with(in.Name, (*encoder).remove)
}

type trailStatus struct {
	IsLogging                bool
	LatestDeliveryError      string          `json:",omitempty"`
	LatestDeliveryTime       *wire.Timestamp `json:",omitempty"`
	LatestDigestDeliveryTime *wire.Timestamp `json:",omitempty"`
	StartLoggingTime         *wire.Timestamp `json:",omitempty"`
	StopLoggingTime          *wire.Timestamp `json:",omitempty"`
}

// getTrailStatus tells whether a trail logs, and what became of its deliveries.
func (s *Service) getTrailStatus(_ context.Context, _ *wire.Call, in *nameInput) (*trailStatus, error) {
	out := new(trailStatus)
	if own := s.own(); len(own) > 0 && (in.Name == own[0].Name || in.Name == own[0].TrailARN) {
		out.IsLogging = true
		return out, nil
	}
	at := func(t time.Time) *wire.Timestamp {
		if t.IsZero() {
			return nil
		}
		return new(wire.Timestamp(t))
	}
	err := s.with(in.Name, func(_ *encoder, d *delivery) {
		*out = trailStatus{d.logging, d.problem, at(d.latest), at(d.digested), at(d.started), at(d.stopped)}
	})
	return out, err
}
