package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"stockade.dev/stockade/frameworks"
	"stockade.dev/stockade/internal/analyze"
	"stockade.dev/stockade/internal/collect/cluster"
	"stockade.dev/stockade/internal/collect/dockerfile"
	"stockade.dev/stockade/internal/collect/manifest"
	"stockade.dev/stockade/internal/collect/manifest/helm"
	"stockade.dev/stockade/internal/collect/manifest/kustomize"
	"stockade.dev/stockade/internal/collect/snapshot"
	"stockade.dev/stockade/internal/compliance"
	"stockade.dev/stockade/internal/examine"
	"stockade.dev/stockade/internal/exception"
	"stockade.dev/stockade/internal/fault"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/gatekeeper"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/report"
	"stockade.dev/stockade/internal/scan"
)

// scanFlags are the flags that every scan has.
type scanFlags struct {
	outputs    []string
	severity   string
	failOn     string
	only, skip []string
	rules      string
	baseline   string
	exceptions string
	frameworks []string
	lang       string
	offline    bool
	quiet      bool
	noColor    bool
	images     imageFlags
	// look prepares the part of the scan that looks into images; nil: there is none.
	look func(*scan.Config) (close func() error, err error)
	// policy has the images judged that the scan reads; nil: they are not.
	policy func(*examine.Reader, *scan.Config)
}

// reportFlags are those that say how results look.
func (f *scanFlags) reportFlags(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringArrayVarP(&f.outputs, "output", "o", []string{"table"}, "form of the result, or FORM=FILE; repeatable: "+strings.Join(report.Names(), ", "))
	fl.StringVar(&f.lang, "lang", defaultLang(), "language of texts: en or zh")
	fl.BoolVar(&f.noColor, "no-color", os.Getenv("NO_COLOR") != "", "no colours")
}

func (f *scanFlags) register(cmd *cobra.Command) {
	f.reportFlags(cmd)
	fl := cmd.Flags()
	fl.StringVar(&f.severity, "severity", "", "report only findings of this severity or worse: critical, high, medium, low, info")
	fl.StringVar(&f.failOn, "fail-on", "", "exit with 1 when an open finding is of this severity or worse")
	ruleFlags(cmd, &f.rules, &f.only, &f.skip)
	fl.StringVar(&f.baseline, "baseline", "", "saved json result: what it holds is not new and counts as suppressed")
	fl.StringVar(&f.exceptions, "exceptions", "", "YAML file of accepted findings, each with a reason and an end date")
	fl.StringSliceVar(&f.frameworks, "framework", nil, "judge compliance with these frameworks (all for every one)")
	fl.BoolVar(&f.offline, "offline", false, "use no network but the cluster's API; nothing else is contacted in any case")
	fl.BoolVarP(&f.quiet, "quiet", "q", false, "no progress and no notes on standard error")
}

// defaultLang follows the locale, as other programs do.
func defaultLang() string {
	for _, v := range []string{"LC_ALL", "LC_MESSAGES", "LANG"} {
		if s := os.Getenv(v); s != "" {
			if strings.HasPrefix(s, "zh") {
				return "zh"
			}
			return "en"
		}
	}
	return "en"
}

func scanCommand(s streams) *cobra.Command {
	cmd := &cobra.Command{Use: "scan", Short: "Scan a cluster, images, a node, manifests and Dockerfiles", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	cmd.AddCommand(scanCluster(s), scanImage(s), scanIaC(s), scanNode(s), scanSBOM(s))
	return cmd
}

func scanCluster(s streams) *cobra.Command {
	var f scanFlags
	var live cluster.Config
	var saved string
	var noImages bool
	cmd := &cobra.Command{Use: "cluster", Short: "Scan a live cluster or a saved snapshot", Args: cobra.NoArgs,
		Long: `Scan a live cluster through its API with the permissions of the kubeconfig (get and list are enough; see deploy/rbac),
or a snapshot that "stockade snapshot cluster" or "kubectl get -o yaml" saved. Nothing in the cluster is changed.`,
		Example: `  stockade scan cluster --context staging --framework cis-1.12
  stockade scan cluster --snapshot shop.tar.zst -o html=shop.html`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			started := time.Now()
			var src clusterSource
			var err error
			if saved != "" {
				src, err = snapshot.Open(saved)
			} else {
				live.UserAgent = "stockade/" + release
				src, err = cluster.Open(live)
			}
			if err != nil {
				return fault.Wrap(fault.Input, "", err)
			}
			info := src.Info()
			target := finding.Target{Kind: "cluster", Name: info.Name, Version: info.Version, Distribution: info.Distribution, Managed: info.Managed}
			source, err := f.clusterImages(src, noImages)
			if err != nil {
				return err
			}
			return f.run(cmd.Context(), s, started, target, source, src.Info)
		}}
	f.register(cmd)
	f.images.register(cmd)
	kubeFlags(cmd, &live)
	cmd.Flags().StringVar(&saved, "snapshot", "", "scan this snapshot (folder or file) instead of a live cluster")
	cmd.Flags().BoolVar(&noImages, "no-images", false, "do not look into images")
	cmd.MarkFlagsMutuallyExclusive("snapshot", "kubeconfig")
	cmd.MarkFlagsMutuallyExclusive("snapshot", "context")
	return cmd
}

// clusterImages says whether the scan looks into the images that run: it does when there is a database to match them with, or
// when it is asked for by --scanners.
func (f *scanFlags) clusterImages(src clusterSource, noImages bool) (scan.Source, error) {
	why := "left out by --no-images"
	if !noImages {
		db, err := f.images.database()
		switch {
		case err != nil:
			return nil, err
		case db != nil:
			err = db.Close()
		case !f.images.asked:
			why, noImages = noDatabase, true
		}
		if err != nil {
			return nil, fault.Wrap(fault.Input, "", err)
		}
	}
	if noImages {
		return withNote{src, finding.NotScanned{Target: src.Info().Name, What: "images", Reason: why, Code: finding.Skipped}}, nil
	}
	f.look = func(cfg *scan.Config) (func() error, error) {
		r, err := f.images.reader(f.offline)
		if err != nil {
			return nil, err
		}
		if live, ok := src.(interface {
			PullSecret(ctx context.Context, namespace, name string) ([]byte, error)
		}); ok {
			r = r.For(live.PullSecret)
		}
		return f.images.software(r, nil, cfg)
	}
	return src, nil
}

// clusterSource is a live cluster or a snapshot.
type clusterSource interface {
	scan.Source
	Info() inventory.ClusterInfo
}

// withNote adds one note of what is not scanned.
type withNote struct {
	scan.Source
	note finding.NotScanned
}

func (w withNote) Stream(ctx context.Context, emit func(*inventory.Object) error, notScanned func(finding.NotScanned)) error {
	notScanned(w.note)
	return w.Source.Stream(ctx, emit, notScanned)
}

func kubeFlags(cmd *cobra.Command, c *cluster.Config) {
	fl := cmd.Flags()
	fl.StringVar(&c.Kubeconfig, "kubeconfig", "", "kubeconfig file (default: $KUBECONFIG, ~/.kube/config, then the pod's service account)")
	fl.StringVar(&c.Context, "context", "", "context of the kubeconfig")
	fl.Float32Var(&c.QPS, "qps", 0, "most requests a second to the API server (default 20)")
	fl.DurationVar(&c.Stall, "timeout", 0, "how long the API server may say nothing (default 30s)")
}

func scanIaC(s streams) *cobra.Command {
	var f scanFlags
	var values, exclude []string
	var noIgnore bool
	var server, project string
	cmd := &cobra.Command{Use: "iac PATH... | -", Short: "Scan Kubernetes manifests, Helm charts, kustomizations and Dockerfiles", Args: cobra.MinimumNArgs(1),
		Long: `Scan files and folders: Kubernetes YAML and JSON, Helm charts (folders and .tgz), kustomizations, Dockerfiles and
Containerfiles. "-" reads manifests from standard input. Folders are walked; .gitignore and .stockadeignore are respected.

A finding is suppressed where it stands by a comment that names the rule and gives a reason:
  # stockade:ignore workload/may-run-as-root reason="image runs as 65532 by its own USER"`,
		Example: `  stockade scan iac . --fail-on high
  helm template shop | stockade scan iac - -o sarif=shop.sarif`,
		RunE: func(cmd *cobra.Command, args []string) error {
			debug.SetGCPercent(50) // a CI runner is small: a third less memory for little time
			src := &scan.Files{Paths: args, Options: manifest.WalkOptions{
				Stdin: s.in, IsDockerfile: dockerfile.IsDockerfile, Exclude: exclude, NoIgnoreFiles: noIgnore,
				RenderChart: func(ctx context.Context, path string, archive []byte, lim manifest.Limits) ([]*inventory.Object, []manifest.Problem) {
					return helm.Render(ctx, path, archive, values, lim)
				},
				BuildKustomization: kustomize.Build,
			}}
			for _, p := range args {
				if _, err := os.Stat(p); p != "-" && err != nil {
					return fault.Wrap(fault.Input, "", err)
				}
			}
			if server != "" {
				return f.upload(cmd.Context(), s, server, project, args, src.Options)
			}
			name := strings.Join(args, " ")
			if len(args) == 1 && args[0] != "-" {
				if abs, err := filepath.Abs(args[0]); err == nil {
					name = filepath.Base(abs)
				}
			}
			return f.run(cmd.Context(), s, time.Now(), finding.Target{Kind: "iac", Name: name}, src, nil)
		}}
	f.register(cmd)
	cmd.Flags().StringArrayVar(&values, "values", nil, "values file for Helm charts; repeatable")
	cmd.Flags().StringArrayVar(&exclude, "exclude", nil, "leave out files that match this .gitignore pattern; repeatable")
	cmd.Flags().StringVar(&server, "server", "", "send the folder to a server that you are signed in to and have it scanned there: --server, or --server=NAME")
	cmd.Flags().Lookup("server").NoOptDefVal = current
	cmd.Flags().StringVar(&project, "project", "", "with --server: name of the project (default: the folder's)")
	cmd.Flags().BoolVar(&noIgnore, "no-ignore-files", false, "do not read .gitignore and .stockadeignore")
	return cmd
}

// run is what all scans do: rules, outputs, scan, exit code.
func (f *scanFlags) run(ctx context.Context, s streams, started time.Time, target finding.Target, src scan.Source, info func() inventory.ClusterInfo) error {
	cfg, err := f.config(target, started)
	if err != nil {
		return err
	}
	cfg.Info = info
	if f.look != nil {
		done, err := f.look(&cfg)
		if err != nil {
			return err
		}
		defer done() // read only: nothing is lost
	}
	options := f.options(s.out)
	options.Policy = f.images.conclude
	out, err := openOutputs(f.outputs, s, options)
	if err != nil {
		return err
	}
	bar := newProgress(s.err, f.quiet, target)
	cfg.Progress = bar.objects
	if cfg.Software != nil {
		cfg.Software.Progress = bar.images
	}
	summary, err := scan.Run(ctx, cfg, src, out)
	bar.done()
	if f.images.conclude != nil && err == nil { // while the database is open
		f.images.conclude()
	}
	if err = errors.Join(err, out.close()); err != nil {
		return err
	}
	return f.verdict(summary)
}

func (f *scanFlags) config(target finding.Target, started time.Time) (scan.Config, error) {
	cfg := scan.Config{Analyzers: analyze.All, Now: time.Now}
	if f.lang != "en" && f.lang != "zh" {
		return cfg, usage("--lang %q: want en or zh", f.lang)
	}
	var err error
	if f.failOn != "" {
		if _, err = finding.ParseSeverity(f.failOn); err != nil {
			return cfg, usage("--fail-on: %v", err)
		}
	}
	if f.severity != "" {
		if cfg.Filter.Severity, err = finding.ParseSeverity(f.severity); err != nil {
			return cfg, usage("--severity: %v", err)
		}
	}
	if cfg.Library, err = library(f.rules, f.only, f.skip); err != nil {
		return cfg, err
	}
	if f.rules != "" {
		judge, err := gatekeeper.Load(context.Background(), f.rules)
		if err != nil {
			return cfg, fault.Wrap(fault.Input, "--rules "+f.rules, err)
		}
		if judge != nil {
			cfg.Judge = judge
		}
	}
	if f.baseline != "" {
		if cfg.Filter.Baseline, err = scan.ReadBaseline(f.baseline); err != nil {
			return cfg, fault.Wrap(fault.Input, "", err)
		}
	}
	if f.exceptions != "" {
		list, err := exception.ReadFile(f.exceptions)
		if err == nil {
			cfg.Filter.Exceptions, err = exception.New(list)
		}
		if err != nil {
			return cfg, fault.Wrap(fault.Input, "", err)
		}
	}
	if len(f.frameworks) > 0 {
		all, err := compliance.Load(frameworks.FS)
		if err != nil {
			return cfg, fault.Wrap(fault.Internal, "", err)
		}
		if cfg.Frameworks, err = compliance.Select(all, f.frameworks); err != nil {
			return cfg, fault.Wrap(fault.Usage, "--framework", err)
		}
	}
	cfg.Header = finding.Header{Target: target, StartedAt: started,
		Tool: finding.Tool{Name: "stockade", Version: release, Rules: cfg.Library.Digest}}
	return cfg, nil
}

func (f *scanFlags) options(w io.Writer) report.Options {
	width, tty := terminal(w)
	return report.Options{Lang: f.lang, Color: tty && !f.noColor, Width: width}
}

// verdict turns the summary into the exit code's error.
func (f *scanFlags) verdict(sum *scan.Summary) error {
	if f.failOn != "" {
		limit := finding.Severity(f.failOn)
		n := 0
		for sev, count := range sum.Worst {
			if sev.Rank() >= limit.Rank() {
				n += count
			}
		}
		if n > 0 {
			return fault.New(fault.Findings, "stockade: %d open findings of severity %s or worse", n, limit)
		}
	}
	if sum.Partial > 0 {
		return fault.New(fault.Partial, "stockade: %d things asked for could not be scanned (see \"not scanned\" in the result)", sum.Partial)
	}
	return nil
}

// progress writes how far a scan is, once it has run for two seconds, to a terminal only.
type progress struct {
	w       io.Writer
	on      bool
	target  string
	started time.Time
	shown   time.Time
}

func newProgress(w io.Writer, quiet bool, target finding.Target) *progress {
	_, tty := terminal(w)
	return &progress{w: w, on: tty && !quiet, target: target.Name, started: time.Now()}
}

func (p *progress) objects(n int) {
	now := time.Now()
	if !p.on || now.Sub(p.started) < 2*time.Second || now.Sub(p.shown) < 200*time.Millisecond {
		return
	}
	p.shown = now
	fmt.Fprintf(p.w, "\r\x1b[Kscanning %s: %d objects, %.0f s", p.target, n, now.Sub(p.started).Seconds())
}

func (p *progress) images(done, total int) {
	if p.on && time.Since(p.started) >= 2*time.Second {
		p.shown = time.Now()
		fmt.Fprintf(p.w, "\r\x1b[Kscanning %s: image %d of %d, %.0f s", p.target, done, total, time.Since(p.started).Seconds())
	}
}

func (p *progress) done() {
	if !p.shown.IsZero() {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}
