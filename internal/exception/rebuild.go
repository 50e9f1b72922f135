package exception

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/ledger"
)

// findings turns rows into findings as scopes look at them. Without full they hold what the columns tell.
func (b *Book) findings(ctx context.Context, rows []ledger.Row, full bool) ([]*finding.Finding, error) {
	out := make([]*finding.Finding, len(rows))
	risks := make([]int64, len(rows))
	for i := range rows {
		r := &rows[i]
		risks[i] = r.RiskID
		f := &finding.Finding{Fingerprint: hex.EncodeToString(r.Fingerprint), Rule: r.Rule, Severity: r.Severity.Word(),
			Resource: finding.Resource{Namespace: r.Namespace, Image: r.Image, Digest: r.Digest}}
		if r.Kind <= ledger.Emergency {
			f.Vulnerability = &finding.Vulnerable{ID: r.Rule, Package: r.Package, Version: r.Version}
			if r.Fixable {
				f.Vulnerability.FixedVersion = "known"
			}
		}
		out[i] = f
	}
	var ids []struct {
		ID     int64  `bun:"id"`
		RuleID string `bun:"rule_id"`
	}
	if err := b.db.R.NewSelect().Table("risks").Column("id", "rule_id").Where("id IN (?)", bun.List(risks)).Scan(ctx, &ids); err != nil {
		return nil, err
	}
	names := make(map[int64]string, len(ids))
	for _, r := range ids {
		names[r.ID] = r.RuleID
	}
	for i := range rows {
		out[i].RuleID = names[rows[i].RiskID]
	}
	if !full {
		return out, nil
	}
	if err := b.details(ctx, rows, out); err != nil {
		return nil, err
	}
	return out, b.places(ctx, rows, out)
}

// details fills in what is not in the columns.
func (b *Book) details(ctx context.Context, rows []ledger.Row, out []*finding.Finding) error {
	at := make(map[int64]int, len(rows))
	ids := make([]int64, len(rows))
	for i := range rows {
		ids[i], at[rows[i].ID] = rows[i].ID, i
	}
	var list []struct {
		ID     int64  `bun:"finding_id"`
		Body   []byte `bun:"body"`
		Advice string `bun:"advice"`
	}
	err := b.db.R.NewSelect().TableExpr("details AS d").Join("JOIN advice AS a ON a.id = d.advice_id").
		ColumnExpr("d.finding_id, d.body, a.body AS advice").Where("d.finding_id IN (?)", bun.List(ids)).Scan(ctx, &list)
	if err != nil {
		return err
	}
	for _, d := range list {
		i := at[d.ID]
		var advice ledger.Advice
		detail, err := ledger.UnpackDetail(d.Body)
		if err == nil {
			err = json.Unmarshal([]byte(d.Advice), &advice)
		}
		if err != nil {
			return fmt.Errorf("finding %d: %w", d.ID, err)
		}
		out[i] = ledger.Reconstruct(&rows[i], &advice, detail)
	}
	return nil
}

// places fills in the workloads that run images now, and the labels of everything.
func (b *Book) places(ctx context.Context, rows []ledger.Row, out []*finding.Finding) error {
	seen := map[int64]bool{}
	var assets []int64
	for i := range rows {
		if !seen[rows[i].AssetID] {
			seen[rows[i].AssetID] = true
			assets = append(assets, rows[i].AssetID)
		}
	}
	var own []struct {
		ID     int64            `bun:"id"`
		Kind   ledger.AssetKind `bun:"kind"`
		Labels string           `bun:"labels"`
	}
	if err := b.db.R.NewSelect().Table("assets").Column("id", "kind", "labels").Where("id IN (?)", bun.List(assets)).Scan(ctx, &own); err != nil {
		return err
	}
	labels, images := map[int64][]map[string]string{}, map[int64]bool{}
	for _, a := range own {
		images[a.ID] = a.Kind == ledger.AssetImage
		if a.Kind == ledger.AssetWorkload {
			labels[a.ID] = []map[string]string{readLabels(a.Labels)}
		}
	}
	var uses []struct {
		Image     int64  `bun:"image_id"`
		GroupKind string `bun:"group_kind"`
		Namespace string `bun:"namespace"`
		Name      string `bun:"name"`
		Labels    string `bun:"labels"`
	}
	err := b.db.R.NewSelect().TableExpr("asset_uses AS u").Join("JOIN assets AS a ON a.id = u.workload_id").
		ColumnExpr("u.image_id, a.group_kind, a.namespace, a.name, a.labels").Where("u.image_id IN (?)", bun.List(assets)).Where("a.gone_at = 0").
		OrderExpr("u.image_id, u.workload_id").Scan(ctx, &uses)
	if err != nil {
		return err
	}
	runs := map[int64][]finding.WorkloadRef{}
	for _, u := range uses {
		kind, _, _ := strings.Cut(u.GroupKind, ".")
		runs[u.Image] = append(runs[u.Image], finding.WorkloadRef{Kind: kind, Namespace: u.Namespace, Name: u.Name})
		labels[u.Image] = append(labels[u.Image], readLabels(u.Labels))
	}
	for i, f := range out {
		asset := rows[i].AssetID
		f.Resource.Labels = labels[asset]
		if images[asset] {
			f.Resource.Workloads = runs[asset]
		}
	}
	return nil
}

func readLabels(text string) map[string]string {
	if text == "" {
		return nil
	}
	var m map[string]string
	_ = json.Unmarshal([]byte(text), &m) // what the server wrote itself; without labels no selector but a negative one matches
	return m
}
