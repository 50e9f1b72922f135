package agent

import (
	"errors"
	"fmt"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"stockade.dev/stockade/e2e/lab"
)

// line is a release line of a program with a fault in it, and the version that has none.
type line struct{ from, fixed string }

// urgent are emergencies in the programs that the node runs, which are packages of this machine: what is said of them can be worked out
// from these. Lines are those of the advisories that the list of emergencies names.
var urgent = []struct {
	id, program string
	lines       []line
	mark        string // that the fix left in the program
}{
	{"CVE-2024-21626", "/usr/sbin/runc", []line{{"1.0.0~rc93", "1.1.12"}}, "possible container breakout detected"},
	{"CVE-2025-31133", "/usr/sbin/runc", []line{{"0", "1.2.8"}, {"1.3.0~rc.1", "1.3.3"}, {"1.4.0~rc.1", "1.4.0~rc.3"}}, ""},
	{"CVE-2025-52565", "/usr/sbin/runc", []line{{"1.0.0~rc3", "1.2.8"}, {"1.3.0~rc.1", "1.3.3"}, {"1.4.0~rc.1", "1.4.0~rc.3"}}, ""},
	{"CVE-2024-45310", "/usr/sbin/runc", []line{{"0", "1.1.14"}, {"1.2.0~rc.1", "1.2.0~rc.3"}}, ""},
	{"CVE-2024-40635", "/usr/bin/containerd", []line{{"0", "1.6.38"}, {"1.7.0~beta.0", "1.7.27"}, {"2.0.0~beta.0", "2.0.4"}}, ""},
	{"CVE-2025-47290", "/usr/bin/containerd", []line{{"2.1.0", "2.1.1"}}, ""},
}

// expected is what is to be said of an emergency, worked out by Debian's own tools: the rung of the ladder, and what its evidence names.
func expected(t *testing.T, id, program string, lines []line, mark string) (verdict, evidence, installed string) {
	t.Helper()
	run := func(name string, args ...string) (string, bool) {
		out, err := exec.Command(name, args...).Output()
		var no *exec.ExitError
		if err != nil && !errors.As(err, &no) {
			t.Fatalf("%s: %v", name, err)
		}
		return strings.TrimSpace(string(out)), err == nil
	}
	owner, ok := run("dpkg-query", "-S", program)
	if !ok {
		t.Fatalf("%s is no package's", program)
	}
	name, _, _ := strings.Cut(owner, ":")
	installed, _ = run("dpkg-query", "-W", "-f", "${Version}", name)
	upstream := installed
	if i := strings.IndexByte(upstream, ':'); i >= 0 {
		upstream = upstream[i+1:]
	}
	if i := strings.IndexAny(upstream, "~+-"); i >= 0 { // of the versions here, what follows is Debian's
		upstream = upstream[:i]
	}
	affected := slices.ContainsFunc(lines, func(l line) bool {
		_, after := run("dpkg", "--compare-versions", upstream, "ge", l.from)
		_, before := run("dpkg", "--compare-versions", upstream, "lt", l.fixed)
		return after && before
	})
	if !affected {
		return "fixed", "", upstream
	}
	if mark != "" {
		if _, has := run("grep", "-qF", mark, program); has {
			return "fixed-by-backport", program + " has the text", upstream
		}
	}
	changelog := "/usr/share/doc/" + name + "/changelog.Debian.gz"
	if _, has := run("zgrep", "-qw", id, changelog); has {
		return "fixed-by-backport", changelog + " of " + name + " " + installed + " names " + id, upstream
	}
	return "exposed", "runs as root and has no user namespace of its own", upstream // pods that were started here do
}

// seen is what the API says of an emergency on the node.
type seen struct {
	Kind, Name, Verdict, Component, Version, Path, NotRead string
	Checks                                                 []struct {
		Check, Class, Holds, Evidence, Reason string
		Proof                                 bool
	}
}

func (r *seen) evidence() (all []string) {
	for _, c := range r.Checks {
		all = append(all, fmt.Sprintf("%s (%s): %s %s%s", c.Check, c.Class, c.Holds, c.Evidence, c.Reason))
	}
	return all
}

func (s *site) seen(id string) seen {
	s.t.Helper()
	var list struct{ Items []seen }
	s.call("GET", "/emergencies/"+id+"/results?"+url.Values{"kind": {"node"}, "q": {lab.NodeName}, "limit": {"500"}}.Encode(), nil, &list)
	for _, r := range list.Items {
		if r.Name == lab.NodeName {
			return r
		}
	}
	return seen{Verdict: "not-present"} // is not listed
}

// look scans for one emergency now, and waits for the end.
func (s *site) look(t *testing.T, id string) {
	t.Helper()
	var made struct{ ID string }
	s.call("POST", "/emergencies/"+id+"/scan", map[string]any{"clusterIds": []string{s.target}}, &made)
	s.ended(t, made.ID)
}

// allow sets the classes of checks that may run on the cluster.
func (s *site) allow(classes ...string) {
	s.t.Helper()
	s.call("PUT", "/clusters/"+s.target+"/emergency-checks", map[string]any{"classes": classes}, nil)
}

// emergencies tells how it stands with the whole list on the node, and then has one of it verified with a class of checks forbidden and
// allowed again.
func (s *site) emergencies(t *testing.T) {
	var list struct {
		Items []struct {
			ID    string
			Where []string
		}
	}
	s.call("GET", "/emergencies?limit=500", nil, &list)
	verdicts := map[string][]string{}
	for _, e := range list.Items {
		var unseen struct {
			Items []struct{ Name, Reason string }
		}
		if slices.Contains(e.Where, "node") { // all nodes of the cluster are looked at
			if s.call("GET", "/emergencies/"+e.ID+"/not-looked?kind=node", nil, &unseen); len(unseen.Items) > 0 {
				t.Errorf("%s was not looked for on %+v", e.ID, unseen.Items)
			}
			r := s.seen(e.ID)
			verdicts[r.Verdict] = append(verdicts[r.Verdict], strings.TrimSpace(e.ID+" "+r.NotRead))
		}
	}
	t.Logf("verdicts on the node: %q", verdicts)
	exposed := ""
	for _, u := range urgent {
		verdict, evidence, installed := expected(t, u.id, u.program, u.lines, u.mark)
		r := s.seen(u.id)
		t.Logf("%s: %s %s at %s: %s %q", u.id, r.Component, r.Version, r.Path, r.Verdict, r.evidence())
		if r.Verdict != verdict || r.Path != u.program || !strings.HasPrefix(strings.TrimPrefix(r.Version, "v"), installed) {
			t.Errorf("%s with %s %s: want %s, and %+v", u.id, u.program, installed, verdict, r)
		}
		if evidence != "" && !slices.ContainsFunc(r.evidence(), func(e string) bool { return strings.Contains(e, ": yes ") && strings.Contains(e, evidence) }) {
			t.Errorf("%s: no check says %q: %q", u.id, evidence, r.evidence())
		}
		if verdict == "exposed" {
			exposed = u.id
		}
	}
	if exposed == "" {
		t.Fatal("this machine's runc has none of these faults: take younger ones into the list of this test")
	}
	if all := s.findings()[exposed]; !slices.ContainsFunc(all, func(f finding) bool { return strings.Contains(f.Resource, lab.NodeName) }) {
		t.Errorf("no finding of %s on the node: %+v", exposed, all)
	}
	s.allow("read")
	s.look(t, exposed)
	r := s.seen(exposed)
	if r.Verdict != "unknown" || !strings.Contains(r.NotRead, "class process") || !slices.ContainsFunc(r.evidence(), func(e string) bool { return strings.Contains(e, "(process): unknown") }) {
		t.Errorf("without processes: %+v", r)
	}
	if all := s.findings()[exposed]; len(all) == 0 {
		t.Error("what is not known is no finding any more")
	}
	s.allow("read", "process")
	s.look(t, exposed)
	if r := s.seen(exposed); r.Verdict != "exposed" || r.NotRead != "" {
		t.Errorf("with processes again: %+v", r)
	}
}

// scan has the node's agent look at some parts, and waits for the end.
func (s *site) scan(t *testing.T, parts ...string) {
	t.Helper()
	var made struct{ ID string }
	s.call("POST", "/tasks", map[string]any{"nodes": []any{map[string]any{"clusterId": s.target, "name": lab.NodeName}}, "items": parts}, &made)
	s.ended(t, made.ID)
}

// ended waits for the end of a task. The agent hears of it with its next beat and has ten minutes then.
func (s *site) ended(t *testing.T, id string) {
	t.Helper()
	status := ""
	for ends := time.Now().Add(12 * time.Minute); time.Now().Before(ends); time.Sleep(500 * time.Millisecond) {
		var task struct{ Status string }
		s.call("GET", "/tasks/"+id, nil, &task)
		if status = task.Status; status != "ready" && status != "running" {
			break
		}
	}
	var items struct {
		Items []struct{ Kind, Name, Status, Code, Error string }
	}
	if s.call("GET", "/tasks/"+id+"/items", nil, &items); status != "finished" {
		t.Fatalf("the task is %s: %+v", status, items.Items)
	}
	t.Logf("the task is done: %+v", items.Items)
}
