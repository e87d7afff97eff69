package admin

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/singleflight"

	"github.com/rekey-go/rekey/internal/stage"
	"github.com/rekey-go/rekey/runtime/bulletin"
)

// An inventory is all secrets of the stage at a glance. Secrets Manager lists
// them a hundred at a time, so the list is kept for a few seconds; of it the
// secrets alone are asked for again that calls through this environment change.
type inventory struct {
	of     *Handler
	flight singleflight.Group

	mu      sync.Mutex
	last    *stock
	changes int            // grows with each change
	seen    int            // the changes that last has
	changed map[string]int // :: physical name -> the number of its change; those that last has not
}

const (
	// keepStock is how long a list is kept.
	keepStock = 5 * time.Second
	// maxChanged is for how many changed secrets a list is mended.
	maxChanged = 20
)

// A stock is an inventory at one time.
type stock struct {
	at time.Time
	// secrets by name.
	secrets []summary
	// notes say what is not known.
	notes []string
}

// fresh reports whether a list is one that is kept.
func (s *stock) fresh() bool { return s != nil && time.Since(s.at) < keepStock }

func newInventory(h *Handler) *inventory { return &inventory{of: h, changed: make(map[string]int)} }

// change has a secret asked for again.
func (i *inventory) change(id string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.changes++
	i.changed[id] = i.changes
}

// read returns the list. Those who ask at the same time share one reading.
func (i *inventory) read(ctx context.Context) (*stock, error) {
	i.mu.Lock()
	last, changes, changed := i.last, i.changes, slices.Collect(maps.Keys(i.changed))
	i.mu.Unlock()
	if last.fresh() && len(changed) == 0 {
		return last, nil
	}
	// The reading goes on for the others when the first to ask goes away.
	done := i.flight.DoChan(strconv.Itoa(changes), func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), serveTimeout)
		defer cancel()
		next, err := i.of.renew(ctx, last, changed)
		if err == nil {
			i.keep(next, changes)
		}
		return next, err
	})
	select {
	case r := <-done:
		next, _ := r.Val.(*stock)
		return next, r.Err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// keep keeps a list that has all changes up to a number, unless one is there that
// has more.
func (i *inventory) keep(next *stock, changes int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if changes < i.seen {
		return
	}
	i.last, i.seen = next, changes
	maps.DeleteFunc(i.changed, func(_ string, number int) bool { return number <= changes })
}

// renew returns the list as it is now: the last one mended, where that is of now
// and has all secrets that changed, and else a new one.
func (h *Handler) renew(ctx context.Context, last *stock, changed []string) (*stock, error) {
	if last.fresh() && len(changed) <= maxChanged {
		next, err := h.mend(ctx, last, changed)
		if _, gone := errors.AsType[*types.ResourceNotFoundException](err); !gone {
			return next, err
		}
	}
	return h.takeStock(ctx)
}

// mend returns a list with some of its secrets as they are now.
func (h *Handler) mend(ctx context.Context, last *stock, changed []string) (*stock, error) {
	next := *last
	next.secrets = slices.Clone(last.secrets)
	for _, id := range changed {
		d, err := h.detail(ctx, id)
		if err != nil {
			return nil, err
		}
		item := d.summary
		item.Consumers = item.Consumers.counted()
		at, found := slices.BinarySearchFunc(next.secrets, item.Name, func(s summary, name string) int { return cmp.Compare(s.Name, name) })
		if found {
			next.secrets[at] = item
		} else {
			next.secrets = slices.Insert(next.secrets, at, item)
		}
	}
	return &next, nil
}

// takeStock asks Secrets Manager, the board and the trail at the same time.
func (h *Handler) takeStock(ctx context.Context) (*stock, error) {
	var (
		listed []types.SecretListEntry
		board  bulletin.Board
		leases map[string][]bulletin.Lease
		past   past
		blind  bool
	)
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) { listed, err = stage.List(gctx, h.store, h.stage, true); return err })
	g.Go(func() error { past = h.history.read(gctx); return nil })
	if h.board != nil {
		g.Go(func() error {
			var err error
			if board, err = h.board.Read(gctx); err == nil {
				leases, err = h.board.AllLeases(gctx)
			}
			blind = err != nil
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	s := &stock{at: time.Now().UTC()}
	known := h.board != nil && !blind
	for _, e := range listed {
		f := factsOf(h.stage, e)
		item := f.summary(board.Entries[f.arn], past.byARN[f.arn])
		if known {
			item.Consumers = consumersOf(leases[f.arn], item.Labels[labelCurrent].VersionID).counted()
		}
		s.secrets = append(s.secrets, item)
	}
	slices.SortFunc(s.secrets, func(a, b summary) int { return cmp.Compare(a.Name, b.Name) })
	if !known {
		s.notes = append(s.notes, "who holds which version is not known: the bulletin cannot be read")
	}
	if past.note != "" {
		s.notes = append(s.notes, past.note)
	}
	return s, nil
}

func factsOf(in string, e types.SecretListEntry) facts {
	return facts{
		name: stage.Logical(in, aws.ToString(e.Name)), arn: aws.ToString(e.ARN), description: aws.ToString(e.Description),
		versions: e.SecretVersionsToStages, rotates: aws.ToBool(e.RotationEnabled), rules: e.RotationRules,
		rotated: e.LastRotatedDate, next: e.NextRotationDate, created: e.CreatedDate, changed: e.LastChangedDate, deletion: e.DeletedDate,
	}
}

const (
	// maxLimit is how many secrets one answer has at most, which keeps it below
	// what Lambda carries, 6 MB.
	maxLimit     = 5000
	defaultLimit = 1000
)

// listing is the answer to GET /admin/secrets.
type listing struct {
	Secrets []summary `json:"secrets"`
	// Total is how many there are on all pages, and States how many of them are
	// in which state.
	Total  int            `json:"total"`
	States map[string]int `json:"states"`
	// Next is the cursor of the next page; empty on the last.
	Next string `json:"next,omitempty"`
	// AsOf is when this was so.
	AsOf  time.Time `json:"asOf"`
	Notes []string  `json:"notes,omitempty"`
}

func (h *Handler) listSecrets(c *call) (*answer, error) {
	limit, after, p := page(c.Request)
	if p != nil {
		return nil, p
	}
	all, err := h.inventory.read(c.Context())
	if err != nil {
		return nil, err
	}
	out := listing{Secrets: []summary{}, States: map[string]int{}, AsOf: all.at, Notes: all.notes}
	prefix, state := c.URL.Query().Get("prefix"), c.URL.Query().Get("state")
	for _, s := range all.secrets {
		if !strings.HasPrefix(s.Name, prefix) || state != "" && s.State != state || !c.who.may(ScopeRead, s.Name) {
			continue
		}
		out.Total++
		out.States[s.State]++
		switch {
		case s.Name <= after:
		case len(out.Secrets) < limit:
			out.Secrets = append(out.Secrets, s)
		case out.Next == "":
			out.Next = base64.RawURLEncoding.EncodeToString([]byte(out.Secrets[limit-1].Name))
		}
	}
	return &answer{http.StatusOK, out}, nil
}

// page reads ?limit= and ?cursor=, which is the name that the last page ended
// with.
func page(r *http.Request) (limit int, after string, p *problem) {
	limit = defaultLimit
	if text := r.URL.Query().Get("limit"); text != "" {
		var err error
		if limit, err = strconv.Atoi(text); err != nil || limit < 1 || limit > maxLimit {
			return 0, "", badRequest("limit is not a number from 1 to %d", maxLimit)
		}
	}
	name, err := base64.RawURLEncoding.DecodeString(r.URL.Query().Get("cursor"))
	if err != nil {
		return 0, "", badRequest("cursor is none that a list gave out")
	}
	return limit, string(name), nil
}
