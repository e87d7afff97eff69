package sqs

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rekey-go/rekey/internal/local/iam"
)

// The attributes of a queue that the engine acts on.
const (
	visibilityTimeout = "VisibilityTimeout"
	delaySeconds      = "DelaySeconds"
	retentionPeriod   = "MessageRetentionPeriod"
	waitTimeSeconds   = "ReceiveMessageWaitTimeSeconds"
	maximumSize       = "MaximumMessageSize"
	redrivePolicy     = "RedrivePolicy"
	kmsKey            = "KmsMasterKeyId"
	kmsReuse          = "KmsDataKeyReusePeriodSeconds"
	managedSSE        = "SqsManagedSseEnabled"
	fifoQueue         = "FifoQueue"
	numberVisible     = "ApproximateNumberOfMessages"
	numberInFlight    = "ApproximateNumberOfMessagesNotVisible"
	numberDelayed     = "ApproximateNumberOfMessagesDelayed"
	queuePolicy       = "Policy"
)

const (
	maxVisibility = 43200 // seconds
	maxDelay      = 900   // seconds
	maxWait       = 20    // seconds
)

// A numeric attribute has a range and a default.
type numeric struct{ low, high, standard int }

func numericAttribute(name string) (numeric, bool) {
	switch name {
	case visibilityTimeout:
		return numeric{0, maxVisibility, 30}, true
	case delaySeconds:
		return numeric{0, maxDelay, 0}, true
	case retentionPeriod:
		return numeric{60, 1209600, 345600}, true
	case waitTimeSeconds:
		return numeric{0, maxWait, 0}, true
	case maximumSize:
		return numeric{1024, 1048576, 1048576}, true
	case kmsReuse:
		return numeric{60, 86400, 300}, true
	default:
		return numeric{}, false
	}
}

// keptAttributes are returned as they were set, and have no effect.
func keptAttributes() []string {
	return []string{queuePolicy, "RedriveAllowPolicy", kmsKey, managedSSE}
}

// knownAttribute reports whether one may ask for an attribute.
func knownAttribute(name string) bool {
	_, isNumeric := numericAttribute(name)
	return isNumeric || slices.Contains(keptAttributes(), name) || slices.Contains([]string{
		"All", redrivePolicy, "QueueArn", "CreatedTimestamp", "LastModifiedTimestamp", numberVisible, numberInFlight, numberDelayed,
		fifoQueue, "ContentBasedDeduplication", "DeduplicationScope", "FifoThroughputLimit",
	}, name)
}

func errUnknownAttribute(name string) error {
	return refusal("InvalidAttributeName", "InvalidAttributeName", "Unknown Attribute %s.", name)
}

// mixEncryption makes way for one kind of encryption where the other is set.
// A change may not ask for both.
func mixEncryption(have, change map[string]string) error {
	byKey, byQueue := change[kmsKey] != "", change[managedSSE] == "true"
	switch {
	case byKey && byQueue:
		return errTwoEncryptions()
	case byKey:
		have[managedSSE] = "false"
	case byQueue:
		delete(have, kmsKey)
	}
	return nil
}

func errTwoEncryptions() error {
	return refusal("InvalidAttributeName", "InvalidAttributeName", "You can use one type of server-side encryption (SSE) at one time. You can either enable KMS SSE or SQS SSE.")
}

// checkAttributes refuses what a queue cannot have.
func (s *Service) checkAttributesLocked(attributes map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(attributes)) {
		text := attributes[name]
		limits, isNumeric := numericAttribute(name)
		switch {
		case isNumeric:
			if n, err := strconv.Atoi(text); err != nil || n < limits.low || n > limits.high {
				return errAttributeValue(name)
			}
		case name == redrivePolicy:
			if err := s.checkRedriveLocked(text); err != nil {
				return err
			}
		case name == queuePolicy && text != "":
			if _, err := iam.ParseResourceJSON([]byte(text)); err != nil {
				return errAttributeValue(name)
			}
		case name == fifoQueue || name == "ContentBasedDeduplication":
			return errFIFO()
		case !slices.Contains(keptAttributes(), name):
			return errUnknownAttribute(name)
		}
	}
	return nil
}

func errAttributeValue(name string) error {
	return refusal("InvalidAttributeValue", "InvalidAttributeValue", "Invalid value for the parameter %s.", name)
}

func errFIFO() error {
	return refusal("UnsupportedOperation", queryPrefix+"UnsupportedOperation", "the embedded engine has standard queues, and no FIFO queues")
}

// A redrive says where a message goes that was received too often.
type redrive struct {
	DeadLetterTargetARN string      `json:"deadLetterTargetArn"`
	MaxReceiveCount     json.Number `json:"maxReceiveCount"`
}

const maxReceiveLimit = 1000

func (s *Service) checkRedriveLocked(text string) error {
	if text == "" {
		return nil // it takes the policy away
	}
	var r redrive
	if err := json.Unmarshal([]byte(text), &r); err != nil || r.DeadLetterTargetARN == "" {
		return invalidParameter("Value %s for parameter RedrivePolicy is invalid. Reason: Redrive policy is not a valid JSON map.", text)
	}
	if n, err := strconv.Atoi(r.MaxReceiveCount.String()); err != nil || n < 1 || n > maxReceiveLimit {
		return invalidParameter("Value %s for parameter RedrivePolicy is invalid. Reason: Invalid value for maxReceiveCount: %s, valid values are from 1 to %d both inclusive.", text, r.MaxReceiveCount, maxReceiveLimit)
	}
	if !strings.HasPrefix(r.DeadLetterTargetARN, "arn:aws:sqs:") {
		return invalidParameter("Value %s for parameter RedrivePolicy is invalid. Reason: Invalid value for deadLetterTargetArn.", text)
	}
	if _, err := s.queueLocked(r.DeadLetterTargetARN); err != nil {
		return invalidParameter("Value %s for parameter RedrivePolicy is invalid. Reason: Dead letter target does not exist.", text)
	}
	return nil
}

// redrive is the queue's policy, with a limit of zero where it has none.
func (r queueRecord) redrive() (deadLetterARN string, limit int) {
	var policy redrive
	// What is stored was checked when it was set; no text is no policy.
	_ = json.Unmarshal([]byte(r.Attributes[redrivePolicy]), &policy)
	limit, _ = strconv.Atoi(policy.MaxReceiveCount.String())
	return policy.DeadLetterTargetARN, limit
}

// number is a numeric attribute or its default.
func (r queueRecord) number(name string) int {
	if n, err := strconv.Atoi(r.Attributes[name]); err == nil {
		return n
	}
	limits, _ := numericAttribute(name)
	return limits.standard
}

func (r queueRecord) seconds(name string) time.Duration {
	return time.Duration(r.number(name)) * time.Second
}

// attributesLocked are all attributes of a queue as the wire has them.
func (s *Service) attributesLocked(q *queue) map[string]string {
	all := map[string]string{
		"QueueArn":              s.arn(q.record.Name),
		"CreatedTimestamp":      strconv.FormatInt(q.record.Created.Unix(), 10),
		"LastModifiedTimestamp": strconv.FormatInt(q.record.Modified.Unix(), 10),
		managedSSE:              strconv.FormatBool(q.record.Attributes[kmsKey] == ""),
	}
	for _, name := range []string{visibilityTimeout, delaySeconds, retentionPeriod, waitTimeSeconds, maximumSize} {
		all[name] = strconv.Itoa(q.record.number(name))
	}
	maps.Copy(all, q.record.Attributes)
	maps.DeleteFunc(all, func(_, text string) bool { return text == "" })
	counts := make(map[state]int)
	now := s.opts.Clock.Now()
	for _, m := range q.messages {
		if !q.expired(m, now) {
			counts[m.state]++
		}
	}
	all[numberVisible] = strconv.Itoa(counts[visible])
	all[numberInFlight] = strconv.Itoa(counts[inFlight])
	all[numberDelayed] = strconv.Itoa(counts[delayed])
	return all
}

// expired reports whether a message is older than its queue keeps messages.
func (q *queue) expired(m *message, now time.Time) bool {
	return now.Sub(m.Sent) >= q.record.seconds(retentionPeriod)
}
