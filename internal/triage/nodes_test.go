package triage

import (
	"context"
	"slices"
	"testing"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
)

// onNode is a finding on a node; kind and rule as given.
func onNode(node, rule string, kind finding.Kind) *finding.Finding {
	id := finding.Identity{RuleID: rule, Cluster: "shop", Kind: "Node", Node: node}
	f := misconfigured("", node, rule, finding.High)
	f.Fingerprint, f.Kind, f.Rule = id.Fingerprint(), kind, "node/"+rule
	f.Resource = finding.Resource{Cluster: "shop", APIVersion: "v1", Kind: "Node", Name: node, Node: node, File: "/usr/bin/x"}
	return f
}

// TestAgents: what only agents tell is left alone by full scans while the node is there, and runs of a node speak for it and for what
// they said before.
func TestAgents(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		x := setUp(t, db)
		node := func(name string) finding.Asset { return finding.Asset{Kind: "node", GroupKind: "Node", Name: name} }
		config, leak, malware := onNode("n1", "r1", finding.Configuration), onNode("n1", "leak", finding.Emergency), onNode("n1", "virus", finding.Malware)
		other := onNode("n2", "leak", finding.Emergency)
		drift := misconfigured("shop", "till", "drift", finding.High)
		drift.Resource.Node = "n1"
		process := onNode("n1", "kubelet", finding.Configuration)
		process.Resource.Kind, process.Resource.Name, process.Resource.File = "Process", "kubelet", ""
		n1 := inventory.Ref{APIVersion: "v1", Kind: "Node", Name: "n1"}
		all := look{found: []*finding.Finding{config, leak, malware, other, drift, process}, assets: []finding.Asset{{Kind: "cluster", Name: "shop"}, deployment("shop", "till"), node("n1"), node("n2")}}
		x.scan(all)
		state := func(step string, want map[*finding.Finding]ledger.State) {
			t.Helper()
			for f, st := range want {
				if got := x.row(f.Fingerprint).State; got != st {
					t.Errorf("%s: %s on %s is %s, want %s", step, f.Rule, f.Resource.Node, got, st)
				}
			}
		}
		if x.row(config.Fingerprint).AssetID != x.row(process.Fingerprint).AssetID || x.row(config.Fingerprint).AssetID == x.row(drift.Fingerprint).AssetID {
			t.Error("findings on a node are not on its asset")
		}
		// A full scan that knows nothing of the agents' findings, with an agent on n1 only.
		full := look{found: []*finding.Finding{config, drift, process}, assets: all.assets, run: Run{Agents: map[string]bool{"n1": true}}}
		x.scan(full)
		state("full", map[*finding.Finding]ledger.State{config: ledger.Open, leak: ledger.Open, malware: ledger.Open, other: ledger.Fixed, drift: ledger.Open})
		// A rule that was not decided on some node says nothing of this one.
		x.scan(full.without(0).with(func(l *look) {
			l.assets = append(slices.Clone(l.assets), finding.Asset{Kind: "rule", Name: "node/r1", Unread: "it could not be decided"})
		}))
		state("undecided", map[*finding.Finding]ledger.State{config: ledger.Open})
		// A run of the node: emergencies were looked for, malicious files were not.
		part := look{run: Run{Kind: Part, Refs: []inventory.Ref{n1}, Also: []string{drift.Fingerprint}, Kinds: []ledger.Kind{ledger.Configuration, ledger.Emergency}},
			assets: []finding.Asset{node("n1")}, found: []*finding.Finding{config, process}}
		x.scan(part)
		state("node", map[*finding.Finding]ledger.State{config: ledger.Open, leak: ledger.Fixed, malware: ledger.Open, drift: ledger.Fixed, process: ledger.Open})
		// Without facts of the node nothing on it is fixed.
		x.scan(full.without(0).with(func(l *look) {
			l.gaps = []finding.NotScanned{{Target: "n1", What: NodeFacts, Reason: "away", Code: finding.Unreachable}}
		}))
		state("away", map[*finding.Finding]ledger.State{config: ledger.Unseen, malware: ledger.Open})
		// The node left the cluster, and what its agent said with it.
		x.scan(look{assets: []finding.Asset{{Kind: "cluster", Name: "shop"}, node("n2")}, run: Run{Agents: map[string]bool{"n1": true}}})
		state("gone", map[*finding.Finding]ledger.State{config: ledger.Gone, malware: ledger.Gone})
		x.right()
	})
}

// TestSeenBy: what agents saw in containers and images belongs to their nodes, whatever it is on: a node that is away, or on which a rule
// could not be decided, keeps its findings from being fixed, and no other's.
func TestSeenBy(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		x := setUp(t, db)
		node := func(name string) finding.Asset { return finding.Asset{Kind: "node", GroupKind: "Node", Name: name} }
		undecided := func(rule, node string) finding.Asset {
			return finding.Asset{Kind: "rule", Name: rule, Node: node, Unread: "x"}
		}
		drift := func(name string) *finding.Finding {
			f := misconfigured("shop", name, "drift", finding.High)
			f.Rule = "node/drift"
			return f
		}
		one, two := drift("till"), drift("cart")
		image := misconfigured("", "", "virus", finding.Critical)
		image.Fingerprint, image.Rule, image.Kind = finding.Identity{RuleID: "virus", Name: "r/web"}.Fingerprint(), "node/malicious-file", finding.Malware
		image.Resource = finding.Resource{Cluster: "shop", Image: "r/web:1", Digest: "sha256:1", File: "usr/bin/x"}
		config1, config2 := onNode("n1", "r1", finding.Configuration), onNode("n2", "r1", finding.Configuration)
		assets := []finding.Asset{{Kind: "cluster", Name: "shop"}, deployment("shop", "till"), deployment("shop", "cart"), node("n1"), node("n2"), node("n3"), {Kind: "image", Name: "r/web:1", Digest: "sha256:1"}}
		leak := misconfigured("shop", "till", "CVE-2019-5736", finding.Critical)
		leak.Kind, leak.Rule = finding.Emergency, "CVE-2019-5736"
		all := look{found: []*finding.Finding{one, two, image, config1, config2, leak}, assets: assets, run: Run{Agents: map[string]bool{"n1": true}}}
		x.scan(all)
		if err := db.Write(t.Context(), func(ctx context.Context, tx bun.Tx) error {
			for i, n := range []string{"n1", "n2", "n3"} {
				if _, err := tx.NewRaw("INSERT INTO nodes (id, target_id, name) VALUES (?, ?, ?)", i+1, x.row(one.Fingerprint).TargetID, n).Exec(ctx); err != nil {
					return err
				}
			}
			for _, p := range []struct {
				node int
				f    *finding.Finding
			}{{1, one}, {2, two}, {1, image}, {3, image}, {1, leak}} {
				if _, err := tx.NewRaw("INSERT INTO node_prints (node_id, print) VALUES (?, ?)", p.node, x.row(p.f.Fingerprint).Fingerprint).Exec(ctx); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		state := func(step string, want map[*finding.Finding]ledger.State) {
			t.Helper()
			for f, st := range want {
				if got := x.row(f.Fingerprint).State; got != st {
					t.Errorf("%s: %s on %+v is %s, want %s", step, f.Rule, f.Resource, got, st)
				}
			}
		}
		// Nothing is seen: n1 is away, and on n2 nothing could be decided of the rules; n2 has no agent.
		x.scan(look{assets: append(slices.Clone(assets), undecided("node/drift", "n2"), undecided("node/r1", "n2")), run: all.run,
			gaps: []finding.NotScanned{{Target: "n1", What: NodeFacts, Reason: "away", Code: finding.Unreachable}}})
		state("away and undecided", map[*finding.Finding]ledger.State{one: ledger.Unseen, two: ledger.Unseen, image: ledger.Unseen, config1: ledger.Unseen, config2: ledger.Unseen})
		x.scan(all)
		// Undecided on n1, which has an agent: for its runs to tell. The others are decided, and fixed.
		x.scan(look{assets: append(slices.Clone(assets), undecided("node/drift", "n1"), undecided("node/r1", "n1")), run: all.run, found: []*finding.Finding{image}})
		state("undecided on n1", map[*finding.Finding]ledger.State{one: ledger.Open, two: ledger.Fixed, image: ledger.Open, config1: ledger.Open, config2: ledger.Fixed, leak: ledger.Open})
		// A run of n1 does not see the image's file any more; n3 does. Then n3 does not either.
		of := func(name string) look {
			return look{run: Run{Kind: Part, Refs: []inventory.Ref{{APIVersion: "v1", Kind: "Node", Name: name}}, Also: []string{image.Fingerprint}}, assets: []finding.Asset{node(name)}}
		}
		x.scan(of("n1"))
		state("n1", map[*finding.Finding]ledger.State{image: ledger.Open})
		if err := db.Write(t.Context(), func(ctx context.Context, tx bun.Tx) error {
			_, err := tx.NewRaw("DELETE FROM node_prints WHERE node_id = 1").Exec(ctx)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		x.scan(of("n3"))
		state("n3", map[*finding.Finding]ledger.State{image: ledger.Fixed})
		x.right()
	})
}
