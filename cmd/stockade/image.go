package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"stockade.dev/stockade/internal/examine"
	"stockade.dev/stockade/internal/fault"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
	osrelease "stockade.dev/stockade/internal/release"
	"stockade.dev/stockade/internal/sbom"
	"stockade.dev/stockade/internal/scan"
)

// maxInventory bounds a saved inventory or a bill of materials.
const maxInventory = 512 << 20

// readDocument reads a file of one of these kinds, "-" from standard input.
func readDocument(name string, in io.Reader) ([]byte, error) {
	r := in
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		r = f
	}
	data, err := io.ReadAll(io.LimitReader(r, maxInventory+1))
	if err == nil && len(data) > maxInventory {
		err = fmt.Errorf("%s: larger than %d MiB", name, maxInventory>>20)
	}
	return data, err
}

// readInventory reads one saved inventory.
func readInventory(name string, in io.Reader) (*inventory.Software, error) {
	data, err := readDocument(name, in)
	if err != nil {
		return nil, err
	}
	var sw inventory.Software
	if err := json.Unmarshal(data, &sw); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if sw.Schema != inventory.SoftwareSchema {
		return nil, fmt.Errorf("%s: schema is %q, want %q (the output of stockade sbom -o inventory)", name, sw.Schema, inventory.SoftwareSchema)
	}
	if sw.OS != nil { // what is known of releases may have grown since
		sw.OS.Release, sw.OS.Streams = osrelease.Streams(sw.OS)
	}
	return &sw, nil
}

// eachInventory calls f for the inventories in files and below folders.
func eachInventory(paths []string, f func(name string, sw *inventory.Software) error) error {
	for _, p := range paths {
		err := filepath.WalkDir(p, func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || name != p && !strings.HasSuffix(name, ".json") {
				return err
			}
			sw, err := readInventory(name, nil)
			if err != nil {
				return err
			}
			return f(name, sw)
		})
		if err != nil {
			return fault.Wrap(fault.Input, "--inventory", err)
		}
	}
	return nil
}

// readInventories lists saved inventories by digest and by reference.
func readInventories(paths []string) (map[string]*inventory.Software, error) {
	out := map[string]*inventory.Software{}
	err := eachInventory(paths, func(_ string, sw *inventory.Software) error {
		keepInventory(out, sw)
		return nil
	})
	return out, err
}

// keepInventory notes an inventory under all of its names.
func keepInventory(out map[string]*inventory.Software, sw *inventory.Software) {
	out[sw.Name] = sw
	if sw.Image != nil {
		out[sw.Image.Reference] = sw
		if sw.Image.Digest != "" {
			out[sw.Image.Digest] = sw
		}
	}
}

// emptySource brings no objects: the scan is of software alone.
type emptySource struct{}

func (emptySource) Stream(context.Context, func(*inventory.Object) error, func(finding.NotScanned)) error {
	return nil
}

func scanImage(s streams) *cobra.Command {
	var f scanFlags
	var p policyFlags
	cmd := &cobra.Command{Use: "image REF...", Short: "Scan images, root file systems or saved inventories",
		Long: `Scan images for vulnerabilities of system packages, libraries and binaries, for secrets, malicious files, open accounts and
unsafe configuration. REF is an image in a registry, or one of
  oci:DIR[:TAG]        OCI layout, or a tar of it     docker-archive:FILE   what docker save wrote
  rootfs:DIR           unpacked file system           containerd:REF        containerd's store on this node
  crio:REF             CRI-O's store on this node     docker:REF            Docker daemon on this machine
With --inventory alone, saved inventories are matched against the database without their images.

With --policy the images are also judged as admission to a cluster would judge them: by a policy of the server, or of a file.`,
		Example: `  stockade scan image registry.example.com/shop/till:1.0 --fail-on critical
  stockade scan image docker-archive:till.tar -o sarif=till.sarif -o cyclonedx=till.cdx.json
  stockade scan image --inventory till.json
  stockade scan image registry.example.com/shop/till:1.0 --policy "no critical"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			var asked []scan.Use
			for _, ref := range args {
				asked = append(asked, scan.Use{Reference: ref})
			}
			if len(args) == 0 {
				if len(f.images.inventories) == 0 {
					return usage("name an image, or a saved inventory with --inventory")
				}
				err := eachInventory(f.images.inventories, func(_ string, sw *inventory.Software) error {
					use := scan.Use{Reference: sw.Name}
					if sw.Image != nil {
						use = scan.Use{Reference: sw.Image.Reference, Digest: sw.Image.Digest}
					}
					asked = append(asked, use)
					return nil
				})
				if err != nil {
					return err
				}
			}
			if p.name != "" {
				b, err := p.load(cmd.Context(), s, f.exceptions)
				if err != nil {
					return err
				}
				f.policy = func(r *examine.Reader, cfg *scan.Config) { p.judged(cmd.Context(), b, r, &f.images, asked, cfg) }
				return p.end(s, &f, f.runSoftware(cmd.Context(), s, "image", asked, nil))
			}
			return f.runSoftware(cmd.Context(), s, "image", asked, nil)
		}}
	f.register(cmd)
	f.images.register(cmd)
	p.register(cmd)
	return cmd
}

func scanSBOM(s streams) *cobra.Command {
	var f scanFlags
	cmd := &cobra.Command{Use: "sbom FILE | -", Short: "Scan a bill of materials (CycloneDX or SPDX, JSON) for vulnerabilities", Args: cobra.ExactArgs(1),
		Example: "  stockade scan sbom till.cdx.json --severity high",
		RunE: func(cmd *cobra.Command, args []string) error {
			data, err := readDocument(args[0], s.in)
			if err != nil {
				return fault.Wrap(fault.Input, "", err)
			}
			sw, err := sbom.Read(data, args[0])
			if err != nil {
				return fault.Wrap(fault.Input, "", err)
			}
			if sw.OS != nil && len(sw.OS.Streams) == 0 {
				sw.OS.Release, sw.OS.Streams = osrelease.Streams(sw.OS)
			}
			load := func(context.Context, scan.Use) (*inventory.Software, error) { return sw, nil }
			return f.runSoftware(cmd.Context(), s, "sbom", []scan.Use{{Reference: sw.Name}}, load)
		}}
	f.register(cmd)
	f.images.register(cmd)
	return cmd
}

// runSoftware scans what was asked for by name. load is nil for images.
func (f *scanFlags) runSoftware(ctx context.Context, s streams, kind string, asked []scan.Use, load func(context.Context, scan.Use) (*inventory.Software, error)) error {
	var names []string
	for _, u := range asked {
		names = append(names, u.Reference)
	}
	if len(names) > 3 {
		names = append(names[:3], fmt.Sprintf("and %d more", len(names)-3))
	}
	f.look = func(cfg *scan.Config) (func() error, error) {
		r, err := f.images.reader(f.offline)
		if err != nil {
			return nil, err
		}
		done, err := f.images.software(r, asked, cfg)
		if load != nil && err == nil {
			cfg.Software.Load = load
		}
		if f.policy != nil && err == nil {
			f.policy(r, cfg)
		}
		return done, err
	}
	return f.run(ctx, s, time.Now(), finding.Target{Kind: kind, Name: strings.Join(names, ", ")}, emptySource{}, nil)
}

func sbomCommand(s streams) *cobra.Command {
	var images imageFlags
	var outputs []string
	offline := false
	cmd := &cobra.Command{Use: "sbom IMAGE", Short: "Write what is in an image as a bill of materials", Args: cobra.ExactArgs(1),
		Long: `Write the packages of an image (any form that "stockade scan image" takes) as CycloneDX 1.6, as SPDX 2.3, or as an inventory,
Stockade's own form: "stockade scan image --inventory" matches it against any later database without the image.`,
		Example: `  stockade sbom registry.example.com/shop/till:1.0 -o cyclonedx=till.cdx.json
  stockade sbom rootfs:/mnt -o inventory=till.json -o spdx=till.spdx.json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := images.reader(offline)
			if err != nil {
				return err
			}
			list, err := builtin()
			if err != nil {
				return err
			}
			r.Options.Probes = probes(list) // an inventory is judged for emergencies later
			sw, err := r.Load(cmd.Context(), scan.Use{Reference: args[0]})
			if err != nil {
				return fault.Wrap(fault.Input, "reading "+args[0], err)
			}
			for _, spec := range outputs {
				if err := writeSBOM(s.out, spec, sw); err != nil {
					return err
				}
			}
			for _, g := range sw.Gaps {
				fmt.Fprintf(s.err, "not scanned: %s: %s (%s)\n", g.What, g.Reason, g.Code)
			}
			if len(sw.Gaps) > 0 {
				return fault.New(fault.Partial, "stockade: %d parts of the image are not in the document", len(sw.Gaps))
			}
			return nil
		}}
	images.register(cmd)
	cmd.Flags().StringArrayVarP(&outputs, "output", "o", []string{"cyclonedx"}, "cyclonedx, spdx or inventory, or FORM=FILE; repeatable")
	cmd.Flags().BoolVar(&offline, "offline", false, "use no network")
	return cmd
}

func writeSBOM(stdout io.Writer, spec string, sw *inventory.Software) error {
	form, file, toFile := strings.Cut(spec, "=")
	var b bytes.Buffer
	var err error
	if form == "inventory" {
		enc := json.NewEncoder(&b)
		enc.SetIndent("", " ")
		err = enc.Encode(sw)
	} else {
		err = sbom.Write(&b, form, sw, sbom.Options{Tool: release, Created: time.Now()})
	}
	if err != nil {
		return fault.Wrap(fault.Usage, "-o "+spec, err)
	}
	if !toFile {
		_, err = stdout.Write(b.Bytes())
		return fault.Wrap(fault.Internal, "writing", err)
	}
	if file == "" {
		return usage("-o %s: the file name is missing", spec)
	}
	return fault.Wrap(fault.Usage, "-o "+spec, os.WriteFile(file, b.Bytes(), 0o644))
}
