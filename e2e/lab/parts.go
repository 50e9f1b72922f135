package lab

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// helperSource is the first process of nodes, whose binary is kept in the cache
// like every other.
//
//go:embed cmd/labnode/*.go wire/*.go
var helperSource embed.FS

// The images that nodes know from the start.
const (
	PauseImage      = "lab.example.com/pause:1"
	corednsImage    = "lab.example.com/coredns:" + CoreDNSVersion
	GatekeeperImage = "docker.io/openpolicyagent/gatekeeper:" + GatekeeperVersion
)

// nodeParts are the files a node is made of: programs, and images as archives.
type nodeParts struct {
	apiserver, etcd, controllerManager, scheduler, kubelet, proxy, helper string
	coredns, pause                                                        string
}

// BuildNode builds everything a [Node] with Gatekeeper needs and returns the
// paths. Tests need not call it: they build what is missing.
func BuildNode(ctx context.Context) ([]string, error) {
	p, err := partsOfNode(ctx)
	if err != nil {
		return nil, err
	}
	g, err := partsOfGatekeeper(ctx)
	if err != nil {
		return nil, err
	}
	return []string{p.etcd, p.apiserver, p.controllerManager, p.scheduler, p.kubelet, p.proxy, p.helper, p.coredns, p.pause, g.manager, g.image, g.manifest}, nil
}

func partsOfNode(ctx context.Context) (p nodeParts, err error) {
	if p.apiserver, p.etcd, err = Binaries(ctx, NodeVersion); err != nil {
		return p, err
	}
	for program, path := range map[string]*string{
		"kube-controller-manager": &p.controllerManager, "kube-scheduler": &p.scheduler,
		"kubelet": &p.kubelet, "kube-proxy": &p.proxy,
	} {
		if *path, err = kubernetesBinary(ctx, NodeVersion, program); err != nil {
			return p, err
		}
	}
	helper, texts, err := helperTexts()
	if err != nil {
		return p, err
	}
	if p.helper, err = helperBinary(ctx, helper, texts); err != nil {
		return p, err
	}
	if p.coredns, err = corednsArchive(ctx); err != nil {
		return p, err
	}
	p.pause, err = cached(ctx, helper, "pause.tar", func(_ *builder, out string) error {
		return Image{Files: map[string]string{"/labnode": p.helper}, Entrypoint: []string{"/labnode", "pause"}, User: "65535"}.archive(PauseImage, out)
	})
	return p, err
}

// kubernetesBinary is one of Kubernetes' programs.
func kubernetesBinary(ctx context.Context, version, program string) (string, error) {
	path, err := cached(ctx, version, program, func(b *builder, out string) error { return b.kubernetes(version, program, out) })
	if err != nil {
		return "", fmt.Errorf("build %s %s: %w", program, version, err)
	}
	return path, nil
}

func corednsArchive(ctx context.Context) (string, error) {
	const module = "github.com/coredns/coredns"
	program, err := cached(ctx, "coredns-"+CoreDNSVersion, "coredns", func(b *builder, out string) error {
		return b.module(module, CoreDNSVersion, "", out)
	})
	if err != nil {
		return "", fmt.Errorf("build CoreDNS %s: %w", CoreDNSVersion, err)
	}
	return cached(ctx, "coredns-"+CoreDNSVersion, "coredns.tar", func(_ *builder, out string) error {
		return Image{Files: map[string]string{"/coredns": program}, Entrypoint: []string{"/coredns"}, User: "65532"}.archive(corednsImage, out)
	})
}

const (
	gatekeeperModule = "github.com/open-policy-agent/gatekeeper/v3"
	gatekeeperName   = "gatekeeper-" + GatekeeperVersion // in the cache
)

// gatekeeperParts are the files of a Gatekeeper release.
type gatekeeperParts struct{ manager, image, manifest string }

func partsOfGatekeeper(ctx context.Context) (g gatekeeperParts, err error) {
	g.manager, err = cached(ctx, gatekeeperName, "manager", func(b *builder, out string) error {
		return b.module(gatekeeperModule, GatekeeperVersion, "-X "+gatekeeperModule+"/pkg/version.Version="+GatekeeperVersion, out)
	})
	if err != nil {
		return g, fmt.Errorf("build Gatekeeper %s: %w", GatekeeperVersion, err)
	}
	if g.manifest, err = GatekeeperManifest(ctx); err != nil {
		return g, err
	}
	g.image, err = cached(ctx, gatekeeperName, "gatekeeper.tar", func(_ *builder, out string) error {
		return Image{Files: map[string]string{"/manager": g.manager}, Entrypoint: []string{"/manager"}, User: "65532"}.archive(GatekeeperImage, out)
	})
	return g, err
}

// GatekeeperManifest is the path of Gatekeeper's own manifest, as its module has
// it.
func GatekeeperManifest(ctx context.Context) (string, error) {
	path, err := cached(ctx, gatekeeperName, "gatekeeper.yaml", func(b *builder, out string) error {
		var downloaded struct{ Dir string }
		if err := b.read(&downloaded, "go", "mod", "download", "-json", gatekeeperModule+"@"+GatekeeperVersion); err != nil {
			return err
		}
		text, err := os.ReadFile(filepath.Join(downloaded.Dir, "deploy", "gatekeeper.yaml"))
		if err != nil {
			return err
		}
		return os.WriteFile(out, text, 0o644)
	})
	if err != nil {
		return "", fmt.Errorf("Gatekeeper's manifest: %w", err)
	}
	return path, nil
}

// module builds the program at the root of a module.
func (b *builder) module(module, version, flags, out string) error {
	if err := b.write("go.mod", "module lab\ngo 1.26\nrequire "+module+" "+version+"\n"); err != nil {
		return err
	}
	return b.link(out, module, "mod", flags)
}

// helperTexts are the source of the first process of nodes, under a name with its
// hash.
func helperTexts() (name string, texts map[string][]byte, err error) {
	sum := sha256.New()
	texts = map[string][]byte{}
	err = fs.WalkDir(helperSource, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(name, "_test.go") {
			return err
		}
		text, err := fs.ReadFile(helperSource, name)
		texts[name] = text
		fmt.Fprintf(sum, "%s %d\n%s", name, len(text), text)
		return err
	})
	return "labnode-" + hex.EncodeToString(sum.Sum(nil)[:6]), texts, err
}

func helperBinary(ctx context.Context, name string, texts map[string][]byte) (string, error) {
	return cached(ctx, name, "labnode", func(b *builder, out string) error {
		const module = "stockade.dev/stockade"
		err := b.write("go.mod", "module "+module+"\ngo 1.26\n")
		for name, text := range texts {
			path := filepath.Join(b.dir, "e2e", "lab", filepath.FromSlash(name))
			err = errors.Join(err, os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, text, 0o644))
		}
		if err != nil {
			return err
		}
		return b.link(out, module+"/e2e/lab/cmd/labnode", "mod", "")
	})
}
