package triage

import (
	"context"
	"database/sql"
	"slices"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/ledger"
)

// noNodeFacts stands among the broken subjects when nothing was known of the nodes' files and processes.
const noNodeFacts = "\x00nodes"

// noFactsOf stands before the name of a node among the broken subjects of which no facts are known.
const noFactsOf = "\x00node "

// NodeFacts is What of a finding.NotScanned that says that the facts of the one node that it names are not known.
const NodeFacts = "facts of the node"

// nodeFacts reports whether n says that the nodes' files and processes were not seen: the nodes themselves may have been.
func nodeFacts(n *finding.NotScanned) bool {
	return n.What == "node facts" || n.What == "node files, kubelet settings and processes"
}

// assets is what is remembered of the assets of the target during a run.
type assets struct {
	list    []asset
	byKey   map[[16]byte]int32
	byID    map[int64]int32
	words   map[string]string // group kinds and namespaces, each once
	pending []want
	runs    []runs
	spaces  map[string]bool            // namespaces that something reported is in
	kinds   map[string]bool            // "Deployment.apps": could not be read
	rules   map[string]bool            // could not be decided
	partly  map[string]map[string]bool // rules that could not be decided on some nodes, and these
	repos   map[string]bool            // of the images that were reported
	cut     bool                       // the source broke off
	told    bool                       // assets were reported at all
}

type asset struct {
	id                   int64
	labels, facts        uint64 // hashes
	kind                 ledger.AssetKind
	gone, listed         bool
	scope                bool // a ref of the run
	reported, unread     bool // as looked at; could not be looked into
	touched              bool // a finding on it came
	orphan               bool // an image that nothing runs any more
	groupKind, namespace string
	name                 string // of images the reference, and of nodes
}

// want is an asset that shall be there. Labels and facts nil leave those that it has.
type want struct {
	key    assetKey
	print  [16]byte
	labels *string
	facts  *string
	listed bool // a scan looked at it, or tried to
	unread bool // it could not be looked into
}

// runs says that a workload runs an image.
type runs struct{ workload, image [16]byte }

func newAssets() assets {
	return assets{byKey: map[[16]byte]int32{}, byID: map[int64]int32{}, words: map[string]string{}, spaces: map[string]bool{}, kinds: map[string]bool{}, rules: map[string]bool{}, partly: map[string]map[string]bool{}}
}

func (a *assets) word(s string) string {
	if w, ok := a.words[s]; ok {
		return w
	}
	a.words[s] = s
	return s
}

// put remembers a row.
func (a *assets) put(key assetKey, x asset) *asset {
	print := key.print()
	i, ok := a.byKey[print]
	if !ok {
		i = int32(len(a.list))
		a.list = append(a.list, x)
		a.byKey[print], a.byID[x.id] = i, i
	}
	p := &a.list[i]
	p.id, p.kind, p.gone, p.listed, p.labels, p.facts = x.id, key.kind, x.gone, x.listed, x.labels, x.facts
	p.groupKind, p.namespace = a.word(key.groupKind), a.word(key.namespace)
	if key.kind == ledger.AssetImage || key.kind == ledger.AssetNode {
		p.name = key.name
	}
	return p
}

const assetColumns = "id, kind, group_kind, namespace, name, digest, gone_at, labels, facts, listed"

func scanAsset(rows *sql.Rows) (assetKey, asset, error) {
	var k assetKey
	var x asset
	var gone int64
	var labels, facts string
	err := rows.Scan(&x.id, &k.kind, &k.groupKind, &k.namespace, &k.name, &k.hash, &gone, &labels, &facts, &x.listed)
	x.gone, x.labels, x.facts = gone != 0, hashText(labels), hashText(facts)
	return k, x, err
}

// load reads the assets of the target, or those of the refs.
func (a *assets) load(in *Ingest) error {
	keep := func(scope bool) func(rows *sql.Rows) error {
		return func(rows *sql.Rows) error {
			k, x, err := scanAsset(rows)
			if err == nil {
				a.put(k, x).scope = scope
			}
			return err
		}
	}
	const from = "SELECT " + assetColumns + " FROM assets WHERE target_id = ?"
	if in.r.whole() {
		return query(in.ctx, in.t.db.R, keep(false), from, in.r.Target)
	}
	for _, ref := range in.r.Refs {
		var err error
		if ref.Kind == "Image" && ref.APIVersion == "" {
			err = query(in.ctx, in.t.db.R, keep(true), from+" AND kind = ? AND group_kind = '' AND namespace = '' AND name = ?",
				in.r.Target, int(ledger.AssetImage), clean(ref.Name))
		} else {
			k := keyOfRef(ref).cleaned()
			kinds := []int{int(k.kind)}
			if k.kind == ledger.AssetObject || k.kind == ledger.AssetWorkload {
				kinds = []int{int(ledger.AssetObject), int(ledger.AssetWorkload)}
			}
			err = query(in.ctx, in.t.db.R, keep(true), from+" AND kind IN (?) AND group_kind = ? AND namespace = ? AND name = ?",
				in.r.Target, bun.List(kinds), k.groupKind, k.namespace, k.name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// scoped lists the assets that the run speaks for, in chunks.
func (a *assets) scoped() [][]int64 {
	var ids []int64
	for i := range a.list {
		if a.list[i].scope {
			ids = append(ids, a.list[i].id)
		}
	}
	return slices.Collect(slices.Chunk(ids, 1000))
}

// touch notes that a finding on the asset came.
func (a *assets) touch(id int64) {
	if i, ok := a.byID[id]; ok {
		a.list[i].touched = true
	}
}

// add takes in what a scan looked at.
func (a *assets) add(in *Ingest, x *finding.Asset) error {
	a.told = true
	key, ok := keyOfAsset(x, &in.target)
	switch {
	case x.Kind == "rule" && x.Node != "":
		name := a.word(clean(x.Name))
		if a.partly[name] == nil {
			a.partly[name] = map[string]bool{}
		}
		a.partly[name][a.word(clean(x.Node))] = true
		return nil
	case x.Kind == "rule":
		a.rules[clean(x.Name)] = true
		return nil
	case !ok:
		if x.Kind == "object" && x.Unread != "" {
			a.kinds[x.GroupKind] = true
		}
		return nil
	case x.Kind == "cluster" && x.Unread != "":
		a.cut = true
	}
	w := want{key: key.cleaned(), listed: true}
	w.print = w.key.print()
	labels := ""
	if len(x.Labels) > 0 {
		labels = ledger.JSON(x.Labels)
	}
	w.labels = &labels
	if x.Kind == "image" || x.Kind == "cluster" || x.Kind == "file" {
		w.labels = nil
	}
	if x.Facts != nil {
		facts := clean(ledger.JSON(x.Facts))
		w.facts = &facts
	}
	a.spaces[a.word(w.key.namespace)] = true
	for _, image := range x.Runs {
		k := assetKey{kind: ledger.AssetImage, name: image.Reference, hash: image.Digest}.cleaned()
		r := runs{w.print, k.print()}
		a.runs = append(a.runs, r)
		if _, ok := a.byKey[r.image]; !ok {
			a.pending = append(a.pending, want{key: k, print: r.image})
		}
	}
	if i, ok := a.byKey[w.print]; ok {
		p := &a.list[i]
		p.reported, p.unread = true, p.unread || x.Unread != ""
		if !p.gone && p.listed && same(w.labels, p.labels) && same(w.facts, p.facts) && (p.kind == key.kind || key.kind == ledger.AssetObject) {
			return nil
		}
	}
	w.unread = x.Unread != ""
	a.pending = append(a.pending, w)
	if len(a.pending) >= batchSize {
		return a.flush(in)
	}
	return nil
}

// same reports whether what is wanted of a text is there already.
func same(text *string, hash uint64) bool { return text == nil || hashText(*text) == hash }

// flush writes the assets that are new or changed.
func (a *assets) flush(in *Ingest) error {
	if len(a.pending) == 0 {
		return nil
	}
	list := a.pending
	if err := a.write(in, list); err != nil {
		return err
	}
	for _, w := range list {
		if i, ok := a.byKey[w.print]; ok {
			p := &a.list[i]
			p.reported, p.unread = p.reported || w.listed, p.unread || w.unread
		}
	}
	a.pending = nil
	return nil
}

func (a *assets) write(in *Ingest, list []want) error {
	var found []row
	err := in.t.db.Write(in.ctx, func(ctx context.Context, tx bun.Tx) (err error) {
		if err = in.lock(ctx, tx); err != nil {
			return err
		}
		found, err = in.ensure(ctx, tx, list)
		return err
	})
	for _, r := range found {
		a.put(r.key, r.asset)
	}
	return err
}

// row is an asset as the database has it.
type row struct {
	key   assetKey
	asset asset
}

// ensure makes the assets be there and not gone, and returns those that were not remembered so. The caller remembers them when
// the transaction is through.
func (in *Ingest) ensure(ctx context.Context, tx bun.Tx, list []want) ([]row, error) {
	var found []row
	b := bulk{head: "INSERT INTO assets (target_id, kind, group_kind, namespace, name, digest, first_seen, labels, facts, listed) VALUES ", columns: 10,
		tail: " ON CONFLICT (target_id, kind, group_kind, namespace, name, digest) DO UPDATE SET gone_at = 0, listed = assets.listed OR excluded.listed RETURNING " + assetColumns}
	done := map[[16]byte]bool{}
	for _, w := range list {
		if done[w.print] {
			continue
		}
		done[w.print] = true
		var x *asset
		if known, ok := in.assets.byKey[w.print]; ok {
			x = &in.assets.list[known]
		} else if !in.all { // an object that was found to be a workload, or the other way round, is there under the other kind
			var err error
			if x, err = in.sibling(ctx, tx, w.key); err != nil {
				return nil, err
			}
			if x != nil {
				found = append(found, row{assetKey{x.kind, w.key.groupKind, w.key.namespace, w.key.name, w.key.hash}, *x})
			}
		}
		if x == nil {
			labels, facts := "", ""
			if w.labels != nil {
				labels = *w.labels
			}
			if w.facts != nil {
				facts = *w.facts
			}
			b.row(in.r.Target, int(w.key.kind), w.key.groupKind, w.key.namespace, w.key.name, w.key.hash, in.at.UnixMilli(), labels, facts, w.listed)
			continue
		}
		kind, labels, facts := x.kind, x.labels, x.facts
		if x.kind == ledger.AssetObject && w.key.kind == ledger.AssetWorkload {
			kind = ledger.AssetWorkload
		}
		set := tx.NewUpdate().Table("assets").Set("gone_at = 0").Set("kind = ?", int(kind)).Set("listed = ?", x.listed || w.listed).Where("id = ?", x.id)
		if w.labels != nil {
			set, labels = set.Set("labels = ?", *w.labels), hashText(*w.labels)
		}
		if w.facts != nil {
			set, facts = set.Set("facts = ?", *w.facts), hashText(*w.facts)
		}
		if x.kind == ledger.AssetCluster {
			set = set.Set("name = ?", w.key.name)
		}
		if !x.gone && kind == x.kind && labels == x.labels && facts == x.facts && (x.listed || !w.listed) {
			continue
		}
		if _, err := set.Exec(ctx); err != nil {
			return nil, err
		}
		key := w.key
		key.kind = kind
		found = append(found, row{key, asset{id: x.id, labels: labels, facts: facts, listed: x.listed || w.listed}})
	}
	err := in.t.exec(ctx, tx, &b, func(rows *sql.Rows) error {
		k, x, err := scanAsset(rows)
		found = append(found, row{k, x})
		return err
	})
	return found, err
}

// sibling finds an asset that is there as an object and wanted as a workload, or the other way round.
func (in *Ingest) sibling(ctx context.Context, tx bun.Tx, k assetKey) (*asset, error) {
	var out *asset
	keep := func(rows *sql.Rows) error {
		k, x, err := scanAsset(rows)
		x.kind = k.kind
		out = &x
		return err
	}
	const from = "SELECT " + assetColumns + " FROM assets WHERE target_id = ?"
	var err error
	switch k.kind {
	case ledger.AssetCluster:
		err = query(ctx, tx, keep, from+" AND kind = ? ORDER BY id DESC", in.r.Target, int(k.kind))
	case ledger.AssetObject, ledger.AssetWorkload:
		err = query(ctx, tx, keep, from+" AND kind IN (?) AND group_kind = ? AND namespace = ? AND name = ?",
			in.r.Target, bun.List([]int{int(ledger.AssetObject), int(ledger.AssetWorkload)}), k.groupKind, k.namespace, k.name)
	}
	return out, err
}

// lock takes the target for a transaction of the run.
func (in *Ingest) lock(ctx context.Context, tx bun.Tx) error {
	rows, err := in.t.lock(ctx, tx, []int64{in.r.Target})
	if err == nil && len(rows) == 0 {
		err = ErrRemoved
	}
	return err
}
