package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"stockade.dev/stockade/internal/api/client"
	"stockade.dev/stockade/internal/collect/image"
	"stockade.dev/stockade/internal/collect/image/registry"
	"stockade.dev/stockade/internal/examine"
	"stockade.dev/stockade/internal/exception"
	"stockade.dev/stockade/internal/fault"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/match"
	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/scan"
	"stockade.dev/stockade/internal/signature"
	"stockade.dev/stockade/internal/verdict"
)

// policyFlags say by which policy images are judged after their scan, as admission would.
type policyFlags struct {
	name    string
	cluster string
	remote  remote

	mu       sync.Mutex
	read     map[string]*inventory.Software // by reference as asked
	failures map[string]error
	verdicts []imageVerdict
	took     *policy.Policy
}

// imageVerdict is what a policy says of one image, in the document and for people.
type imageVerdict struct {
	Reference string              `json:"reference"`
	Digest    string              `json:"digest,omitempty"`
	State     policy.ImageState   `json:"state"`
	Action    policy.Action       `json:"action"`
	Reason    string              `json:"reason,omitempty"`
	Failed    []policy.Failure    `json:"failed"`
	Open      []policy.OpenCheck  `json:"open,omitempty"`
	Allowed   bool                `json:"allowed,omitempty"`
	verdict   policy.ImageVerdict // in whole
}

func (f *policyFlags) register(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.name, "policy", "", "say what admission would by this policy: its name on the server that you are signed in to, or a YAML file; exit with 1 when it would be blocked")
	fl.StringVar(&f.cluster, "policy-cluster", "", "with a policy of the server: the exceptions of this cluster hold too")
	fl.StringVar(&f.remote.server, "policy-server", "", "server of the policy by its name in your settings (default: the last login)")
}

// load reads the policy, and the exceptions that hold with it.
func (f *policyFlags) load(ctx context.Context, s streams, accepted string) (*policy.Bundle, error) {
	b := &policy.Bundle{Cluster: f.cluster}
	if accepted != "" {
		list, err := exception.ReadFile(accepted)
		if err != nil {
			return nil, fault.Wrap(fault.Input, "--exceptions", err)
		}
		b.Exceptions = list
	}
	if info, err := os.Stat(f.name); err == nil && !info.IsDir() {
		data, err := os.ReadFile(f.name)
		if err != nil {
			return nil, fault.Wrap(fault.Input, "--policy", err)
		}
		file, err := policy.ReadFile(data)
		if err != nil {
			return nil, fault.Wrap(fault.Input, "--policy "+f.name, err)
		}
		if len(file.Policies) != 1 {
			return nil, usage("--policy %s: want one policy, it has %d", f.name, len(file.Policies))
		}
		b.Policies = []policy.Policy{file.Policies[0].Policy}
	} else if err := f.fetch(ctx, s, b); err != nil {
		return nil, err
	}
	p := &b.Policies[0]
	if p.ID == 0 {
		p.ID = 1 // failures name it
	}
	if len(p.Checks) == 0 {
		return nil, usage("--policy %s: the policy says nothing of images: it has no checks", f.name)
	}
	p.Disabled, p.Scope.Clusters = false, nil
	f.took = p
	return b, nil
}

// fetch takes the policy and what it accepts from the server.
func (f *policyFlags) fetch(ctx context.Context, s streams, b *policy.Bundle) error {
	f.remote.s = s
	c, err := f.remote.open()
	if err != nil {
		var wrong *fault.Error
		if errors.As(err, &wrong) {
			wrong.Hint = strings.TrimSpace("Name a file, or sign in to a server. " + wrong.Hint)
		}
		return err
	}
	id, err := policyNamed(ctx, c, f.name)
	if err != nil {
		return err
	}
	kept, err := client.Get[map[string]any](ctx, c, "/policies/"+id, nil)
	if err != nil {
		return answered(err)
	}
	if scope, ok := kept["scope"].(map[string]any); ok {
		delete(scope, "clusters") // the image is judged wherever it may go
	}
	data, err := json.Marshal(kept)
	if err != nil {
		return fault.Wrap(fault.Internal, "", err)
	}
	var p policy.Policy
	if err := json.Unmarshal(data, &p); err != nil {
		return fault.Wrap(fault.Internal, "reading the server's policy", err)
	}
	b.Policies = []policy.Policy{p}
	q := url.Values{}
	set(q, "cluster", f.cluster)
	path := "/exceptions/file"
	if len(q) > 0 {
		path += "?" + q.Encode()
	}
	var text bytes.Buffer
	if err := c.Download(ctx, path, "application/yaml", &text); err != nil {
		return answered(err)
	}
	list, err := exception.Read(text.Bytes())
	if err != nil {
		return fault.Wrap(fault.Internal, "reading the server's exceptions", err)
	}
	b.Exceptions = append(b.Exceptions, list...)
	return nil
}

// judged makes a scan of images one whose images are judged too, after it.
func (f *policyFlags) judged(ctx context.Context, b *policy.Bundle, r *examine.Reader, images *imageFlags, asked []scan.Use, cfg *scan.Config) {
	f.read, f.failures = map[string]*inventory.Software{}, map[string]error{}
	load := cfg.Software.Load
	cfg.Software.Load = func(ctx context.Context, use scan.Use) (*inventory.Software, error) {
		sw, err := load(ctx, use)
		f.mu.Lock()
		defer f.mu.Unlock()
		if err != nil {
			f.failures[use.Reference] = err
		} else {
			f.read[use.Reference] = sw
		}
		return sw, err
	}
	looker := scan.NewLooker(cfg.Library, cfg.Filter.VEX, cfg.Now)
	images.conclude = sync.OnceValue(func() any {
		for _, use := range asked {
			f.verdicts = append(f.verdicts, f.one(ctx, b, r, images, looker, cfg, use))
		}
		return map[string]any{"name": f.took.Name, "version": f.took.Version, "action": f.action(), "images": f.verdicts}
	})
}

// action is the sharpest of all images.
func (f *policyFlags) action() policy.Action {
	out := policy.Off
	for _, v := range f.verdicts {
		if v.Action.Rank() > out.Rank() {
			out = v.Action
		}
	}
	return out
}

// one judges one image as the server does: by its own inventory, whatever else the scan leaves out.
func (f *policyFlags) one(ctx context.Context, b *policy.Bundle, r *examine.Reader, images *imageFlags, looker *scan.Looker, cfg *scan.Config, use scan.Use) imageVerdict {
	now := cfg.Now()
	sw := f.read[use.Reference]
	if sw == nil {
		err := f.failures[use.Reference]
		if err == nil {
			err = errors.New("it was not read")
		}
		return f.tell(b, verdict.Unread(b, use.Reference, ofRegistry(use.Reference), err, now), now)
	}
	facts := &verdict.Facts{Scanned: now, Matched: now, Reference: use.Reference}
	if sw.Image != nil {
		facts.Digest, facts.Index = sw.Image.Digest, sw.Image.Index
	}
	if cfg.Software.Match == nil {
		facts.NoAdvisories = noDatabase
	}
	looker.Look(sw, use, cfg.Software.Match, func(x *finding.Finding, item string) {
		published := ""
		if v := x.Vulnerability; v != nil {
			item = match.Item(inventory.PackageType(purlType(v.PURL)), v.Package, v.Path)
			if images.published != nil {
				published = images.published(v.ID)
			}
		}
		facts.Gather(x, item, published)
	})
	return f.tell(b, verdict.Of(b, use.Reference, ofRegistry(use.Reference), facts, f.signers(ctx, b, r, use, facts), now), now)
}

// signers says who signed an image of a registry.
func (f *policyFlags) signers(ctx context.Context, b *policy.Bundle, r *examine.Reader, use scan.Use, facts *verdict.Facts) map[string]verdict.Signed {
	keys := verdict.Keys(f.took)
	ref, err := policy.ParseReference(use.Reference)
	if len(keys) == 0 || err != nil || !ofRegistry(use.Reference) {
		return nil
	}
	digest := ref.Digest
	if digest == "" {
		if digest = facts.Index; digest == "" {
			digest = facts.Digest
		}
	}
	out := map[string]verdict.Signed{}
	var list []*signature.Key
	var texts []string
	for _, k := range keys {
		key, err := signature.ParseKey(k.Name, k.PEM)
		if err != nil {
			out[k.PEM] = verdict.Signed{Reason: "the key of the policy cannot be read"}
			continue
		}
		list, texts = append(list, key), append(texts, k.PEM)
	}
	var results []signature.Result
	err = r.Visit(ctx, scan.Use{Reference: use.Reference, Digest: digest}, func(ctx context.Context, repo *registry.Repository) (err error) {
		results, err = signature.Verify(ctx, repo, digest, list)
		return err
	})
	for i, text := range texts {
		if err != nil {
			out[text] = verdict.Signed{Unknown: true, Reason: err.Error()}
		} else {
			out[text] = verdict.Signed{Good: results[i].Good, Reason: results[i].Reason}
		}
	}
	return out
}

func (f *policyFlags) tell(b *policy.Bundle, v policy.ImageVerdict, now time.Time) imageVerdict {
	out := imageVerdict{Reference: v.Reference, Digest: v.Digest, State: v.State, Reason: v.Reason, Action: verdict.Action(b, &v, now), Failed: v.Failed, Open: v.Open,
		Allowed: len(v.Allowed) > 0, verdict: v}
	if out.Failed == nil {
		out.Failed = []policy.Failure{}
	}
	return out
}

// ofRegistry reports whether a reference is not one of the forms that name a file, a folder or a runtime's store.
func ofRegistry(ref string) bool {
	return !slices.ContainsFunc(image.Prefixes(), func(p string) bool { return strings.HasPrefix(ref, p) })
}

// purlType is the type in a package URL.
func purlType(p string) string {
	kind, _, _ := strings.Cut(strings.TrimPrefix(p, "pkg:"), "/")
	return kind
}

// actionWords say what becomes of an image.
var actionWords = map[policy.Action]finding.Text{
	policy.Off:   {EN: "would be let in", ZH: "将被放行"},
	policy.Audit: {EN: "would be let in and recorded", ZH: "将被放行并记录"},
	policy.Warn:  {EN: "would be let in with a warning", ZH: "将被放行并告警"},
	policy.Block: {EN: "would be blocked", ZH: "将被阻断"},
}

// write prints the verdicts.
func (f *policyFlags) write(w io.Writer, lang string, now time.Time) {
	for _, v := range f.verdicts {
		name, colon := printable(v.Reference), ": "
		if lang == "zh" {
			colon = "："
		}
		fmt.Fprintf(w, "%s%s%s (%s)\n", name, colon, actionWords[v.Action].In(lang), printable(f.took.Name))
		for _, x := range v.Failed {
			fmt.Fprintf(w, "  [%s] %s\n", verdict.ActionOf(f.took, x.Check, now), printable(x.Says(lang)))
			if fix := x.Fix.In(lang); fix != "" {
				fmt.Fprintf(w, "      %s\n", printable(fix))
			}
		}
		for _, o := range v.Open {
			fmt.Fprintf(w, "  [?] %s: %s\n", f.took.Checks[o.Check].Check, printable(o.Reason))
		}
		if v.State != policy.Known {
			fmt.Fprintf(w, "  [?] %s\n", printable(v.Reason))
		}
	}
}

// end prints the verdicts after the scan and gives its error, or that an image would be blocked.
func (f *policyFlags) end(s streams, o *scanFlags, err error) error {
	var scanned *fault.Error
	if len(f.verdicts) == 0 || err != nil && errors.As(err, &scanned) && scanned.Kind != fault.Partial && scanned.Kind != fault.Findings {
		return err
	}
	w := s.err
	for _, form := range o.outputs {
		if form == "table" {
			w = s.out
		}
	}
	f.write(w, o.lang, time.Now())
	if f.action() == policy.Block {
		return fault.New(fault.Findings, "stockade: the policy %q would block it", f.took.Name)
	}
	return err
}
