package provider

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"stockade.dev/stockade/internal/policy"
)

// force is what is in force: a bundle, its judge, and since when its policies are known here.
type force struct {
	bundle   *policy.Bundle
	judge    Judge
	epochs   epochs
	policies map[int64]bool
	asks     map[int64]bool // those that want facts of images
	names    map[int64]string
	dates    map[int64][]time.Time // of roll-outs
	notes    []string              // what of the bundle is not judged
}

func newForce(b *policy.Bundle, j Judge, e epochs, notes []policy.Undecided) *force {
	f := &force{bundle: b, judge: j, epochs: e, policies: map[int64]bool{}, asks: map[int64]bool{}, names: map[int64]string{}, dates: map[int64][]time.Time{}}
	for i := range b.Policies {
		p := &b.Policies[i]
		f.policies[p.ID], f.names[p.ID], f.asks[p.ID] = true, p.Name, checksOf(p) != ""
		for _, d := range []time.Time{p.Rollout.Warn, p.Rollout.Block} {
			if !d.IsZero() {
				f.dates[p.ID] = append(f.dates[p.ID], d)
			}
		}
	}
	for i, n := range notes {
		if i == mostNotes {
			f.notes = append(f.notes, fmt.Sprintf("and %d more", len(notes)-i))
			break
		}
		f.notes = append(f.notes, fmt.Sprintf("policy %d, %s is not judged here: %s", n.Policy, clean(n.Rule, 100), clean(n.Reason, 300)))
	}
	return f
}

const (
	mostNotes = 5
	turnover  = 10 * time.Minute // from the date of a roll-out until the constraints in the cluster are surely those of after it
)

// before is a moment before a date of a policy's roll-out that has just passed.
func (f *force) before(id int64, now time.Time) (time.Time, bool) {
	for _, d := range f.dates[id] {
		if since := now.Sub(d); since >= 0 && since < turnover {
			return d.Add(-time.Nanosecond), true
		}
	}
	return time.Time{}, false
}

// epochs count the changes of what images are asked for. A verdict bears the epoch in which it was asked for; of policies that are
// younger it says nothing, though it names no failure.
type epochs struct {
	Newest int64           `json:"newest"`
	Reset  int64           `json:"reset,omitempty"` // verdicts from before are to be asked for anew
	Since  map[int64]since `json:"since,omitempty"`
}

type since struct {
	Epoch  int64  `json:"epoch"`
	Checks string `json:"checks"` // hash of what the server decides by
}

// next are the epochs with another bundle.
func (e epochs) next(b *policy.Bundle) epochs {
	out := epochs{Newest: e.Newest, Reset: e.Reset, Since: make(map[int64]since, len(b.Policies))}
	for i := range b.Policies {
		p := &b.Policies[i]
		hash := checksOf(p)
		if hash == "" {
			continue
		}
		old, ok := e.Since[p.ID]
		if !ok || old.Checks != hash {
			out.Newest = e.Newest + 1
			old = since{out.Newest, hash}
		}
		out.Since[p.ID] = old
	}
	return out
}

// reset has everything asked for anew.
func (e epochs) reset() epochs {
	e.Newest++
	e.Reset = e.Newest
	return e
}

// must is the epoch from which on verdicts speak of everything.
func (e *epochs) must() int64 {
	out := e.Reset
	for _, s := range e.Since {
		out = max(out, s.Epoch)
	}
	return out
}

// unsaid are the policies of which a verdict of an epoch says nothing.
func (e *epochs) unsaid(epoch int64) (out []int64) {
	for id, s := range e.Since {
		if s.Epoch > epoch {
			out = append(out, id)
		}
	}
	return out
}

// checksOf is a hash of what the server decides on images by; "" when the policy wants no facts of images.
func checksOf(p *policy.Policy) string {
	asks := false
	for i := range p.Checks {
		asks = asks || !p.Checks[i].Check.Of()
	}
	if !asks {
		return ""
	}
	text, err := json.Marshal([]any{p.Checks, p.Allowed})
	if err != nil { // numbers, texts and times: it does not happen
		return "?"
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// kept is the form of force on disk.
type kept struct {
	Bundle json.RawMessage `json:"bundle"`
	Sum    string          `json:"sum"` // of bundle
	Epochs epochs          `json:"epochs"`
}

const mostBundle = 32 << 20

func writeBundle(file string, f *force) error {
	text, err := json.Marshal(f.bundle)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(text)
	if text, err = json.Marshal(kept{Bundle: text, Sum: hex.EncodeToString(sum[:]), Epochs: f.epochs}); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	if err = os.WriteFile(file+".new", text, 0o600); err == nil {
		err = os.Rename(file+".new", file)
	}
	if err != nil {
		_ = os.Remove(file + ".new") // what matters is already said
	}
	return err
}

// readBundle returns nil when there is none.
func readBundle(file string) (*policy.Bundle, epochs, error) {
	f, err := os.Open(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil, epochs{}, nil
	}
	if err != nil {
		return nil, epochs{}, err
	}
	defer func() { _ = f.Close() }() // it was only read
	text, err := io.ReadAll(io.LimitReader(f, mostBundle+1))
	if err != nil || len(text) > mostBundle {
		return nil, epochs{}, fmt.Errorf("%s: too large, or not to be read: %w", file, err)
	}
	var k kept
	if err := json.Unmarshal(text, &k); err != nil {
		return nil, epochs{}, fmt.Errorf("%s: %w", file, err)
	}
	if sum := sha256.Sum256(k.Bundle); hex.EncodeToString(sum[:]) != k.Sum {
		return nil, epochs{}, fmt.Errorf("%s: its checksum is wrong", file)
	}
	var b policy.Bundle
	if err := json.Unmarshal(k.Bundle, &b); err != nil {
		return nil, epochs{}, fmt.Errorf("%s: %w", file, err)
	}
	return &b, k.Epochs, nil
}
