package invalidation

import (
	"bytes"
	"context"
	"encoding/json"
)

// Told is the news in a record of a batch, or in an event that came alone.
type told struct {
	id      string // of the message of SQS; empty for what cannot be reported
	changes []Rotated
}

func changesOf(news []told) [][]Rotated {
	all := make([][]Rotated, len(news))
	for i, r := range news {
		all[i] = r.changes
	}
	return all
}

// sort takes the news out of the payload.
func (v *visit) sort() []told {
	if !mayBeNews(v.payload) {
		return nil
	}
	if changes, ok := parseOne(v.payload); ok {
		v.consumed = true
		return []told{{changes: changes}}
	}
	var whole map[string]json.RawMessage
	var records []json.RawMessage
	if json.Unmarshal(v.payload, &whole) != nil || json.Unmarshal(whole["Records"], &records) != nil {
		return nil
	}
	var news []told
	var others []json.RawMessage
	for _, raw := range records {
		r, changes, ok := parseRecord(raw)
		if !ok {
			others = append(others, raw)
			continue
		}
		one := told{changes: changes}
		if r.EventSource == "aws:sqs" {
			v.batch, one.id = true, r.MessageID
		}
		news = append(news, one)
	}
	v.consumed = len(news) > 0 && len(others) == 0
	if len(news) > 0 && len(others) > 0 {
		v.rest(whole, others)
	}
	return news
}

// rest makes the payload one of the other records.
func (v *visit) rest(whole map[string]json.RawMessage, others []json.RawMessage) {
	records, err := json.Marshal(others)
	if err != nil {
		return // what was read as JSON can be written
	}
	whole["Records"] = records
	if payload, err := json.Marshal(whole); err == nil {
		v.payload = payload
	}
}

// answer is that to an invocation that was all news. An error has Lambda deliver
// an event again; a batch has its own way to ask for that.
func (v *visit) answer(ctx context.Context) ([]byte, error) {
	nothing := []byte("null")
	if v.done == nil {
		return nothing, nil
	}
	select {
	case <-v.done:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if v.batch {
		return v.report(ctx, nothing), nil
	}
	return nothing, v.err
}

// failures is the answer of a function to a batch of SQS.
type failures struct {
	Items []failure `json:"batchItemFailures"`
}

type failure struct {
	ID string `json:"itemIdentifier"`
}

// report adds the news that could not be followed to the answer to a batch. An
// answer that has no place for it stays as it is: the news is a hint, and a lost
// one costs the time until the next look at the bulletin.
func (v *visit) report(ctx context.Context, answer []byte) []byte {
	if v.done == nil {
		return answer
	}
	select {
	case <-v.done:
	default:
		return answer // the look goes on
	}
	if v.err != nil && !v.consumed {
		v.opts.Logger.WarnContext(ctx, "a changed secret cannot be read", "error", v.err)
	}
	if len(v.failed) == 0 {
		return answer
	}
	members := map[string]json.RawMessage{}
	var reported failures
	if len(bytes.TrimSpace(answer)) > 0 && (json.Unmarshal(answer, &members) != nil || json.Unmarshal(answer, &reported) != nil) {
		return answer
	}
	for _, id := range v.failed {
		reported.Items = append(reported.Items, failure{ID: id})
	}
	items, err := json.Marshal(reported.Items)
	if err != nil {
		return answer // texts can be written
	}
	if members == nil { // the answer was null
		members = map[string]json.RawMessage{}
	}
	members["batchItemFailures"] = items
	merged, err := json.Marshal(members)
	if err != nil {
		return answer
	}
	return merged
}
