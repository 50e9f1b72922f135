package anatomy

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/schema"

	"stockade.dev/stockade/internal/browse"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/store"
)

// Image is an image with everything that is known of it.
type Image struct {
	AssetID    int64             `json:"assetId,string,omitempty" doc:"of the use whose findings are told: where it was looked at last"`
	TargetID   int64             `json:"targetId,string,omitempty"`
	Target     string            `json:"target,omitempty"`
	Digest     string            `json:"digest,omitempty"`
	References []string          `json:"references"`
	Read       bool              `json:"read" doc:"its layers were read; else reason says why not"`
	Reason     string            `json:"reason,omitempty" doc:"why it was not read, as the scanner says"`
	Code       string            `json:"code,omitempty" enum:"no-advisory-data,forbidden,unreachable,limit,unsupported,broken,managed,skipped" doc:"of the reason"`
	ReadAt     *store.Time       `json:"readAt,omitempty" format:"date-time"`
	Platform   string            `json:"platform,omitempty"`
	Created    *store.Time       `json:"created,omitempty" format:"date-time"`
	Size       int64             `json:"size,omitempty" doc:"compressed bytes of all layers, where they are known"`
	OS         *OS               `json:"os,omitempty"`
	User       string            `json:"user,omitempty"`
	Entrypoint []string          `json:"entrypoint,omitempty"`
	Cmd        []string          `json:"cmd,omitempty"`
	Env        []string          `json:"env,omitempty" doc:"values that look like credentials are redacted"`
	WorkDir    string            `json:"workdir,omitempty"`
	Ports      []string          `json:"ports,omitempty"`
	Volumes    []string          `json:"volumes,omitempty"`
	Health     bool              `json:"healthcheck,omitempty"`
	Labels     map[string]string `json:"labels,omitempty"`
	Layers     []BuildStep       `json:"layers" doc:"build steps in order"`
	Base       BaseImage         `json:"base"`
	Split      RiskSplit         `json:"split"`
	Kinds      map[string]int    `json:"kinds" doc:"active findings by kind"`
	Fixable    int               `json:"fixable" doc:"active findings with a fixed version"`
	Cut        bool              `json:"cut,omitempty" doc:"it has more findings than were placed in layers"`
	Packages   int               `json:"packages"`
	Types      map[string]int    `json:"types,omitempty" doc:"packages by type"`
	Gaps       []ImageGap        `json:"gaps" doc:"what of it was not looked at"`
	Advice     Advice            `json:"advice"`
	Uses       []ImageUse        `json:"uses" doc:"in which clusters it runs"`
}

// OS is the operating system of an image.
type OS struct {
	ID      string `json:"id"`
	Version string `json:"version,omitempty"`
	Release string `json:"release,omitempty" doc:"as people call it"`
}

// RiskSplit are active findings by severity, by where they came in.
type RiskSplit struct {
	Base      map[string]int `json:"base" doc:"with layers of the base"`
	Own       map[string]int `json:"own" doc:"with the image's own layers"`
	Elsewhere map[string]int `json:"elsewhere" doc:"of no layer: the configuration, or a place that is not known"`
}

// ImageGap is something that was not looked at.
type ImageGap struct {
	What   string `json:"what"`
	Reason string `json:"reason"`
	Code   string `json:"code"`
}

// ImageUse is an image in one cluster, with the workloads that run it.
type ImageUse struct {
	browse.Asset
	Workloads []ImageRunner `json:"workloads"`
	Count     int           `json:"workloadCount" doc:"of all that run it and may be seen"`
}

// ImageRunner is a workload that runs an image.
type ImageRunner struct {
	ID        int64  `json:"id,string"`
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	imageID   int64
}

// subject is an image that somebody asked for and may see.
type subject struct {
	lead  *browse.Asset  // nil: nothing runs it, and the asker sees everything
	uses  []browse.Asset // that the asker sees
	names []string       // digests, or the reference where there is none
	known *read          // nil: it was not read
}

// maxUses bounds the uses of an image that are told.
const maxUses = 200

// find looks an image up by its digest, that of an index that led to it, or the id of an asset. target 0 is any.
func (s *Service) find(ctx context.Context, v identity.Visible, key string, target int64) (*subject, error) {
	out := &subject{}
	if id, err := strconv.ParseInt(key, 10, 64); err == nil {
		a, err := s.browse.Asset(ctx, v, id)
		if err != nil {
			return nil, err
		}
		if a.Kind != ledger.AssetImage {
			return nil, store.ErrNotFound
		}
		if key = a.Digest; key == "" {
			out.lead, out.uses, out.names = a, []browse.Asset{*a}, []string{a.Name}
			out.known, err = s.readAs(ctx, out.names)
			return out, err
		}
	}
	err := s.db.R.NewRaw("SELECT m.name FROM inventory_names n JOIN inventory_names m ON m.digest = n.digest WHERE n.name = ? LIMIT 100", key).Scan(ctx, &out.names)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(out.names, key) {
		out.names = append(out.names, key)
	}
	if out.uses, _, _, err = s.browse.Assets(ctx, v, browse.AssetFilter{Kind: ledger.AssetImage, Digests: out.names}, "score", store.Page{Limit: maxUses}); err != nil {
		return nil, err
	}
	for i := range out.uses {
		u := &out.uses[i]
		switch {
		case target != 0 && u.TargetID != target:
		case out.lead == nil, u.LookedAt.After(out.lead.LookedAt.Time):
			out.lead = u
		}
	}
	if out.known, err = s.readAs(ctx, out.names); err != nil {
		return nil, err
	}
	if out.lead == nil && (!v.All || out.known == nil || target != 0) {
		return nil, store.ErrNotFound
	}
	return out, nil
}

// sees reports whether v sees an image that a scan has read.
func (s *Service) sees(v identity.Visible) func(context.Context, string) (bool, error) {
	return func(ctx context.Context, digest string) (bool, error) {
		if v.All {
			return true, nil
		}
		list, _, _, err := s.browse.Assets(ctx, v, browse.AssetFilter{Kind: ledger.AssetImage, Digests: []string{digest}}, "score", store.Page{Limit: 1})
		return len(list) > 0, err
	}
}

// looked is a subject with its inventory and findings.
type looked struct {
	*subject
	body  *body // nil: it was not read
	base  BaseImage
	found *findings
}

func (s *Service) look(ctx context.Context, v identity.Visible, key string, target int64, lang string) (*looked, error) {
	sub, err := s.find(ctx, v, key, target)
	if err != nil {
		return nil, err
	}
	out := &looked{subject: sub, base: BaseImage{How: "unknown", Reason: reasonFor(baseReasons, "unknown", lang)}, found: &findings{}}
	if sub.known != nil {
		if out.body, err = s.bodyOf(ctx, *sub.known); err != nil {
			return nil, err
		}
		if out.base, err = s.base(ctx, out.body, lang, s.sees(v)); err != nil {
			return nil, err
		}
	}
	if sub.lead != nil {
		out.found, err = s.findingsOf(ctx, sub.lead, out.body, out.base.Layers)
	}
	return out, err
}

// Image tells everything of an image that v sees.
func (s *Service) Image(ctx context.Context, v identity.Visible, key string, target int64, lang string) (*Image, error) {
	l, err := s.look(ctx, v, key, target, lang)
	if err != nil {
		return nil, err
	}
	out := &Image{Read: l.body != nil, Layers: []BuildStep{}, Base: l.base, Kinds: map[string]int{}, Gaps: []ImageGap{}, Advice: l.found.advise(), Cut: l.found.cut,
		Split: RiskSplit{Base: map[string]int{}, Own: map[string]int{}, Elsewhere: map[string]int{}}}
	if l.lead != nil {
		out.AssetID, out.TargetID, out.Target, out.Digest = l.lead.ID, l.lead.TargetID, l.lead.Target, l.lead.Digest
	}
	for _, u := range l.uses {
		if !slices.Contains(out.References, u.Name) {
			out.References = append(out.References, u.Name)
		}
	}
	if l.body != nil {
		out.describe(l)
	}
	for i := range l.found.list {
		out.count(&l.found.list[i])
	}
	if err := s.gaps(ctx, out, l.subject); err != nil {
		return nil, err
	}
	out.Uses, err = s.uses(ctx, v, l.uses)
	return out, err
}

// describe fills in what the inventory tells.
func (out *Image) describe(l *looked) {
	sw, b := l.body.sw, l.body
	out.ReadAt = &l.known.ReadAt
	out.Digest = cmp.Or(out.Digest, l.known.Digest)
	if len(out.References) == 0 {
		out.References = []string{l.known.Reference}
	}
	out.Packages, out.Layers = len(sw.Packages), b.steps(l.base.Layers)
	out.Types = map[string]int{}
	for i := range b.packages {
		out.Types[string(b.packages[i].Type)]++
	}
	for _, layer := range sw.Layers {
		out.Size += max(0, layer.Size)
	}
	if sw.OS != nil {
		out.OS = &OS{ID: shortened(sw.OS.ID), Version: shortened(sw.OS.VersionID), Release: shortened(sw.OS.Release)}
	}
	for _, g := range sw.Gaps[:min(len(sw.Gaps), maxList)] {
		out.Gaps = append(out.Gaps, ImageGap{shortened(g.What), shortened(strings.TrimPrefix(g.Reason, g.What+": ")), g.Code})
	}
	img := sw.Image
	if img == nil {
		return
	}
	if year := img.Created.Year(); year > 1970 && year < 3000 {
		created := store.At(img.Created)
		out.Created = &created
	}
	out.Platform, out.User, out.WorkDir, out.Health = shortened(img.Platform), shortened(img.User), shortened(img.WorkDir), img.Health
	out.Entrypoint, out.Cmd, out.Env = shortenedAll(img.Entry), shortenedAll(img.Cmd), shortenedAll(img.Env)
	out.Ports, out.Volumes = shortenedAll(img.Ports), shortenedAll(img.Volumes)
	out.Labels = map[string]string{}
	for _, k := range inOrder(img.Labels) {
		if len(out.Labels) == maxList {
			break
		}
		out.Labels[shortened(k)] = shortened(img.Labels[k])
	}
}

// count adds a finding to the counters.
func (out *Image) count(x *Found) {
	word := x.Severity.String()
	out.Kinds[x.Row.Kind.String()]++
	if x.Fixable {
		out.Fixable++
	}
	switch {
	case x.Base:
		out.Split.Base[word]++
	case x.Layer >= 0:
		out.Split.Own[word]++
	default:
		out.Split.Elsewhere[word]++
	}
	i := slices.IndexFunc(out.Layers, func(s BuildStep) bool { return s.Index >= 0 && s.Index == x.Layer })
	if i < 0 {
		return
	}
	switch x.Row.Kind {
	case ledger.SystemVulnerability, ledger.ApplicationVulnerability, ledger.Emergency:
		out.Layers[i].Vulnerabilities[word]++
	case ledger.Secret:
		out.Layers[i].Secrets++
	case ledger.Malware:
		out.Layers[i].Malware++
	}
}

// gaps adds what the last scan of the clusters says it could not do with the image.
func (s *Service) gaps(ctx context.Context, out *Image, sub *subject) error {
	if len(sub.uses) == 0 {
		return nil
	}
	var rows []ledger.Gap
	targets, subjects := []int64{}, []string{}
	for _, u := range sub.uses {
		targets, subjects = append(targets, u.TargetID), append(subjects, u.Name)
	}
	if sub.known != nil {
		subjects = append(subjects, sub.known.Reference)
	}
	err := s.db.R.NewSelect().Model(&rows).Where("target_id IN (?)", bun.List(targets)).Where("subject IN (?)", bun.List(subjects)).OrderExpr("id DESC").Limit(maxList).Scan(ctx)
	if err != nil {
		return err
	}
	for _, g := range rows {
		x := ImageGap{g.What, g.Reason, g.Code}
		if g.What == "image" {
			if out.Reason == "" && !out.Read {
				out.Reason, out.Code = g.Reason, g.Code
			}
			continue
		}
		if !slices.Contains(out.Gaps, x) {
			out.Gaps = append(out.Gaps, x)
		}
	}
	if !out.Read && out.Reason == "" {
		out.Code = string(finding.Skipped)
	}
	return nil
}

// maxRunners bounds the workloads that are told of an image.
const maxRunners = 1000

// uses adds the workloads that v sees.
func (s *Service) uses(ctx context.Context, v identity.Visible, list []browse.Asset) ([]ImageUse, error) {
	out, at, ids := make([]ImageUse, len(list)), map[int64]*ImageUse{}, make([]int64, len(list))
	for i, a := range list {
		out[i] = ImageUse{Asset: a, Workloads: []ImageRunner{}}
		at[a.ID], ids[i] = &out[i], a.ID
	}
	if len(ids) == 0 {
		return out, nil
	}
	part := bunWhere(v)
	var rows []struct {
		ImageID, ID                int64
		GroupKind, Namespace, Name string
	}
	err := s.db.R.NewRaw(`SELECT u.image_id, a.id, a.group_kind, a.namespace, a.name FROM asset_uses u JOIN assets a ON a.id = u.workload_id
		WHERE u.image_id IN (?) AND ? ORDER BY a.namespace, a.name, a.id LIMIT ?`, bun.List(ids), part, maxRunners).Scan(ctx, &rows)
	if err != nil {
		return nil, err
	}
	for _, r := range rows {
		kind, _, _ := strings.Cut(r.GroupKind, ".")
		u := at[r.ImageID]
		u.Workloads = append(u.Workloads, ImageRunner{ID: r.ID, Kind: kind, Namespace: r.Namespace, Name: r.Name})
	}
	counts, err := s.runners(ctx, v, ids)
	for id, u := range at {
		u.Count = counts[id]
	}
	return out, err
}

// runners counts the workloads that run images, of those that v sees.
func (s *Service) runners(ctx context.Context, v identity.Visible, images []int64) (map[int64]int, error) {
	out := map[int64]int{}
	if len(images) == 0 {
		return out, nil
	}
	var rows []struct {
		ImageID int64
		N       int
	}
	err := s.db.R.NewRaw("SELECT u.image_id, count(*) AS n FROM asset_uses u WHERE u.image_id IN (?) AND ? GROUP BY u.image_id", bun.List(images), bunWhere(v)).Scan(ctx, &rows)
	for _, r := range rows {
		out[r.ImageID] = r.N
	}
	return out, err
}

// bunWhere is the condition that v sees a row u of asset_uses.
func bunWhere(v identity.Visible) schema.QueryWithArgs {
	if v.All {
		return bun.SafeQuery("1 = 1")
	}
	parts, args := []string{"1 = 0"}, []any{}
	if len(v.Targets) > 0 {
		parts, args = append(parts, "u.target_id IN (?)"), append(args, bun.List(v.Targets))
	}
	for t, namespaces := range v.Namespaces {
		parts, args = append(parts, "u.target_id = ? AND u.namespace IN (?)"), append(args, t, bun.List(namespaces))
	}
	return bun.SafeQuery("("+strings.Join(parts, " OR ")+")", args...)
}

// Findings is a page of the findings of an image, of all that meet a filter.
type Findings struct {
	Items []Found
	Next  string
	Total int
	Cut   bool
}

// Findings lists the active findings of an image.
func (s *Service) Findings(ctx context.Context, v identity.Visible, key string, target int64, f FindingFilter, sort string, page store.Page) (*Findings, error) {
	l, err := s.look(ctx, v, key, target, "en")
	if err != nil {
		return nil, err
	}
	var list []Found
	for i := range l.found.list {
		if f.meets(&l.found.list[i]) {
			list = append(list, l.found.list[i])
		}
	}
	if err := arrange(list, findingOrders, sort, func(x, y *Found) int {
		return cmp.Or(y.Priority-x.Priority, int(y.Severity-x.Severity), cmp.Compare(x.ID, y.ID))
	}); err != nil {
		return nil, err
	}
	out := &Findings{Total: len(list), Cut: l.found.cut}
	out.Items, out.Next, err = slice(list, page, sort, func(x *Found) int64 { return x.ID })
	return out, err
}

// Packages lists the packages of an image. store.ErrNotFound: it was not read.
func (s *Service) Packages(ctx context.Context, v identity.Visible, key string, target int64, f PackageFilter, sort string, page store.Page) (items []ImagePackage, next string, total int, err error) {
	l, err := s.look(ctx, v, key, target, "en")
	if err != nil {
		return nil, "", 0, err
	}
	if l.body == nil {
		return nil, "", 0, store.ErrNotFound
	}
	list := packages(l.body, l.found, f)
	items, next, err = packagePage(list, sort, page)
	return items, next, len(list), err
}

// Inventory reads what an image holds that v sees, for a bill of materials. It is read anew: who writes it may change it.
func (s *Service) Inventory(ctx context.Context, v identity.Visible, key string) (*inventory.Software, string, error) {
	sub, err := s.find(ctx, v, key, 0)
	if err != nil {
		return nil, "", err
	}
	if sub.known == nil {
		return nil, "", store.ErrNotFound
	}
	sw, err := s.from.Inventory(ctx, sub.known.Digest)
	return sw, sub.known.Digest, err
}
