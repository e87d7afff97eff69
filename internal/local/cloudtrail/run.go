package cloudtrail

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/rekey-go/rekey/internal/local/clock"
)

// An encoder is the goroutine that takes the items of a trail, one after the
// other. All writing is its own.
type encoder struct {
	service *Service
	journal *journal
	chain   chain
	// deliveries are the trails that somebody made.
	deliveries []*delivery
	timer      *clock.Timer    // delivers the open segment; nil while it is empty
	settled    []chan struct{} // of the items whose records are not in the journal yet
	rested     []func()
}

// run takes items until the trail is closed and its queue is empty.
func (e *encoder) run() {
	s := e.service
	defer close(s.ended)
	e.load()
	defer e.end()
	for {
		select {
		case it := <-s.queue:
			e.take(it)
		case <-s.done:
			e.drain()
			return
		}
	}
}

// take does what an item asks for. Records that come while others are written
// share a write of the journal.
func (e *encoder) take(it item) {
	switch {
	case it.call != nil:
		e.add(callRecords(it.call)...)
	case it.event != nil:
		e.add(eventRecord(it.event, e.service.opts))
	case !it.deliver.IsZero():
		e.deliver(it.deliver)
	case it.do != nil:
		it.do(e)
	case !it.digest.IsZero():
		e.service.fail(e.digest(it.digest))
	}
	if it.settled != nil {
		e.settled = append(e.settled, it.settled)
	}
	if it.rested != nil {
		e.rested = append(e.rested, it.rested)
	}
	if len(e.service.queue) == 0 || len(e.settled) >= maxSettled {
		e.settle()
	}
	if len(e.service.queue) == 0 {
		e.service.fail(e.chain.settle())
	}
}

// maxSettled is how many items share a write of the journal at most.
const maxSettled = 256

// settle writes the journal and lets go who waits for it.
func (e *encoder) settle() {
	e.service.fail(e.journal.flush())
	for _, settled := range e.settled {
		close(settled)
	}
	for _, rested := range e.rested {
		rested()
	}
	e.settled, e.rested = e.settled[:0], e.rested[:0]
}

func (e *encoder) drain() {
	for {
		select {
		case it := <-e.service.queue:
			e.take(it)
		default:
			e.deliver(e.service.opts.Clock.Now())
			e.settle()
			return
		}
	}
}

func (e *encoder) end() {
	e.chain.stop()
	for _, d := range e.deliveries {
		d.timer.Stop()
	}
	e.service.fail(e.journal.close())
}

// add puts records into the open segment, and delivers it when it is full.
func (e *encoder) add(records ...*record) {
	s := e.service
	for _, r := range records {
		entry, err := r.entry()
		if err != nil {
			s.fail(err)
			continue
		}
		e.journal.write(entry.raw)
		s.mu.Lock()
		count := s.ring.add(entry)
		s.mu.Unlock()
		s.publish(r, entry.raw)
		if count == 1 {
			e.arm()
		}
		if count%segmentSize == 0 { // of one that could not be delivered: again
			e.deliver(s.opts.Clock.Now())
		}
	}
}

// publish tells EventBridge of a record.
func (s *Service) publish(r *record, raw json.RawMessage) {
	if s.opts.Publisher == nil {
		return
	}
	publish := s.opts.Publisher.Publish
	if r.ReadOnly {
		publish = s.opts.Publisher.PublishRead
	}
	detailType := "AWS API Call via CloudTrail"
	if r.EventType == typeService {
		detailType = "AWS Service Event via CloudTrail"
	}
	name, _, _ := strings.Cut(r.EventSource, ".")
	publish("aws."+name, detailType, nil, raw)
}

// arm sets the time at which the open segment is delivered.
func (e *encoder) arm() {
	s := e.service
	e.timer = s.opts.Clock.AfterFunc(deliverEvery, func() { s.settle(item{deliver: s.opts.Clock.Now()}) })
}

// deliver packs the open segment and writes it as a log file. If it cannot be
// written, its records stay in the journal, and it is tried again later.
func (e *encoder) deliver(at time.Time) {
	if e.timer != nil {
		e.timer.Stop()
		e.timer = nil
	}
	s := e.service
	if len(s.ring.open.entries) == 0 {
		return
	}
	// Only this goroutine changes the open segment, so it may be packed
	// without the lock.
	packed, hash, err := s.ring.open.pack()
	if err == nil {
		err = e.deliverFile(packed, hash, at)
	}
	if err != nil {
		s.fail(err)
		e.arm()
		return
	}
	s.mu.Lock()
	s.ring.seal(packed)
	s.mu.Unlock()
	s.fail(e.journal.reset())
}
