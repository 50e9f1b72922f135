package attack

import (
	"fmt"
	"testing"

	"stockade.dev/stockade/internal/inventory"
)

// TestRunning: what a node's agent sees of containers that are no border to their node, by the workload that its pod's name tells.
func TestRunning(t *testing.T) {
	c := inventory.NewCluster("shop")
	o, _ := inventory.NewObject(map[string]any{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": map[string]any{"name": "web", "namespace": "shop"},
		"spec": map[string]any{"template": map[string]any{"spec": map[string]any{"containers": []any{map[string]any{"name": "web"}}}}}})
	c.Add(o)
	all := func(name string, change func(*inventory.ContainerFact)) inventory.ContainerFact {
		ct := inventory.ContainerFact{Namespace: "shop", Pod: name, Container: "web", Processes: []inventory.ContainerProcess{{Name: "sh", UID: 0, Caps: []string{"ALL"}}}}
		change(&ct)
		return ct
	}
	c.Nodes["n1"] = &inventory.NodeFacts{Name: "n1", Containers: []inventory.ContainerFact{
		all("web-7d4b9c5f6d-x2x7z", func(*inventory.ContainerFact) {}),
		all("mapped", func(ct *inventory.ContainerFact) { ct.UserNS = true }),
		all("user", func(ct *inventory.ContainerFact) { ct.Processes[0].UID = 1000 }),
		all("plain", func(ct *inventory.ContainerFact) { ct.Processes[0].Caps = []string{"CAP_NET_RAW"} }),
		all("disk", func(ct *inventory.ContainerFact) {
			ct.Processes, ct.Mounts = nil, []inventory.ContainerMount{{Source: "/data", Path: "/data"}, {Source: "/etc", Path: "/host", ReadOnly: true}, {Source: "/", Path: "/host"}}
		}),
		all("socket", func(ct *inventory.ContainerFact) {
			ct.Processes, ct.Mounts = nil, []inventory.ContainerMount{{Source: "/run/containerd/containerd.sock", Path: "/c.sock", ReadOnly: true}}
		}),
		all("", func(*inventory.ContainerFact) {}),
	}}
	got := sightings(c)
	web := inventory.Ref{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "shop", Name: "web"}
	disk := inventory.Ref{APIVersion: "v1", Kind: "Pod", Namespace: "shop", Name: "disk"}
	if len(got) != 3 || len(got[web]) != 1 || got[web][0].proof.Value != "sh: uid 0, ALL" || len(got[disk]) != 1 || got[disk][0].proof.Value != "/ on /host" {
		t.Errorf("%+v", got)
	}
}

// TestOutbreak: an emergency that a node's agent verified leads from the workloads there to the node, and from no others.
func TestOutbreak(t *testing.T) {
	text := ""
	for _, name := range []string{"one", "two", "three"} {
		host := ""
		if name == "three" {
			host = ", hostNetwork: true"
		}
		text += deployment("shop", name, host, "") + service("shop", name, "LoadBalancer")
	}
	c := cluster(t, text)
	for i, name := range []string{"one", "two", "three"} {
		c.Workload(inventory.Ref{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "shop", Name: name}).Nodes = []string{fmt.Sprint("n", i+1)}
	}
	ev := Listen(nobody{})
	for _, name := range []string{"one", "two", "three"} {
		if err := ev.Finding(rce("img-"+name, "shop/"+name)); err != nil {
			t.Fatal(err)
		}
	}
	ev.Exposed(map[string][]string{"n1": {"CVE-2019-5736", "CVE-2022-22965", "CVE-2020-15257"}, "n3": {"CVE-2020-15257"}, "n9": {"CVE-2019-5736"}})
	g := Build(c, ev)
	got := map[string]string{}
	for _, e := range g.Edges {
		if e.Kind == Leave {
			for _, p := range e.Proof {
				got[g.Nodes[e.From].Ref.Name] += p.CVE + " "
			}
			if !e.Verified || len(e.Cuts) != 1 || len(e.Reasons) != 1 || g.Nodes[e.To].Kind != NodeGroup {
				t.Errorf("%+v", e)
			}
		}
	}
	if len(got) != 2 || got["one"] != "CVE-2019-5736 " || got["three"] != "CVE-2020-15257 " {
		t.Errorf("%v", got)
	}
}
