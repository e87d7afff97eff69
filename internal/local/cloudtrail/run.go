package cloudtrail

import (
	"encoding/json"
	"strings"

	"github.com/rekey-go/rekey/internal/local/clock"
)

// run encodes what is recorded, until the trail is closed and its queue is
// empty.
func (s *Service) run() {
	defer close(s.ended)
	journal := s.load()
	enc := encoder{service: s, journal: journal}
	defer enc.end()
	if len(s.ring.open.entries) > 0 {
		enc.arm()
	}
	for {
		select {
		case it := <-s.queue:
			enc.take(it)
		case <-s.done:
			enc.drain()
			return
		}
	}
}

// An encoder is the state of run.
type encoder struct {
	service *Service
	journal *journal
	timer   *clock.Timer // delivers the open segment; nil while it is empty
}

func (e *encoder) take(it item) {
	switch {
	case it.call != nil:
		e.add(callRecords(it.call)...)
	case it.event != nil:
		e.add(eventRecord(it.event, e.service.opts))
	case it.passed != nil:
		if it.seal {
			e.seal()
		}
		close(it.passed)
	}
	if len(e.service.queue) == 0 {
		e.journalFlush()
	}
}

func (e *encoder) drain() {
	for {
		select {
		case it := <-e.service.queue:
			e.take(it)
		default:
			e.seal()
			return
		}
	}
}

func (e *encoder) end() {
	if err := e.journal.close(); err != nil {
		e.service.fail(err)
	}
}

// add puts records into the open segment and seals it when it is full.
func (e *encoder) add(records ...*record) {
	s := e.service
	for _, r := range records {
		entry, err := r.entry()
		if err != nil {
			s.fail(err)
			continue
		}
		if err := e.journal.write(entry.raw); err != nil {
			s.fail(err)
		}
		s.mu.Lock()
		count := s.ring.add(entry)
		s.mu.Unlock()
		s.publish(r, entry.raw)
		if count == 1 {
			e.arm()
		}
		if count >= segmentSize {
			e.seal()
		}
	}
}

// publish tells EventBridge of a call. Service events their service publishes.
func (s *Service) publish(r *record, raw json.RawMessage) {
	if s.opts.Publisher == nil || r.EventType != typeCall {
		return
	}
	publish := s.opts.Publisher.Publish
	if r.ReadOnly {
		publish = s.opts.Publisher.PublishRead
	}
	name, _, _ := strings.Cut(r.EventSource, ".")
	publish("aws."+name, "AWS API Call via CloudTrail", nil, raw)
}

// arm sets the time at which the open segment is delivered.
func (e *encoder) arm() {
	s := e.service
	e.timer = s.opts.Clock.AfterFunc(deliverEvery, func() { s.barrier(true) })
}

// seal packs the open segment and delivers it.
func (e *encoder) seal() {
	if e.timer != nil {
		e.timer.Stop()
		e.timer = nil
	}
	s := e.service
	// Only this goroutine changes the open segment, so it may be packed
	// without the lock.
	packed, err := s.ring.open.pack()
	if err != nil {
		s.fail(err)
	}
	if packed == nil {
		return
	}
	if err := s.deliver(packed, s.opts.Clock.Now()); err != nil {
		s.fail(err)
		e.journal.hold() // it has the records; the next start reads them back
	}
	s.mu.Lock()
	s.ring.seal(packed)
	s.mu.Unlock()
	if err := e.journal.reset(); err != nil {
		s.fail(err)
	}
}

func (e *encoder) journalFlush() {
	if err := e.journal.flush(); err != nil {
		e.service.fail(err)
	}
}
