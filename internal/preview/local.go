package preview

import (
	"context"
	"time"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/rule"
)

// Local is a preview without a server.
type Local struct {
	Bundle *policy.Bundle
	Images policy.Images // may be nil
	Name   string        // of the cluster
	Owners int
	At     time.Time
}

// Files judges the objects of a source, files or a cluster, by the policies of a bundle.
func Files(ctx context.Context, lib *rule.Library, src Source, o Local) (*Live, error) {
	judge, notes, err := policy.NewJudge(ctx, lib, o.Bundle, policy.Memo(o.Images))
	if err != nil {
		return nil, err
	}
	sum := pair{after: newTally(o.Bundle)}
	for _, n := range notes {
		sum.after.undecided(&subject{}, &policy.Outcome{Undecided: []policy.Undecided{n}})
	}
	if o.Owners <= 0 {
		o.Owners = DefaultOwners
	}
	began := time.Now()
	row := Cluster{Name: o.Name}
	row.Objects, row.Partial, err = look(ctx, settled{src}, &judges{after: judge}, sum, 0, o.Name, nil, o.At)
	if err != nil {
		return nil, err
	}
	row.Millis = time.Since(began).Milliseconds()
	out := &Live{Clusters: []Cluster{row}}
	out.fill(sum.after, o.Owners)
	return out, nil
}

// settled gives objects of files the shape that the API server would.
type settled struct{ Source }

// Stream implements Source.
func (s settled) Stream(ctx context.Context, emit func(*inventory.Object) error, notScanned func(finding.NotScanned)) error {
	return s.Source.Stream(ctx, func(o *inventory.Object) error {
		if o.Origin.File != "" {
			inventory.DropNulls(o.Content)
			if inventory.Map(o.Content, "metadata") == nil {
				o.Content["metadata"] = map[string]any{}
			}
		}
		return emit(o)
	}, notScanned)
}
