package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"stockade.dev/stockade/internal/access"
	"stockade.dev/stockade/internal/attack"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/reach"
)

// attacked is what one process measured of attack paths.
type attacked struct {
	Objects, Nodes, Edges, Paths, Cuts, Bytes int
	Access, Reach, Build, Rank                time.Duration // of CPU
	Wall                                      time.Duration // of graph and ranking
	Peak                                      uint64
}

// attackPaths measures the attack graph on growing clusters, each in a process of its own, beside what it stands on.
func (b *bench) attackPaths(options) error {
	b.say("Clusters as in the part configuration; the image of every second workload has a vulnerability that opens it. In a careless cluster every workload is exposed, open and carries its token, every second account has dangerous rights, and no network policy is in the way. Graph and ranking with the advice what to cut, against the two maps that they stand on (effective rights, network reach). Goal: 10,000 pods under 5 s.\n")
	b.say("| cluster | pods | objects | rights, CPU s | network, CPU s | graph, CPU s | ranking, CPU s | graph and ranking, wall s | ratio to rights and network | nodes | edges | paths | JSON KiB | heap MiB |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|---|")
	for _, kind := range []string{"usual", "careless"} {
		if err := b.attackGrowth(kind); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) attackGrowth(kind string) error {
	for _, pods := range []int{1000, 2000, 5000, 10000, 20000} {
		b.progress("attack paths of %d pods, %s", pods, kind)
		var all []attacked
		for range max(1, b.runs) {
			cmd := exec.CommandContext(b.ctx, b.self, "attack", kind+":"+strconv.Itoa(pods))
			cmd.Stderr = os.Stderr
			out, err := cmd.Output()
			if err != nil {
				return err
			}
			var a attacked
			if err := json.Unmarshal(out, &a); err != nil {
				return err
			}
			all = append(all, a)
		}
		slices.SortFunc(all, func(x, y attacked) int { return int(x.Build + x.Rank - y.Build - y.Rank) })
		a := all[len(all)/2]
		own := (a.Build + a.Rank).Seconds()
		b.say("| %s | %d | %d | %.2f | %.2f | %.2f | %.2f | **%.2f** | %.1f | %d | %d | %d | %d | %d |", kind, pods, a.Objects, a.Access.Seconds(), a.Reach.Seconds(), a.Build.Seconds(), a.Rank.Seconds(),
			a.Wall.Seconds(), own/(a.Access+a.Reach).Seconds(), a.Nodes, a.Edges, a.Paths, a.Bytes>>10, a.Peak>>20)
	}
	return nil
}

// attackOnce is the child: it makes a cluster, and measures.
func attackOnce(what string) error {
	kind, pods, _ := strings.Cut(what, ":")
	n, err := strconv.Atoi(pods)
	if err != nil {
		return err
	}
	var a attacked
	c := inventory.NewCluster("bench")
	err = generated(sizeOf(n), func(_ string, m object) error {
		o, ok := inventory.NewObject(decoded(m))
		if !ok {
			return fmt.Errorf("not an object: %v", m["kind"])
		}
		a.Objects++
		c.Add(o)
		return nil
	})
	if err != nil {
		return err
	}
	every := 2
	if kind == "careless" {
		careless(c)
		every = 1
	}
	c.Sort()
	ev := attack.Listen(silence{})
	for i := 0; i < len(c.Workloads); i += every {
		if err := ev.Finding(opening(c.Workloads[i])); err != nil {
			return err
		}
	}
	began := spent()
	access.Build(c).PathToAdmin(access.Account("team-000", "sa-00000"))
	a.Access = spent() - began
	began = spent()
	reach.Build(c)
	a.Reach = spent() - began
	began = spent()
	start := time.Now()
	ev.Cluster(c)
	a.Build = spent() - began
	g := ev.Graph()
	began = spent()
	answer := g.Rank(attack.Question{})
	a.Rank, a.Wall = spent()-began, time.Since(start)
	a.Nodes, a.Edges, a.Paths, a.Cuts = len(g.Nodes), len(g.Edges), len(answer.Paths), len(answer.Cuts)
	if a.Paths == 0 {
		return fmt.Errorf("no path in a cluster of %d pods", n)
	}
	text, err := json.Marshal(g)
	if err != nil {
		return err
	}
	a.Bytes = len(text)
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	a.Peak = mem.HeapSys
	return json.NewEncoder(os.Stdout).Encode(a)
}

// careless opens everything in a cluster.
func careless(c *inventory.Cluster) {
	delete(c.Objects, "NetworkPolicy.networking.k8s.io")
	for i, w := range c.Workloads {
		w.Automount = nil
		c.Add(&inventory.Object{APIVersion: "v1", Kind: "Service", Namespace: w.Ref.Namespace, Name: "open-" + w.Ref.Name,
			Content: decoded(object{"spec": object{"type": []any{"LoadBalancer", "ClusterIP"}[i%2], "selector": object{"app": w.Labels["app"]}, "ports": []any{object{"port": 80}}}})})
		if i%2 == 0 {
			right := []inventory.PolicyRule{{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"get"}}, {APIGroups: []string{""}, Resources: []string{"pods", "pods/exec"}, Verbs: []string{"create"}},
				{APIGroups: []string{""}, Resources: []string{"serviceaccounts/token"}, Verbs: []string{"create"}}, {APIGroups: []string{"*"}, Resources: []string{"*"}, Verbs: []string{"*"}}}[i/2%4]
			name, ns := fmt.Sprint("wide-", i), w.Ref.Namespace
			if i%20 == 0 {
				ns = ""
			}
			kind := "RoleBinding"
			if ns == "" {
				kind = "ClusterRoleBinding"
			}
			c.Roles = append(c.Roles, &inventory.Role{Ref: inventory.Ref{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "ClusterRole", Name: name}, Rules: []inventory.PolicyRule{right}})
			c.Bindings = append(c.Bindings, &inventory.Binding{Ref: inventory.Ref{APIVersion: "rbac.authorization.k8s.io/v1", Kind: kind, Namespace: ns, Name: name}, RoleKind: "ClusterRole", RoleName: name,
				Subjects: []inventory.Subject{access.Account(w.Ref.Namespace, w.ServiceAccount)}})
		}
	}
}

// spent is the CPU time of this process so far.
func spent() time.Duration {
	var ru syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &ru) != nil { // it never fails for oneself
		return 0
	}
	return time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
}

// decoded gives an object the values that JSON has.
func decoded(m object) object {
	data, err := json.Marshal(m)
	if err != nil { // generated objects can be written
		return nil
	}
	var out object
	if json.Unmarshal(data, &out) != nil {
		return nil
	}
	return out
}

// opening is a vulnerability in a workload's image that lets anybody in who reaches it.
func opening(w *inventory.Workload) *finding.Finding {
	image := w.Containers[0].Image
	return &finding.Finding{Kind: finding.Vulnerability, Rule: "CVE-2021-44228", Severity: finding.Critical, Status: finding.Open,
		Fingerprint:   finding.Identity{RuleID: "CVE-2021-44228", Name: image}.Fingerprint(),
		Resource:      finding.Resource{Image: image, Workloads: []finding.WorkloadRef{{Kind: w.Ref.Kind, Namespace: w.Ref.Namespace, Name: w.Ref.Name, Container: w.Containers[0].Name}}},
		Vulnerability: &finding.Vulnerable{ID: "CVE-2021-44228", Package: "log4j-core", FixedVersion: "2.17.1", Type: "application", KEV: true, Vector: "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H"}}
}

// silence takes what a scan says.
type silence struct{}

func (silence) Begin(finding.Header) error                         { return nil }
func (silence) Finding(*finding.Finding) error                     { return nil }
func (silence) Clause(finding.Clause) error                        { return nil }
func (silence) NotScanned(finding.NotScanned) error                { return nil }
func (silence) Asset(finding.Asset) error                          { return nil }
func (silence) End(time.Time, finding.Target, finding.Stats) error { return nil }
