package agent

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"stockade.dev/stockade/e2e/lab"
	"stockade.dev/stockade/internal/inventory"
)

// facts are what the server knows of the node, its containers beside.
func (s *site) facts(node string) (f inventory.NodeFacts, pods []inventory.ContainerFact) {
	s.t.Helper()
	s.call("GET", "/nodes/"+node+"/facts", nil, &f)
	var list struct{ Items []inventory.ContainerFact }
	s.call("GET", "/nodes/"+node+"/containers?limit=500", nil, &list)
	return f, list.Items
}

// silent are the runtimes that did not answer.
func silent(f *inventory.NodeFacts) (out []inventory.SkipFact) {
	for _, k := range f.Skipped {
		if k.Check == "containers" && strings.Contains(k.Needs, "containerd") {
			out = append(out, k)
		}
	}
	return out
}

// becomes waits until a node is in a state. Beats are a minute apart, and contacts are written together.
func (s *site) becomes(t *testing.T, node, state string) (n struct {
	State, Reason string
	Needs         []inventory.SkipFact
}) {
	t.Helper()
	for ends := time.Now().Add(4 * time.Minute); time.Now().Before(ends); time.Sleep(time.Second) {
		n.State, n.Reason, n.Needs = "", "", nil
		if s.call("GET", "/nodes/"+node, nil, &n); n.State == state {
			return n
		}
	}
	t.Errorf("the node is not %s: %+v", state, n)
	return n
}

// hangs stops the container runtime, whose socket takes connections all the same: the look ends, says so, and has everything else. The
// node is degraded, and stays so until a look: when the runtime goes on, the next one has all again.
func (s *site) hangs(t *testing.T, node string) {
	before, pods := s.facts(node)
	of := func(list []inventory.ContainerFact) *inventory.ContainerFact {
		for i := range list {
			if c := &list[i]; c.Namespace == "shop" && c.Pod == "till" {
				return c
			}
		}
		t.Fatalf("the pod is not among %d containers", len(list))
		return nil
	}
	if c := of(pods); len(silent(&before)) > 0 || c.Image != sshImage || c.ImageID == "" {
		t.Fatalf("before the runtime hangs: %+v %+v", before.Skipped, c)
	}
	resume := s.Pause(t, "containerd")
	s.scan(t, "configuration")
	during, pods := s.facts(node)
	t.Logf("not read: %+v", during.Skipped)
	if k := silent(&during); len(k) == 0 || k[0].Code != "unreachable" || k[0].Reason == "" {
		t.Errorf("nothing says that the runtime did not answer: %+v", during.Skipped)
	}
	if c := of(pods); len(c.Processes) == 0 || c.Processes[0].Exe != "/usr/sbin/sshd" || c.ImageID != "" {
		t.Errorf("by the kernel and the folders alone: %+v", c)
	}
	if during.Kubelet == nil || len(during.Processes) == 0 || len(during.Binaries) == 0 || len(during.Files) == 0 || during.Kernel == nil || during.Runtime.Name != "containerd" {
		t.Errorf("the rest of the facts is not there: kubelet %v, %d processes, %d programs, %d files, %+v", during.Kubelet, len(during.Processes), len(during.Binaries), len(during.Files), during.Runtime)
	}
	resume()
	n := s.becomes(t, node, "degraded")
	if !strings.Contains(n.Reason, "the container runtime") || !slices.ContainsFunc(n.Needs, func(k inventory.SkipFact) bool { return k.Lacks == inventory.LacksRuntime && k.Reason != "" }) {
		t.Errorf("what the checks lack: %+v", n)
	}
	s.scan(t, "configuration")
	if n := s.becomes(t, node, "protected"); n.Reason != "" || slices.ContainsFunc(n.Needs, func(k inventory.SkipFact) bool { return k.Lacks == inventory.LacksRuntime }) {
		t.Errorf("what the checks lack afterwards: %+v", n)
	}
	after, pods := s.facts(node)
	if c := of(pods); len(silent(&after)) > 0 || c.Image != sshImage || c.ImageID == "" {
		t.Errorf("after it goes on: %+v %+v", after.Skipped, c)
	}
}

// infected lists what is open on malicious files.
func (s *site) infected() []finding {
	s.t.Helper()
	var page struct{ Items []finding }
	s.call("GET", "/findings?status=open&kind=malware&limit=500", nil, &page)
	return page.Items
}

// malicious tells of a malicious file that a running container wrote.
func (s *site) malicious(t *testing.T) {
	found := s.infected()
	if len(found) != 1 || found[0].Resource != "mail" {
		t.Fatalf("the file in the pod, and nothing else: %+v", found)
	}
	var details json.RawMessage
	if s.call("GET", "/findings/"+found[0].ID, nil, &details); !strings.Contains(string(details), `"file":"tmp/invoice.com"`) || !strings.Contains(string(details), "EICAR-Test-File") {
		t.Errorf("which file it is, and what is in it: %s", details)
	}
}

// right has the kubelet ask who is there and ends the pod with the malicious file: neither is a finding any more.
func (s *site) right(t *testing.T) {
	s.RestartKubelet(t)
	pods := s.Kube.CoreV1().Pods("shop")
	if err := pods.Delete(t.Context(), "mail", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	lab.Eventually(t, "the pod is gone", func() error {
		p, err := pods.Get(t.Context(), "mail", metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return fmt.Errorf("it is %v, %w", p.Status.Phase, err)
	})
	s.scan(t, "configuration", "images")
	if left := s.findings()["node/kubelet-anonymous-auth"]; len(left) > 0 {
		t.Errorf("the finding on the kubelet is there: %+v", left)
	}
	if left := s.infected(); len(left) > 0 {
		t.Errorf("the finding on the pod is there: %+v", left)
	}
}
