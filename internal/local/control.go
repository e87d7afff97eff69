package local

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// ClockPath is the engine's own endpoint beside those of AWS: GET tells the
// time, POST moves it.
const ClockPath = "/_rekey/clock"

// PolicyPath is the engine's own endpoint for what the template's policies
// did: GET answers a [PolicyReport].
const PolicyPath = "/_rekey/policy"

// A ClockState is what the engine's clock shows.
type ClockState struct {
	Now    time.Time `json:"now"`
	Frozen bool      `json:"frozen"`
}

// A ClockMove is what to do with the clock: one of its members is set.
type ClockMove struct {
	// Advance moves the clock forward, by a duration as of [ParseSpan].
	// Everything that falls due on the way has happened when the call
	// returns.
	Advance string `json:"advance,omitempty"`
	Freeze  bool   `json:"freeze,omitempty"`
	Resume  bool   `json:"resume,omitempty"`
}

// ParseSpan reads a duration such as "36h" or "90d", with days of 24 hours.
func ParseSpan(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if days, ok := strings.CutSuffix(text, "d"); ok {
		var n int64
		n, err = strconv.ParseInt(days, 10, 32)
		d = time.Duration(n) * 24 * time.Hour
	}
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("%q is no duration such as 36h or 90d", text)
	}
	return d, nil
}

// withControl puts the engine's own endpoint before the front door.
func (e *Engine) withControl(front http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", front)
	mux.HandleFunc("GET "+ClockPath, func(w http.ResponseWriter, _ *http.Request) { e.tellClock(w) })
	mux.HandleFunc("POST "+ClockPath, e.moveClock)
	mux.HandleFunc("GET "+PolicyPath, func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, e.Policies()) })
	return mux
}

func (e *Engine) tellClock(w http.ResponseWriter) {
	writeJSON(w, http.StatusOK, ClockState{Now: e.clock.Now().UTC(), Frozen: e.clock.Frozen()})
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // a client that went away cannot be told
}

func (e *Engine) moveClock(w http.ResponseWriter, r *http.Request) {
	var move ClockMove
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<10)).Decode(&move)
	if err == nil {
		err = e.move(r, move)
	}
	if err != nil {
		writeJSON(w, http.StatusBadRequest, map[string]string{"message": err.Error()})
		return
	}
	e.tellClock(w)
}

func (e *Engine) move(r *http.Request, move ClockMove) error {
	switch {
	case move.Freeze:
		e.clock.Freeze()
	case move.Resume:
		e.clock.Resume()
	case move.Advance != "":
		d, err := ParseSpan(move.Advance)
		if err != nil {
			return err
		}
		return e.clock.Advance(r.Context(), d)
	default:
		return errors.New("advance, freeze or resume: one of them is wanted")
	}
	return nil
}
