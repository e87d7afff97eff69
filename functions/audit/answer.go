package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/rekey-go/rekey/audit"
	"github.com/rekey-go/rekey/audit/render"
)

// maxAnswer keeps the answer below what Lambda carries, 6 MB.
const maxAnswer = 5 << 20

// answer is the report as JSON, without what Lambda cannot carry: first the
// timelines go, then the secrets.
func answer(report *audit.Report) (json.RawMessage, error) {
	short := *report
	for range 3 {
		var buf bytes.Buffer
		if err := render.JSON(&buf, &short); err != nil {
			return nil, fmt.Errorf("encoding the report: %w", err)
		}
		if buf.Len() <= maxAnswer {
			return buf.Bytes(), nil
		}
		short = shortened(short)
	}
	return nil, errors.New("the report is too large for an answer: bound its time with from and to")
}

func shortened(r audit.Report) audit.Report {
	const note = "the answer leaves out the timelines, which made it too large"
	if n := len(r.Coverage.Notes); n > 0 && r.Coverage.Notes[n-1] == note {
		r.Secrets = []audit.Secret{}
		return r
	}
	r.Coverage.Notes = append(slices.Clip(r.Coverage.Notes), note)
	secrets := make([]audit.Secret, len(r.Secrets))
	copy(secrets, r.Secrets)
	for i := range secrets {
		secrets[i].Timeline = nil
	}
	r.Secrets = secrets
	return r
}
