package sqs

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/rekey-go/rekey/internal/local/store"
	"github.com/rekey-go/rekey/internal/local/wire"
)

// A Queue describes a queue to [Service.Provision]. Where a member is nil,
// AWS's default holds. All times are in seconds.
type Queue struct {
	Name                          string
	VisibilityTimeout             *int
	DelaySeconds                  *int
	MessageRetentionPeriod        *int
	ReceiveMessageWaitTimeSeconds *int
	// DeadLetterTargetARN is the queue for messages that were received
	// MaxReceiveCount times. Empty means none.
	DeadLetterTargetARN string
	MaxReceiveCount     int
}

func (q Queue) attributes() map[string]string {
	attributes := make(map[string]string)
	for name, n := range map[string]*int{
		visibilityTimeout: q.VisibilityTimeout, delaySeconds: q.DelaySeconds,
		retentionPeriod: q.MessageRetentionPeriod, waitTimeSeconds: q.ReceiveMessageWaitTimeSeconds,
	} {
		if n != nil {
			attributes[name] = strconv.Itoa(*n)
		}
	}
	if q.DeadLetterTargetARN != "" {
		policy, _ := json.Marshal(redrive{q.DeadLetterTargetARN, json.Number(strconv.Itoa(q.MaxReceiveCount))}) // it cannot fail
		attributes[redrivePolicy] = string(policy)
	}
	return attributes
}

// Provision makes a queue, or gives the one of that name other attributes; it
// keeps the messages.
func (s *Service) Provision(spec Queue) (arn, url string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	attributes := spec.attributes()
	if q, ok := s.queues[spec.Name]; ok {
		err = s.setLocked(q, attributes, q.record.Tags)
	} else {
		err = s.createLocked(spec.Name, attributes, nil)
	}
	return s.arn(spec.Name), s.url(spec.Name), err
}

func (s *Service) createLocked(name string, attributes, tags map[string]string) error {
	if strings.HasSuffix(name, ".fifo") {
		return errFIFO()
	}
	if !validName(name) {
		return invalidParameter("Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length")
	}
	now := s.opts.Clock.Now()
	q := newQueue(queueRecord{Name: name, Created: now, Modified: now})
	if err := s.setLocked(q, attributes, tags); err != nil {
		return err
	}
	s.queues[name] = q
	return nil
}

// setLocked gives a queue all its attributes and tags.
func (s *Service) setLocked(q *queue, attributes, tags map[string]string) error {
	if err := s.checkAttributesLocked(attributes); err != nil {
		return err
	}
	if attributes[kmsKey] != "" && attributes[managedSSE] == "true" {
		return errTwoEncryptions()
	}
	record := q.record
	record.Attributes, record.Tags = maps.Clone(attributes), maps.Clone(tags)
	record.Modified = s.opts.Clock.Now()
	if err := s.opts.Store.Table(queueTable).Put(record.Name, record); err != nil {
		return err
	}
	q.record = record
	return nil
}

// SetPolicy gives a queue its resource policy, a JSON document.
func (s *Service) SetPolicy(queueARN, policy string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.queueLocked(queueARN)
	if err != nil {
		return err
	}
	attributes := maps.Clone(q.record.Attributes)
	if attributes == nil {
		attributes = make(map[string]string)
	}
	attributes[queuePolicy] = policy
	return s.setLocked(q, attributes, q.record.Tags)
}

// Policy returns the resource policy of a queue, which is empty where it has
// none, and whether there is such a queue.
func (s *Service) Policy(queueARN string) (policy string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.queueLocked(queueARN)
	if err != nil {
		return "", false
	}
	return q.record.Attributes[queuePolicy], true
}

func validName(name string) bool {
	return name != "" && len(name) <= 80 &&
		strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") == ""
}

type createInput struct {
	QueueName  string
	Attributes map[string]string
	Tags       map[string]string `json:"tags"`
}

type urlOutput struct {
	QueueURL string `json:"QueueUrl"`
}

// createQueue also succeeds for a queue that is there and has the attributes.
func (s *Service) createQueue(_ context.Context, c *wire.Call, in *createInput) (*urlOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := &urlOutput{s.url(in.QueueName)}
	q, ok := s.queues[in.QueueName]
	if !ok {
		if err := s.createLocked(in.QueueName, in.Attributes, in.Tags); err != nil {
			return nil, err
		}
		_, err := s.calledLocked(c, in.QueueName)
		return out, err
	}
	have := s.attributesLocked(q)
	for _, name := range slices.Sorted(maps.Keys(in.Attributes)) {
		if in.Attributes[name] != have[name] {
			return nil, refusal("QueueNameExists", "QueueAlreadyExists", "A queue already exists with the same name and a different value for attribute %s", name)
		}
	}
	return out, nil
}

type queueInput struct {
	QueueName string
	QueueURL  string `json:"QueueUrl"`
}

func (s *Service) getQueueURL(_ context.Context, c *wire.Call, in *queueInput) (*urlOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.calledLocked(c, in.QueueName); err != nil {
		return nil, err
	}
	return &urlOutput{s.url(in.QueueName)}, nil
}

type listInput struct {
	QueueNamePrefix, NextToken string
	MaxResults                 *int
}

type listOutput struct {
	QueueURLs []string `json:"QueueUrls"`
	NextToken string   `json:",omitempty"`
}

// maxListed is how many queues one answer tells.
const maxListed = 1000

func (s *Service) listQueues(_ context.Context, _ *wire.Call, in *listInput) (*listOutput, error) {
	most := maxListed
	if in.MaxResults != nil {
		if most = *in.MaxResults; most < 1 || most > maxListed {
			return nil, invalidParameter("Value %d for parameter MaxResults is invalid. Reason: MaxResults must be an integer between 1 and %d.", most, maxListed)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	names := slices.Sorted(maps.Keys(s.queues))
	names = slices.DeleteFunc(names, func(name string) bool {
		return !strings.HasPrefix(name, in.QueueNamePrefix) || name <= in.NextToken
	})
	out := &listOutput{QueueURLs: []string{}}
	if most < len(names) {
		names = names[:most]
		if in.MaxResults != nil { // who asks for no pages gets no token
			out.NextToken = names[most-1]
		}
	}
	for _, name := range names {
		out.QueueURLs = append(out.QueueURLs, s.url(name))
	}
	return out, nil
}

// deleteQueue removes a queue with its messages, and sends home who waits for
// one.
func (s *Service) deleteQueue(_ context.Context, c *wire.Call, in *queueInput) (*struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.calledLocked(c, in.QueueURL)
	if err != nil {
		return nil, err
	}
	return nil, s.removeLocked(q)()
}

// Has reports whether there is a queue of that name.
func (s *Service) Has(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.queues[name]
	return ok
}

// Remove removes a queue with its messages; there need not be one.
func (s *Service) Remove(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, ok := s.queues[name]
	if !ok {
		return nil
	}
	return s.removeLocked(q)()
}

// removeLocked removes a queue. What it returns waits until that is stored.
func (s *Service) removeLocked(q *queue) (wait func() error) {
	wait = s.emptyLocked(q, func(tx *store.Tx) error { return tx.Delete(queueTable, q.record.Name) })
	delete(s.queues, q.record.Name)
	q.wake()
	return wait
}

// emptyLocked drops all messages of a queue, with one more write: all of it
// is kept, or none.
func (s *Service) emptyLocked(q *queue, more func(tx *store.Tx) error) (wait func() error) {
	dropped := slices.Collect(maps.Values(q.messages))
	for _, m := range dropped {
		q.remove(m)
	}
	q.visible = nil
	return s.opts.Store.Begin(func(tx *store.Tx) error {
		for _, m := range dropped {
			if err := m.delete(tx); err != nil {
				return err
			}
		}
		return more(tx)
	})
}

type sourcesOutput struct {
	QueueURLs []string `json:"queueUrls"`
}

// listSources tells the queues whose dead letters go to a queue.
func (s *Service) listSources(_ context.Context, c *wire.Call, in *queueInput) (*sourcesOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.calledLocked(c, in.QueueURL)
	if err != nil {
		return nil, err
	}
	out := &sourcesOutput{QueueURLs: []string{}}
	for _, name := range slices.Sorted(maps.Keys(s.queues)) {
		if arn, _ := s.queues[name].record.redrive(); arn == s.arn(q.record.Name) {
			out.QueueURLs = append(out.QueueURLs, s.url(name))
		}
	}
	return out, nil
}

// purgeInterval is how long AWS refuses a second purge.
const purgeInterval = 60

func (s *Service) purgeQueue(_ context.Context, c *wire.Call, in *queueInput) (*struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.calledLocked(c, in.QueueURL)
	if err != nil {
		return nil, err
	}
	now := s.opts.Clock.Now()
	if now.Sub(q.purged).Seconds() < purgeInterval {
		e := refusal("PurgeQueueInProgress", queryPrefix+"PurgeQueueInProgress", "Only one PurgeQueue operation on %s is allowed every %d seconds.", q.record.Name, purgeInterval)
		e.Status = http.StatusForbidden
		return nil, e
	}
	q.purged = now
	return nil, s.emptyLocked(q, func(*store.Tx) error { return nil })()
}

type attributesInput struct {
	QueueURL       string `json:"QueueUrl"`
	AttributeNames []string
	Attributes     map[string]string
}

type attributesOutput struct {
	Attributes map[string]string `json:",omitempty"`
}

func (s *Service) getAttributes(_ context.Context, c *wire.Call, in *attributesInput) (*attributesOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.calledLocked(c, in.QueueURL)
	if err != nil {
		return nil, err
	}
	all := s.attributesLocked(q)
	for _, name := range in.AttributeNames {
		if !knownAttribute(name) {
			return nil, errUnknownAttribute(name)
		}
	}
	if !slices.Contains(in.AttributeNames, "All") {
		maps.DeleteFunc(all, func(name, _ string) bool { return !slices.Contains(in.AttributeNames, name) })
	}
	return &attributesOutput{all}, nil
}

// setAttributes changes the attributes that are given and keeps the others.
func (s *Service) setAttributes(_ context.Context, c *wire.Call, in *attributesInput) (*struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.calledLocked(c, in.QueueURL)
	if err != nil {
		return nil, err
	}
	attributes := maps.Clone(q.record.Attributes)
	if attributes == nil {
		attributes = make(map[string]string)
	}
	if _, ok := in.Attributes[fifoQueue]; ok {
		return nil, errUnknownAttribute(fifoQueue)
	}
	if err := mixEncryption(attributes, in.Attributes); err != nil {
		return nil, err
	}
	maps.Copy(attributes, in.Attributes)
	return nil, s.setLocked(q, attributes, q.record.Tags)
}
