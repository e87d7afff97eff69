package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/rekey-go/rekey/internal/contain"
)

// showPlan prints what is to be done. Where not all records could be read the
// exit code says so.
func (a *app) showPlan(p *contain.Plan, f containFlags, whole bool) error {
	if err := a.data(p, func(w io.Writer) { a.printPlan(w, p, f) }); err != nil {
		return err
	}
	switch {
	case !whole:
		return withCode(exitAWS, errors.New("the plan is not of all records"), "its coverage says what was left out, and why")
	case len(p.Matches) == 0:
		return withCode(exitNotFound, fmt.Errorf("the records show nothing that %s did with secrets", f.principal), nothingFound)
	}
	return nil
}

func (a *app) printPlan(w io.Writer, p *contain.Plan, f containFlags) {
	fmt.Fprintf(w, "%s since %s\n", oneLine(p.Principal), p.Since.Format(time.RFC3339))
	for _, m := range p.Matches {
		fmt.Fprintf(w, "  %d records by its %s: %s\n", m.Records, m.By, oneLine(m.Identity))
	}
	for i := range p.Secrets {
		a.printSecret(w, &p.Secrets[i])
	}
	if len(p.Cut) > 0 {
		fmt.Fprintln(w, "\nTAKE THE ACCESS AWAY FIRST, or what is new is read too")
	}
	for _, m := range p.Cut {
		fmt.Fprintf(w, "  %s:\n    %s\n", oneLine(m.Why), m.Command)
	}
	fmt.Fprintln(w, "\nNOT KNOWN")
	for _, text := range p.Unknown {
		fmt.Fprintf(w, "  %s\n", oneLine(text))
	}
	if len(p.Secrets) > 0 {
		fmt.Fprintf(w, "\nNothing was changed. To do it: rekey contain --principal %s --since %s --run\n", oneLine(f.principal), f.since)
	}
}

func (a *app) printSecret(w io.Writer, s *contain.Secret) {
	fmt.Fprintf(w, "\n%s  %s\n  %s\n", strings.ToUpper(s.Risk.String()), oneLine(a.logical(s.Name)), oneLine(s.Why))
	t := tabwriter.NewWriter(w, 2, 0, 2, ' ', 0)
	for _, k := range s.Known {
		version := k.VersionID
		if version == "" {
			version = "(version not known)"
		}
		fmt.Fprintf(t, "    %s\t%s\t%s\n", version, dash(strings.Join(k.Labels, " ")), k.Target)
	}
	_ = t.Flush() // as in printSecrets
	if s.Doubt != "" {
		fmt.Fprintf(w, "  in doubt: %s\n", oneLine(s.Doubt))
	}
	for i, step := range s.Steps {
		fmt.Fprintf(w, "  %d. %s\n", i+1, step)
	}
	if s.ByHand != "" {
		fmt.Fprintf(w, "  by hand: %s\n", oneLine(s.ByHand))
	}
	if len(s.Holders) > 0 {
		fmt.Fprintf(w, "  hurts %d consumers, which have to fetch the new value: %s\n", len(s.Holders), oneLine(strings.Join(s.Holders, ", ")))
	}
}

// contained is what a run ended with.
type contained struct {
	Incident  string            `json:"incident"`
	Evidence  string            `json:"evidence"`
	PublicKey string            `json:"publicKey"`
	Secrets   []contain.Outcome `json:"secrets"`
	Seconds   float64           `json:"seconds"`
}

// showOutcomes prints what came of a run, and ends with 3 unless all is done.
func (a *app) showOutcomes(c contained) error {
	failed, byHand := 0, 0
	var hints []string
	for _, o := range c.Secrets {
		switch o.Status {
		case contain.Failed:
			failed++
		case contain.ByHand:
			byHand++
		default:
			continue
		}
		hints = append(hints, a.logical(o.Name)+": "+o.Next)
	}
	if err := a.data(c, func(w io.Writer) { a.printOutcomes(w, c) }); err != nil {
		return err
	}
	if failed+byHand > 0 {
		return withCode(exitRotation, fmt.Errorf("not contained: %d secrets failed, %d are left to be changed by hand", failed, byHand), append(hints, "the same command goes on from here")...)
	}
	return nil
}

func (a *app) printOutcomes(w io.Writer, c contained) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "SECRET\tRISK\tSTATUS\tNEW VERSION\tSECONDS\tWHY")
	for _, o := range c.Secrets {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%.2f\t%s\n", oneLine(a.logical(o.Name)), o.Risk, o.Status, dash(short(o.To)), o.Seconds, o.Error)
	}
	_ = t.Flush() // as in printSecrets
	fmt.Fprintf(w, "\n%.2f s; the evidence is in %s, checked with %s\n", c.Seconds, c.Evidence, c.PublicKey)
}

// verified is what was found of a pack.
type verified struct {
	Records int  `json:"records"`
	Closed  bool `json:"closed"`
	// Head is the SHA-256 of the last line, Key the public key in hexadecimal.
	Head string `json:"head"`
	Key  string `json:"key"`
	// Pinned says that the key was given, and not taken from the pack.
	Pinned bool `json:"pinned"`
}

func (v verified) print(w io.Writer) {
	fmt.Fprintf(w, "%d records are as they were signed, by the key %s...\n  head %s\n", v.Records, fingerprint(v.Key), v.Head)
	if !v.Closed {
		fmt.Fprintln(w, "  the evidence is not closed: records may have been cut off at its end")
	}
	if !v.Pinned {
		fmt.Fprintln(w, "  the key is the one that the evidence names: that proves that one writer wrote all of it, and not who;\n  compare the key or the head with what was noted elsewhere, or check with --public-key")
	}
}
