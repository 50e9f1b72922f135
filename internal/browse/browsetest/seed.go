// Package browsetest fills a database with findings for tests and measurements of lists: as many as are asked for, the same every
// time, with all counters as triage keeps them.
package browsetest

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"time"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/store"
)

// Options say how much there is. Zero values are those of a small installation.
type Options struct {
	Findings  int
	Clusters  int
	Projects  int // of IaC files
	Images    int // different ones; a cluster runs some of them
	Workloads int // of all clusters
	Spaces    int // namespaces of a cluster
	Nodes     int // of a cluster
	Risks     int // vulnerabilities; rules are a tenth
	Details   int // findings that have their texts: every so many-th; 0 is all
	Days      int // of the trend
	Seed      uint64
	Now       time.Time
}

// Small is enough for tests.
var Small = Options{Findings: 1500, Clusters: 5, Projects: 1, Images: 40, Workloads: 100, Spaces: 4, Nodes: 3, Risks: 120, Days: 40}

// Large is what the lists are measured with.
var Large = Options{Findings: 1_000_000, Clusters: 100, Projects: 5, Images: 10_000, Workloads: 100_000, Spaces: 50, Nodes: 50, Risks: 8000,
	Details: 100, Days: 100}

// Now is the time of a seed when none is given.
var Now = time.Date(2026, 5, 20, 12, 0, 0, 0, time.UTC)

type risk struct {
	id       int64
	kind     ledger.Kind
	rule     string
	ruleID   string
	severity ledger.Severity
	title    finding.Text
	kev      bool
	fixable  bool
	pack     string
	advice   int64
}

type asset struct {
	id                         int64
	target                     int64
	kind                       ledger.AssetKind
	group, space, name, digest string
	counts                     [5]int
	uses                       []*asset // of a workload: its images
}

type seeder struct {
	o       Options
	w       *writer
	r       *rand.Rand
	risks   map[ledger.Kind][]*risk
	assets  []*asset
	next    int64 // id of assets
	finding int64
	counts  map[countKey]int
	byRisk  map[riskKey]int
	roots   map[int64]*asset
	spaces  map[int64]map[string]*asset
	history int
}

type countKey struct {
	target   int64
	space    string
	kind     ledger.Kind
	severity ledger.Severity
	status   ledger.Status
}

type riskKey struct {
	target int64
	risk   *risk
}

// Seed fills an empty database.
func Seed(ctx context.Context, db *store.DB, o Options) error {
	if o.Now.IsZero() {
		o.Now = Now
	}
	s := &seeder{o: o, w: newWriter(ctx, db), r: rand.New(rand.NewPCG(o.Seed, 1)), risks: map[ledger.Kind][]*risk{}, counts: map[countKey]int{},
		byRisk: map[riskKey]int{}, roots: map[int64]*asset{}, spaces: map[int64]map[string]*asset{}}
	if err := s.world(); err != nil {
		return err
	}
	err := withoutIndexes(ctx, db, func() error {
		if err := s.targets(); err != nil {
			return err
		}
		return s.w.flush("findings", "details", "history")
	})
	if err != nil {
		return err
	}
	if err := s.totals(); err != nil {
		return err
	}
	return settle(ctx, db)
}

const (
	targetColumns  = "id, kind, name, created_at, looked_at"
	assetColumns   = "id, target_id, kind, group_kind, namespace, name, digest, first_seen, critical, high, medium, low, info, score"
	riskColumns    = "id, kind, rule, rule_id, severity, title, title_zh, risk, kev, epss, cvss, first_seen"
	findingColumns = "id, target_id, fingerprint, risk_id, asset_id, kind, severity, state, handling, status, cause, priority, kev, fixable, rule, package, version, namespace, resource, image, digest, hash, first_seen, last_seen, changed_at, exception_id, assignee_id"
)

var words = []string{"nginx", "redis", "payment", "orders", "catalog", "search", "gateway", "auth", "billing", "report", "stream", "mail"}

// world writes what all targets share: risks and their texts.
func (s *seeder) world() error {
	vulnerabilities := []ledger.Kind{ledger.SystemVulnerability, ledger.SystemVulnerability, ledger.ApplicationVulnerability}
	n := int64(0)
	add := func(k ledger.Kind, rule, id string, severity ledger.Severity, en, zh, pack string) error {
		n++
		r := &risk{id: n, kind: k, rule: rule, ruleID: id, severity: severity, title: finding.Text{EN: en, ZH: zh}, pack: pack, advice: n}
		r.kev, r.fixable = pack != "" && s.r.IntN(40) == 0, pack != "" && s.r.IntN(3) > 0
		s.risks[k] = append(s.risks[k], r)
		a := ledger.Advice{RuleID: id, Title: r.title, Remediation: finding.Text{EN: "Do what is right.", ZH: "请修复。"}}
		if err := s.w.put("advice", "id, hash, body", n, n, ledger.JSON(a)); err != nil {
			return err
		}
		return s.w.put("risks", riskColumns, n, int(k), rule, id, int(severity), en, zh, "workload", r.kev, 0.1, 5.5, s.o.Now.Add(-1000*time.Hour).UnixMilli())
	}
	for i := range s.o.Risks {
		pack := fmt.Sprintf("lib%s-%d", words[i%len(words)], i%(max(1, s.o.Risks/4)))
		k := vulnerabilities[i%3]
		if i%50 == 0 {
			k = ledger.Emergency
		}
		err := add(k, fmt.Sprintf("CVE-%d-%d", 2018+i%8, 1000+i), "", s.severity(), fmt.Sprintf("%s: overflow number %d", pack, i), fmt.Sprintf("%s 存在溢出漏洞 %d", pack, i), pack)
		if err != nil {
			return err
		}
	}
	rules := map[ledger.Kind]string{ledger.Configuration: "workload", ledger.Permission: "access", ledger.Secret: "secret", ledger.Malware: "malware", ledger.IaC: "dockerfile"}
	for _, k := range ledger.Kinds {
		for i := range max(3, s.o.Risks/50) {
			if rules[k] == "" {
				continue
			}
			err := add(k, fmt.Sprintf("%s/rule-%s-%d", rules[k], words[i%len(words)], i), fmt.Sprintf("STK-%d-%04d", k, i), s.severity(),
				fmt.Sprintf("Rule %d of %s", i, words[i%len(words)]), fmt.Sprintf("规则 %d：容器配置不安全", i), "")
			if err != nil {
				return err
			}
		}
	}
	return s.w.flush("advice", "risks")
}

func (s *seeder) severity() ledger.Severity {
	return []ledger.Severity{4, 3, 3, 3, 2, 2, 2, 2, 2, 1, 1, 1, 0}[s.r.IntN(13)]
}

// targets writes clusters and projects with their findings.
func (s *seeder) targets() error {
	each := s.o.Findings / (s.o.Clusters + s.o.Projects)
	for i := range s.o.Clusters + s.o.Projects {
		id := int64(i + 1)
		kind, name := "cluster", fmt.Sprintf("cluster-%03d", (i*37)%(s.o.Clusters+1))
		if i >= s.o.Clusters {
			kind, name = "project", fmt.Sprintf("project-%d", i)
		}
		looked := s.o.Now.Add(-time.Duration(s.r.IntN(20*24)) * time.Hour)
		if err := s.w.put("targets", targetColumns, id, kind, name, s.o.Now.Add(-2000*time.Hour).UnixMilli(), looked.UnixMilli()); err != nil {
			return err
		}
		if err := s.w.flush("targets"); err != nil {
			return err
		}
		if i == s.o.Clusters+s.o.Projects-1 {
			each = s.o.Findings - int(s.finding)
		}
		if err := s.target(id, kind, name, each); err != nil {
			return err
		}
	}
	return nil
}

func (s *seeder) asset(target int64, kind ledger.AssetKind, group, space, name, digest string) *asset {
	s.next++
	a := &asset{id: s.next, target: target, kind: kind, group: group, space: space, name: name, digest: digest}
	s.assets = append(s.assets, a)
	return a
}

// target writes a target's assets, then its findings.
func (s *seeder) target(id int64, kind, name string, n int) error {
	from := len(s.assets)
	var images, workloads, nodes, files []*asset
	s.spaces[id] = map[string]*asset{}
	if kind == "cluster" {
		s.roots[id] = s.asset(id, ledger.AssetCluster, "", "", name, "")
		for i := range s.o.Spaces {
			space := fmt.Sprintf("team-%d", i)
			if i == 0 {
				space = "kube-system"
			}
			s.spaces[id][space] = s.asset(id, ledger.AssetNamespace, "", space, space, "")
		}
		for range max(3, 3*s.o.Images/max(1, s.o.Clusters)) {
			i := s.r.IntN(s.o.Images)
			images = append(images, s.image(id, i, images))
		}
		for i := range s.o.Workloads / s.o.Clusters {
			space := "kube-system"
			if i%20 != 0 {
				space = fmt.Sprintf("team-%d", 1+s.r.IntN(max(1, s.o.Spaces-1)))
			}
			w := s.asset(id, ledger.AssetWorkload, "Deployment.apps", space, fmt.Sprintf("%s-%d", words[s.r.IntN(len(words))], i), "")
			w.uses = append(w.uses, images[s.r.IntN(len(images))])
			workloads = append(workloads, w)
		}
		for i := range s.o.Nodes {
			nodes = append(nodes, s.asset(id, ledger.AssetNode, "", "", fmt.Sprintf("node-%d", i), ""))
		}
	} else {
		for i := range max(1, n/20) {
			files = append(files, s.asset(id, ledger.AssetFile, "", "", fmt.Sprintf("deploy/%s/file-%d.yaml", words[i%len(words)], i), ""))
		}
	}
	rows := s.assets[from:]
	for _, a := range rows { // before the findings that name them; their counters follow
		if err := s.w.put("assets", assetColumns, a.id, a.target, int(a.kind), a.group, a.space, a.name, a.digest, s.o.Now.Add(-1500*time.Hour).UnixMilli(), 0, 0, 0, 0, 0, 0); err != nil {
			return err
		}
	}
	if err := s.w.flush("assets"); err != nil {
		return err
	}
	for _, w := range workloads {
		if err := s.w.put("asset_uses", "target_id, image_id, workload_id, namespace", id, w.uses[0].id, w.id, w.space); err != nil {
			return err
		}
	}
	if err := s.w.flush("asset_uses"); err != nil {
		return err
	}
	for range n {
		if err := s.one(id, images, workloads, nodes, files); err != nil {
			return err
		}
	}
	return nil
}

func (s *seeder) image(target int64, i int, have []*asset) *asset {
	name := fmt.Sprintf("registry.example.com/%s/app-%d:1.%d", words[i%len(words)], i, i%9)
	for _, a := range have {
		if a.name == name {
			return a
		}
	}
	sum := sha256.Sum256([]byte(name))
	return s.asset(target, ledger.AssetImage, "", "", name, fmt.Sprintf("sha256:%x", sum))
}

// one writes one finding.
func (s *seeder) one(target int64, images, workloads, nodes, files []*asset) error {
	kind, at := s.place(images, workloads, nodes, files)
	list := s.risks[kind]
	r := list[int(float64(len(list))*s.r.Float64()*s.r.Float64())] // a few are everywhere
	s.finding++
	f := ledger.Row{ID: s.finding, TargetID: target, RiskID: r.id, AssetID: at.id, Kind: kind, Severity: r.severity, State: ledger.Open,
		KEV: r.kev, Fixable: r.fixable, Rule: r.rule, Package: r.pack, Namespace: at.space, Resource: at.name, Hash: s.finding}
	if at.kind == ledger.AssetImage {
		f.Image, f.Digest, f.Resource = at.name, at.digest, ""
	}
	f.Priority = min(100, []int{3, 13, 28, 40, 48}[r.severity]+s.r.IntN(20))
	if r.kev {
		f.Priority = min(100, f.Priority+30)
	}
	first := s.o.Now.Add(-time.Duration(s.r.IntN(1000*60)) * time.Minute)
	f.FirstSeen, f.ChangedAt = store.At(first), store.At(first)
	s.fate(&f, first)
	f.Status = ledger.StatusOf(f.State, f.Handling)
	var id [16]byte
	binary.BigEndian.PutUint64(id[:], uint64(s.finding)*0x9e3779b97f4a7c15)
	binary.BigEndian.PutUint64(id[8:], uint64(s.finding))
	s.tally(&f, r, at)
	if s.r.IntN(50) == 0 {
		f.AssigneeID = 1 + int64(s.r.IntN(3))
	}
	err := s.w.put("findings", findingColumns, f.ID, f.TargetID, id[:], f.RiskID, f.AssetID, int(f.Kind), int(f.Severity), int(f.State), int(f.Handling), int(f.Status), int(f.Cause),
		f.Priority, f.KEV, f.Fixable, f.Rule, f.Package, f.Version, f.Namespace, f.Resource, f.Image, f.Digest, f.Hash, f.FirstSeen.UnixMilli(), stamp(f.LastSeen), f.ChangedAt.UnixMilli(), f.ExceptionID, f.AssigneeID)
	if err != nil || s.o.Details > 1 && s.finding%int64(s.o.Details) != 0 {
		return err
	}
	return s.texts(&f, r, at)
}

// place chooses a kind of finding and what it is about.
func (s *seeder) place(images, workloads, nodes, files []*asset) (ledger.Kind, *asset) {
	if len(files) > 0 {
		return ledger.IaC, files[s.r.IntN(len(files))]
	}
	x := s.r.IntN(1000)
	switch {
	case x < 400:
		return ledger.SystemVulnerability, images[s.r.IntN(len(images))]
	case x < 600:
		return ledger.ApplicationVulnerability, images[s.r.IntN(len(images))]
	case x < 610:
		return ledger.Emergency, images[s.r.IntN(len(images))]
	case x < 612:
		return ledger.Malware, images[s.r.IntN(len(images))]
	case x < 650:
		return ledger.Secret, workloads[s.r.IntN(len(workloads))]
	case x < 700:
		return ledger.Permission, workloads[s.r.IntN(len(workloads))]
	case x < 720 && len(nodes) > 0:
		return ledger.Configuration, nodes[s.r.IntN(len(nodes))]
	}
	return ledger.Configuration, workloads[s.r.IntN(len(workloads))]
}

// fate is what became of a finding.
func (s *seeder) fate(f *ledger.Row, first time.Time) {
	later := store.At(first.Add(time.Duration(s.r.Float64() * s.r.Float64() * float64(s.o.Now.Sub(first)))))
	switch x := s.r.IntN(100); {
	case x < 74:
		return
	case x < 77:
		f.State, f.Cause = ledger.Reopened, ledger.ImageChanged
	case x < 79:
		f.State, f.Cause, f.LastSeen = ledger.Unseen, ledger.NotLooked, later
	case x < 82:
		f.Handling, f.Cause = ledger.Ignored, ledger.ByHand
	case x < 86:
		f.Handling, f.Cause, f.ExceptionID = ledger.Accepted, ledger.ByException, 1
	case x < 87:
		f.Handling, f.Cause = ledger.MarkedFixed, ledger.ByHand
	case x < 96:
		f.State, f.Cause, f.LastSeen = ledger.Fixed, ledger.ImageChanged, later
	default:
		f.State, f.Cause, f.LastSeen = ledger.Gone, ledger.ObjectGone, later
	}
	f.ChangedAt = later
}

func stamp(t store.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}
