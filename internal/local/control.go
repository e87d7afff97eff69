package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/rekey-go/rekey/internal/local/clock"
	"github.com/rekey-go/rekey/internal/local/store"
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

// A ClockMove is what to do with the clock: exactly one of its members is set.
type ClockMove struct {
	// Advance moves the clock forward, by a duration as of [ParseSpan].
	// Everything that falls due on the way has happened when the call
	// returns.
	Advance string `json:"advance,omitempty"`
	// Set moves it forward to a time.
	Set    time.Time `json:"set,omitzero"`
	Freeze bool      `json:"freeze,omitempty"`
	Resume bool      `json:"resume,omitempty"`
}

// maxMove is how far one call moves the clock at most: beyond it a number is
// more likely a slip than meant.
const maxMove = 10 * 365 * 24 * time.Hour

// ParseSpan reads a duration such as "36h", "90d" or "1d12h", with days of 24
// hours. It is longer than zero, and ten years at most.
func ParseSpan(text string) (time.Duration, error) {
	days, rest, found := strings.Cut(text, "d")
	if !found {
		days, rest = "0", text
	}
	n, err := strconv.ParseUint(days, 10, 31)
	var d time.Duration
	if rest != "" && err == nil {
		d, err = time.ParseDuration(rest)
	}
	switch {
	case err != nil || rest == "" && !found || d < 0 || n == 0 && d == 0:
		return 0, fmt.Errorf("%q is no duration such as 36h or 90d", text)
	case n > uint64(maxMove/(24*time.Hour)) || d > maxMove-time.Duration(n)*24*time.Hour:
		return 0, fmt.Errorf("%q is longer than the ten years by which the clock is moved at most", text)
	}
	return time.Duration(n)*24*time.Hour + d, nil
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
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<10))
	dec.DisallowUnknownFields()
	err := dec.Decode(&move)
	if err == nil {
		err = errors.Join(e.move(r.Context(), move), e.keepClock())
	}
	if err != nil {
		writeJSON(w, http.StatusBadRequest, map[string]string{"message": err.Error()})
		return
	}
	e.tellClock(w)
}

// move does what was asked for, and returns when everything that fell due has
// happened.
func (e *Engine) move(ctx context.Context, move ClockMove) error {
	switch move {
	case ClockMove{}:
		return errOneMove
	case ClockMove{Freeze: true}:
		e.clock.Freeze()
	case ClockMove{Resume: true}:
		e.clock.Resume()
	case ClockMove{Advance: move.Advance}:
		return e.advance(ctx, move.Advance)
	case ClockMove{Set: move.Set}:
		return e.setClock(ctx, move.Set)
	default:
		return errOneMove
	}
	return nil
}

var errOneMove = errors.New("one of advance, set, freeze and resume is wanted")

func (e *Engine) advance(ctx context.Context, span string) error {
	d, err := ParseSpan(span)
	if err != nil {
		return err
	}
	return errors.Join(e.clock.Advance(ctx, d), e.Trail.Sync())
}

func (e *Engine) setClock(ctx context.Context, to time.Time) error {
	now := e.clock.Now()
	switch {
	case to.Before(now):
		return fmt.Errorf("the clock shows %s and only moves forward; start a new state folder to go back", now.UTC().Format(time.RFC3339))
	case to.Sub(now) > maxMove:
		return fmt.Errorf("%s is more than ten years away", to.UTC().Format(time.RFC3339))
	}
	return errors.Join(e.clock.AdvanceTo(ctx, to), e.Trail.Sync())
}

// The clock's place in the store.
const (
	clockTable = "engine.clock"
	clockKey   = "clock"
)

// keepClock stores where the clock stands, so that a restart goes on from
// there.
func (e *Engine) keepClock() error {
	return e.store.Table(clockTable).Put(clockKey, e.clock.State())
}

// restoreClock makes the clock that the store knows of, or one that shows the
// real time.
func (e *Engine) restoreClock() error {
	var kept clock.State
	err := store.Each(e.store.Table(clockTable), func(_ string, s clock.State) error { kept = s; return nil })
	e.clock = clock.Restore(kept)
	return err
}
