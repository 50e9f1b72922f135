// Package stories tells, against real API servers, what users of stockade do and what befalls them: the program is run as
// a process, the cluster is real, the trouble is made by a proxy or by killing the server.
package stories

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"

	"stockade.dev/stockade/e2e/lab"
	"stockade.dev/stockade/internal/collect/manifest"
)

// stockade is the program under test, built once.
var stockade string

func TestMain(m *testing.M) {
	klog.SetSlogLogger(slog.New(slog.DiscardHandler)) // watches complain of every server that a story stops
	dir, err := os.MkdirTemp("", "stockade-stories")
	if err == nil {
		stockade = filepath.Join(dir, "stockade")
		err = lab.Program(stockade)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "building stockade:", err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// output is what one run of stockade gave.
type output struct {
	code           int
	stdout, stderr string
}

// run runs stockade with a kubeconfig.
func run(t *testing.T, kubeconfig string, args ...string) output {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, stockade, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig, "LANG=C", "STOCKADE_DB=/nonexistent")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	out := output{stdout: stdout.String(), stderr: stderr.String()}
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		out.code = exit.ExitCode()
	case err != nil:
		t.Fatalf("stockade %s: %v", strings.Join(args, " "), err)
	}
	return out
}

// document is the part of the findings document that the stories read.
type document struct {
	Target struct {
		Version, Distribution string
	} `json:"target"`
	Findings []struct {
		Fingerprint string `json:"fingerprint"`
		Rule        string `json:"rule"`
		RuleID      string `json:"ruleId"`
		Resource    struct {
			Kind, Namespace, Name, Container string
		} `json:"resource"`
	} `json:"findings"`
	NotScanned []struct{ Target, What, Reason, Code string } `json:"notScanned"`
	Stats      struct{ Objects int }                         `json:"stats"`
}

func (o output) document(t *testing.T) document {
	t.Helper()
	var d document
	if err := json.Unmarshal([]byte(o.stdout), &d); err != nil {
		t.Fatalf("code %d: the output is no findings document: %v\n%s\n%s", o.code, err, o.stdout, o.stderr)
	}
	return d
}

// has reports whether a rule was broken by an object.
func (d document) has(rule, kind, name string) bool {
	for _, f := range d.Findings {
		if f.Rule == rule && f.Resource.Kind == kind && f.Resource.Name == name {
			return true
		}
	}
	return false
}

// unread returns the reason of the not-scanned entry that mentions what, with the code; "" when there is none.
func (d document) unread(what, code string) string {
	for _, n := range d.NotScanned {
		if strings.Contains(n.What, what) && n.Code == code {
			return n.Reason
		}
	}
	return ""
}

// apply creates the objects of a file, versions translated for old servers by the caller.
func apply(t *testing.T, cp *lab.ControlPlane, file string) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	objects, problems := manifest.Parse(file, data, manifest.Limits{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	create := creator(t, cp)
	for _, o := range objects {
		create(o.Content)
	}
}

// creator returns a function that creates objects as the administrator.
func creator(t *testing.T, cp *lab.ControlPlane) func(map[string]any) {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", cp.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	config.QPS, config.Burst = 1000, 1000
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	disco, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	groups, err := restmapper.GetAPIGroupResources(disco)
	if err != nil {
		t.Fatal(err)
	}
	mapper := restmapper.NewDiscoveryRESTMapper(groups)
	return func(content map[string]any) {
		t.Helper()
		u := &unstructured.Unstructured{Object: runtime.DeepCopyJSON(content)}
		m, err := mapper.RESTMapping(u.GroupVersionKind().GroupKind(), u.GroupVersionKind().Version)
		if err != nil {
			t.Fatal(err)
		}
		var res dynamic.ResourceInterface = client.Resource(m.Resource)
		if m.Scope.Name() == meta.RESTScopeNameNamespace {
			res = client.Resource(m.Resource).Namespace(u.GetNamespace())
		}
		if _, err := res.Create(context.Background(), u, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
			t.Fatalf("%s %s: %v", u.GetKind(), u.GetName(), err)
		}
	}
}

// TestSources has the results of this room hang on the program, which is built and not imported.
func TestSources(t *testing.T) { lab.Sources(t) }
