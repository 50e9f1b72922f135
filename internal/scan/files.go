package scan

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"

	"stockade.dev/stockade/internal/collect/dockerfile"
	"stockade.dev/stockade/internal/collect/manifest"
	"stockade.dev/stockade/internal/fault"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
)

// Files is a source of manifests, charts, kustomizations and Dockerfiles.
type Files struct {
	Paths   []string
	Options manifest.WalkOptions

	Read int // files read, counted while streaming
}

type parsed struct {
	file     manifest.File
	objects  []*inventory.Object
	problems []manifest.Problem
	done     chan struct{}
}

// Stream walks in one goroutine, parses in several, and emits in the order of the walk.
func (s *Files) Stream(ctx context.Context, emit func(*inventory.Object) error, notScanned func(finding.NotScanned)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	n := runtime.GOMAXPROCS(0)
	work, order := make(chan *parsed), make(chan *parsed, 4*n)
	var workers sync.WaitGroup
	for range n {
		workers.Go(func() {
			for p := range work {
				p.parse(s.Options.Limits)
				close(p.done)
			}
		})
	}
	var walkErr error
	go func() {
		defer close(order)
		defer close(work)
		walkErr = manifest.Walk(ctx, s.Paths, s.Options, func(f manifest.File) error {
			p := &parsed{file: f, done: make(chan struct{})}
			select {
			case order <- p:
			case <-ctx.Done():
				return ctx.Err()
			}
			work <- p
			return nil
		})
	}()
	var err error
	var unread []string
	emitted := 0
	for p := range order {
		<-p.done
		s.Read++
		for _, problem := range p.problems {
			if problem.Code.Blocking() {
				unread = append(unread, problem.String())
			}
			notScanned(problem.NotScanned())
		}
		emitted += len(p.objects)
		for _, o := range p.objects {
			if err == nil {
				if err = emit(o); err != nil {
					cancel() // the walk ends; what is on its way is passed over
				}
			}
		}
	}
	workers.Wait()
	if err == nil {
		err = walkErr
	}
	if err == nil && s.Read == 0 {
		return &fault.Error{Kind: fault.Input, Op: "reading files", Err: errNothing,
			Hint: "Looked for Kubernetes YAML and JSON, Helm charts, kustomizations and Dockerfiles. Name the files, or see stockade scan iac --help."}
	}
	if err == nil && emitted == 0 && len(unread) > 0 {
		const most = 5
		more := ""
		if n := len(unread) - most; n > 0 {
			unread, more = unread[:most], fmt.Sprintf("\nand %d more", n)
		}
		return fault.New(fault.Input, "nothing could be read:\n%s%s", strings.Join(unread, "\n"), more)
	}
	return err
}

func (p *parsed) parse(lim manifest.Limits) {
	p.objects, p.problems = p.file.Objects, p.file.Problems
	switch p.file.Kind {
	case manifest.Manifest:
		objects, problems := manifest.Parse(p.file.Path, p.file.Data, lim)
		p.objects, p.problems = append(p.objects, objects...), append(p.problems, problems...)
	case manifest.Dockerfile:
		o, warnings, err := dockerfile.Parse(p.file.Path, p.file.Data)
		if err != nil {
			p.problems = append(p.problems, manifest.Problem{File: p.file.Path, What: "Dockerfile", Reason: err.Error(), Code: finding.Broken})
			return
		}
		p.objects = append(p.objects, o)
		for _, w := range warnings {
			p.problems = append(p.problems, manifest.Problem{File: p.file.Path, Line: w.Line, What: "Dockerfile", Reason: w.Text, Code: w.Code})
		}
	}
}
