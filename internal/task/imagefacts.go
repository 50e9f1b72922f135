package task

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"strings"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/store"
)

// factsRow is a row of image_facts.
type factsRow struct {
	bun.BaseModel `bun:"table:image_facts"`

	Digest     string     `bun:"digest,pk"`
	CreatedAt  store.Time `bun:"created_at"`
	Size       int64      `bun:"size"`
	OS         string     `bun:"os"`
	Layers     int        `bun:"layers"`
	BaseName   string     `bun:"base_name"`
	BaseDigest string     `bun:"base_digest"`
	Chain      int64      `bun:"chain"`
	Chains     []byte     `bun:"chains"`
}

// maxBaseName bounds what a label says of the base.
const maxBaseName = 500

func factsOf(sw *inventory.Software, digest string) *factsRow {
	f := &factsRow{Digest: digest, Layers: len(sw.Layers)}
	for _, l := range sw.Layers {
		f.Size += max(0, l.Size)
	}
	if sw.OS != nil {
		f.OS = plain(sw.OS.Release)
	}
	if img := sw.Image; img != nil {
		if year := img.Created.Year(); year > 1970 && year < 3000 { // reproducible builds write 1970
			f.CreatedAt = store.At(img.Created)
		}
		f.BaseName, f.BaseDigest = plain(img.Labels[inventory.LabelBaseName]), plain(img.Labels[inventory.LabelBaseDigest])
	}
	chains := sw.Chains()
	for _, c := range chains {
		f.Chains = binary.BigEndian.AppendUint64(f.Chains, uint64(c)) //nolint:gosec // any 64 bits do
		f.Chain = c
	}
	return f
}

// plain makes a text that both databases take, and bounds it.
func plain(s string) string {
	s = strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", ""), "\uFFFD")
	if len(s) > maxBaseName {
		s = strings.ToValidUTF8(s[:maxBaseName], "")
	}
	return s
}

// saveSurvey keeps what a whole scan saw of the core components of a cluster.
func (s *Service) saveSurvey(ctx context.Context, target int64, survey *inventory.CoreSurvey, components []finding.Component) error {
	for i := range components {
		c := &components[i]
		sight := inventory.CoreSighting{Name: c.Name, Group: c.Group, Namespace: c.Namespace, Workload: c.Workload, Image: c.Image, Version: c.Version,
			Static: c.Static, Nodes: c.Nodes, NodeCount: len(c.Nodes), NotScanned: plain(c.NotScanned)}
		if c.Workload != "" {
			sight.Workloads = 1
		}
		survey.AddComponent(sight)
	}
	body, err := json.Marshal(survey)
	if err != nil {
		return err
	}
	return s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewRaw("INSERT INTO cluster_components (target_id, at, body) VALUES (?, ?, ?) ON CONFLICT (target_id) DO UPDATE SET at = EXCLUDED.at, body = EXCLUDED.body",
			target, store.At(s.now()), string(body)).Exec(ctx)
		return err
	})
}
