package server

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/klauspost/compress/zstd"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/triage"

	"github.com/uptrace/bun"
)

// digests of an image that shop runs, one that only bank runs, and one of beta. All have been read.
var (
	imageShop = fmt.Sprintf("sha256:%064d", 11)
	imageBank = fmt.Sprintf("sha256:%064d", 12)
	imageBeta = fmt.Sprintf("sha256:%064d", 13)
)

// images puts images into both clusters: as parts of them, so that what else was found there stays.
func images(w *world) {
	for _, x := range []struct {
		target                             int64
		digest, namespace, cluster, marked string
	}{{w.alpha, imageShop, "shop", markAlpha, markAlpha}, {w.alpha, imageBank, "bank", markAlpha, markAlpha + "-" + markBank}, {w.beta, imageBeta, "shop", markBeta, markBeta}} {
		reference := "registry.example.com/" + x.marked + ":1"
		w.bill(x.digest, reference)
		in, err := w.rooms.triage.Ingest(context.Background(), triage.Run{Target: x.target, Kind: triage.Watch})
		if err != nil {
			w.t.Fatal(err)
		}
		must := func(err error) {
			w.t.Helper()
			if err != nil {
				w.t.Fatal(err)
			}
		}
		about := finding.Target{Kind: "cluster", Name: x.cluster}
		must(in.Begin(finding.Header{Target: about, StartedAt: w.clock()}))
		must(in.Asset(finding.Asset{Kind: "image", Name: reference, Digest: x.digest}))
		must(in.Asset(finding.Asset{Kind: "workload", GroupKind: "Deployment.apps", Namespace: x.namespace, Name: "runs-" + x.marked,
			Runs: []finding.ImageRef{{Reference: reference, Digest: x.digest}}}))
		must(in.Finding(&finding.Finding{Fingerprint: fmt.Sprintf("%032x", 5000+w.next()), Kind: finding.Vulnerability, Rule: "CVE-2026-1", Severity: finding.High, Status: finding.Open,
			Title: finding.Text{EN: "Hole"}, Resource: finding.Resource{Cluster: x.cluster, Image: reference, Digest: x.digest, File: "app/" + x.marked},
			Vulnerability: &finding.Vulnerable{ID: "CVE-2026-1", Package: x.marked, Version: "1", FixedVersion: "2", Type: "application", PURL: "pkg:npm/x"}}))
		must(in.End(w.clock(), about, finding.Stats{}))
	}
	for _, target := range []int64{w.alpha, w.beta} {
		mark := map[int64]string{w.alpha: markAlpha, w.beta: markBeta}[target]
		w.exec("INSERT INTO cluster_components (target_id, at, body) VALUES (?, 1, ?)", target, `{"components":[{"name":"coredns","group":"kube-system","image":"`+mark+`"}]}`)
	}
}

// bill is the inventory of an image with one package.
func (w *world) bill(digest, reference string) {
	w.t.Helper()
	sw := inventory.Software{Schema: inventory.SoftwareSchema, Kind: "image", Name: reference, Image: &inventory.Image{Reference: reference, Digest: digest},
		Packages: []inventory.Package{{Type: inventory.NPM, Name: reference, Version: "1", Path: "app", Layer: 0}}, Layers: []inventory.Layer{{Digest: "sha256:x" + digest}}}
	data, err := json.Marshal(sw)
	if err != nil {
		w.t.Fatal(err)
	}
	z, err := zstd.NewWriter(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	w.exec("INSERT INTO inventories (digest, scanner, reference, packages, read_at, used_at, body) VALUES (?, 'x', ?, 1, ?, 1, ?)", digest, reference, store.At(w.clock()), z.EncodeAll(data, nil))
	w.exec("INSERT INTO inventory_names (name, digest) VALUES (?, ?)", digest, digest)
}

func (w *world) exec(query string, args ...any) {
	w.t.Helper()
	err := w.db.Write(context.Background(), func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewRaw(query, args...).Exec(ctx)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

func image(digest string) func(*world) string {
	return func(*world) string { return "digest=" + digest }
}

const readShop = "401 200 200 404 200 200 200 404 200" // what shop runs

var imageNoun = noun{
	fill: images,
	rows: map[string]row{
		"list-images":              {want: forSignedIn, shows: markAlpha},
		"get-image":                {want: readShop, shows: markAlpha, path: image(imageShop)},
		"get-image/bank":           {want: readAlpha, shows: markBank, path: image(imageBank)},
		"get-image/beta":           {want: "401 404 404 200 404 200 404 200 200", path: image(imageBeta)},
		"list-image-findings":      {want: readShop, shows: markAlpha, path: image(imageShop)},
		"list-image-findings/bank": {want: readAlpha, shows: markBank, path: image(imageBank)},
		"list-image-packages":      {want: readShop, shows: markAlpha, path: image(imageShop)},
		"list-image-packages/bank": {want: readAlpha, shows: markBank, path: image(imageBank)},
		"get-image-sbom":           {want: readShop, shows: markAlpha, path: image(imageShop)},
		"get-image-sbom/bank":      {want: readAlpha, shows: markBank, path: image(imageBank)},
		"get-image-sbom/nothing":   {want: "401 404 404 404 404 404 404 404 404", path: image(fmt.Sprintf("sha256:%064d", 1))},
		"list-cluster-components":  {want: readAlpha, shows: markAlpha, path: alphaID},
	},
}
