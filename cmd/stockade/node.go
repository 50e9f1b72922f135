package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"stockade.dev/stockade/internal/collect/image"
	"stockade.dev/stockade/internal/collect/node"
	"stockade.dev/stockade/internal/emergency"
	"stockade.dev/stockade/internal/fault"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/scan"
	"stockade.dev/stockade/internal/thrift"
)

// nodeFlags say what of a node is read.
type nodeFlags struct {
	root         string
	proc         string
	facts        string
	noContainers bool
	noPackages   bool
}

func scanNode(s streams) *cobra.Command {
	var f scanFlags
	n := nodeFlags{root: "/"}
	cmd := &cobra.Command{Use: "node", Short: "Scan this node: settings, files, processes, containers and software", Args: cobra.NoArgs,
		Long: `Scan a node: the settings of kubelet, kube-proxy and container runtime as they run, modes and owners of files, certificates, kernel,
listening sockets, Kubernetes' programs wherever they lie or run, running containers, and packages with their vulnerabilities. Nothing is
changed, nothing of the node is executed, and nothing but the local socket of the container runtime is contacted.

It also works on the mounted disk of a node, without what only a running node shows. What could not be read is listed as not scanned, with
what it needs: all of it wants root with CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH and, from within a container, the node's /proc.`,
		Example: `  stockade scan node --framework cis-1.12
  stockade scan node --root /host --host-proc /host/proc -o json=node.json
  stockade scan node --root /mnt/disk --facts node-1.json`,
		RunE: func(cmd *cobra.Command, _ []string) error { return n.run(cmd.Context(), s, &f) }}
	f.register(cmd)
	f.images.register(cmd)
	fl := cmd.Flags()
	fl.StringVar(&n.root, "root", n.root, "where the node's file system is, when it is mounted elsewhere")
	fl.StringVar(&n.proc, "host-proc", "", "where the node's process file system is (default: below --root)")
	fl.BoolVar(&n.noContainers, "no-containers", false, "do not look into running containers")
	fl.BoolVar(&n.noPackages, "no-packages", false, "do not look for packages, secrets and malicious files")
	fl.StringVar(&n.facts, "facts", "", "write what was read of the node to this file (JSON), - for standard output")
	return cmd
}

func (n *nodeFlags) run(ctx context.Context, s streams, f *scanFlags) error {
	started := time.Now()
	thrift.GiveBack() // starting touched pages of the whole program; most are not needed again
	r, err := f.images.reader(f.offline)
	if err != nil {
		return err
	}
	bar := newProgress(s.err, f.quiet, finding.Target{Name: "node"})
	programs, keep := programsKnown(f.images.cacheDir())
	if f.images.noCache {
		programs, keep = nil, func() {}
	}
	facts, err := node.Read(ctx, node.Options{Root: n.root, Proc: n.proc, NoContainers: n.noContainers, Cache: programs, Progress: bar.step})
	bar.done()
	keep()
	thrift.GiveBack()
	if err != nil {
		return fault.Wrap(fault.Input, "reading the node at "+n.root, err)
	}
	if facts.Runtime.Name != "" {
		facts.Skipped = append(facts.Skipped, inventory.SkipFact{Check: inventory.MalwareCheck, Needs: "the agent", Code: string(finding.Skipped),
			Reason: "containers' writable layers and local images are searched for malicious files by the agent, not by a single scan"})
	}
	if n.facts != "" {
		if err := n.write(s, facts); err != nil {
			return err
		}
	}
	target := finding.Target{Kind: "node", Name: facts.Name}
	objects := scan.Objects{{APIVersion: facts.APIVersion, Kind: facts.Kind, Name: facts.Name, Content: facts.Value()}}
	if n.noPackages {
		return n.withoutPackages(ctx, s, f, started, facts, target, objects)
	}
	f.look = func(cfg *scan.Config) (func() error, error) {
		done, err := f.images.software(r, []scan.Use{{Reference: facts.Name}}, cfg)
		if err != nil {
			return done, err
		}
		f.images.ofNode(facts, n.root)
		cfg.Software.Load = func(ctx context.Context, _ scan.Use) (*inventory.Software, error) {
			sw, err := nodeSoftware(ctx, n.root, r.Options)
			if err == nil {
				sw.Name = facts.Name
			}
			thrift.GiveBack()
			return sw, err
		}
		return done, nil
	}
	return f.run(ctx, s, started, target, objects, nil)
}

// withoutPackages judges the node by its facts and files alone. Emergencies of programs and of the kernel are verified as ever; those that
// need packages are named as not scanned.
func (n *nodeFlags) withoutPackages(ctx context.Context, s streams, f *scanFlags, started time.Time, facts *inventory.NodeFacts, target finding.Target, objects scan.Objects) error {
	const left = "left out by --no-packages"
	f.look = func(cfg *scan.Config) (func() error, error) {
		r, err := f.images.reader(f.offline)
		if err != nil {
			return nil, err
		}
		done, err := f.images.software(r, []scan.Use{{Reference: facts.Name}}, cfg)
		if err != nil {
			return done, err
		}
		f.images.ofNode(facts, n.root)
		complete := f.images.urgent.Complete
		f.images.urgent.Complete = func(ctx context.Context, sw *inventory.Software, s *emergency.Subject) func() {
			done := complete(ctx, sw, s)
			s.Software, s.Vendor = nil, nil // not read: none of it is known to be absent
			return done
		}
		cfg.Software.Match = func(*inventory.Software, scan.Use, string) ([]*finding.Finding, []inventory.Gap, string) {
			return nil, nil, ""
		}
		cfg.Software.Load = func(context.Context, scan.Use) (*inventory.Software, error) {
			sw := &inventory.Software{Schema: inventory.SoftwareSchema, Kind: "node", Name: facts.Name}
			if ids := emergency.ByPackages(f.images.urgent.List); len(ids) > 0 {
				sw.Gaps = append(sw.Gaps, inventory.Gap{What: "emergencies", Code: string(finding.Skipped), Reason: "unknown, as the packages were " + left + ": " + strings.Join(ids, ", ")})
			}
			return sw, nil
		}
		return done, nil
	}
	note := finding.NotScanned{Target: facts.Name, What: "packages and their vulnerabilities", Reason: left, Code: finding.Skipped}
	return f.run(ctx, s, started, target, withNote{objects, note}, nil)
}

// programsFile has what is known of programs, beside the kept results of files.
const programsFile = "programs.json"

// programsKnown is what the programs of nodes were the last time, so that one that did not change is not hashed again. keep writes it.
func programsKnown(dir string) (known *node.Cache, keep func()) {
	file, version := filepath.Join(dir, programsFile), release+" "+image.Engine
	known = node.ReadCache(file, version)
	return known, func() { _ = known.Write(file, version) } // else they are hashed again
}

// nodeSoftware reads what is installed below the root of a node.
func nodeSoftware(ctx context.Context, root string, o image.Options) (*inventory.Software, error) {
	disks, unread := node.ReadDisks(root)
	o.OneFileSystem, o.Mounts, o.Left = true, disks.Follow, node.Storage
	o.SkipDirs = slices.Clone(o.SkipDirs)
	var left []inventory.Gap
	for _, l := range disks.Leave {
		o.SkipDirs = append(o.SkipDirs, l.Path)
		if !l.Silent {
			left = append(left, inventory.Gap{What: "/" + l.Path, Code: string(finding.Skipped), Reason: l.Reason})
		}
	}
	if unread != nil {
		left = append(left, inventory.Gap{What: "mounts", Code: string(finding.Broken), Reason: "only the root's own file system was read: " + unread.Error()})
	}
	o.Probes = nil // the files themselves are at hand
	img, err := image.Open(ctx, "rootfs:"+root, o)
	if err != nil {
		return nil, err
	}
	defer func() { _ = img.Close() }() // it was only read
	sw, err := image.Analyze(ctx, img, o)
	if err == nil {
		sw.Kind, sw.Gaps = "node", append(sw.Gaps, left...)
	}
	return sw, err
}

// write saves the facts for people and for "scan cluster --snapshot", where they go into the folder nodes.
func (n *nodeFlags) write(s streams, facts *inventory.NodeFacts) error {
	data, err := json.MarshalIndent(facts, "", "  ")
	if err != nil {
		return fault.Wrap(fault.Internal, "--facts", err)
	}
	data = append(data, '\n')
	if n.facts == "-" {
		if _, err := s.out.Write(data); err != nil {
			return fault.Wrap(fault.Internal, "writing", err)
		}
		return nil
	}
	return fault.Wrap(fault.Usage, "--facts", os.WriteFile(n.facts, data, 0o600))
}

// step shows what a scan of a node does now.
func (p *progress) step(what string) {
	now := time.Now()
	if !p.on || now.Sub(p.started) < 2*time.Second {
		return
	}
	p.shown = now
	fmt.Fprintf(p.w, "\r\x1b[Kreading the %s: %s, %.0f s", p.target, what, now.Sub(p.started).Seconds())
}
