package emergencies_test

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"stockade.dev/stockade/internal/advisory"
	"stockade.dev/stockade/internal/emergency"
	"stockade.dev/stockade/internal/feed"
	"stockade.dev/stockade/internal/feed/feedtest"
	"stockade.dev/stockade/internal/feed/sources"
)

// packages are the names that publishers give to components.
var packages = map[string][]string{
	"runc":          {"github.com/opencontainers/runc"},
	"containerd":    {"github.com/containerd/containerd", "github.com/containerd/containerd/v2"},
	"dockerd":       {"github.com/docker/docker", "github.com/moby/moby"},
	"crio":          {"github.com/cri-o/cri-o"},
	"kubelet":       {"k8s.io/kubernetes"},
	"kube-proxy":    {"k8s.io/kubernetes"},
	"ingress-nginx": {"k8s.io/ingress-nginx", "github.com/kubernetes/ingress-nginx"},
	"buildkitd":     {"github.com/moby/buildkit"},
	"etcd":          {"go.etcd.io/etcd/v3", "etcd"},
	"coredns":       {"github.com/coredns/coredns"},
	"calico-cni":    {"github.com/projectcalico/calico/v3"},
	"argo-cd":       {"github.com/argoproj/argo-cd/v2", "github.com/argoproj/argo-cd/v3"},
	"tomcat":        {"tomcat"},
	"redis":         {"redis"}, "nginx": {"nginx"}, "apache": {"apache"}, "memcached": {"memcached"},
}

// otherwise are ranges of the feeds that the list does not follow, with the reason.
var otherwise = map[string]map[string]string{
	"CVE-2026-53489": {"0..": "containerd 1 has no restore of checkpoints; the module path has no end"},
	"CVE-2024-40635": {"0..2.0.4": "the module /v2 begins with its first version"},
	"CVE-2026-33413": {"3.5.0..3.5.28": "Bitnami leaves out releases before 3.5.0", "3.6.0..3.6.9": "Bitnami leaves out releases before 3.6.0"},
	"CVE-2024-31989": {"0..2.11.1": "Bitnami joins the lines that Go tells apart"},
	"CVE-2020-1938":  {"8.5.0..8.5.51": "GitHub's begins with 8.0.0", "9.0.0..9.0.31": "milestones are affected, as the CVE record says"},
	"CVE-2026-41567": {"0..": "the old module paths get no fix; the CVE record names the engine's, 29.5.1"},
	"CVE-2026-42880": {"0..": "older lines get no fix; Bitnami, as the advisory, begins with 3.2.0"},
	"CVE-2023-46604": {"0..5.15.16": "of the client; openwire-legacy begins with 5.8.0"},
}

type kept struct {
	feedtest.Sink
	rows map[string][]advisory.Row // by advisory
	kev  map[string]bool
	ids  map[string]bool              // of the list
	cpes map[string][]advisory.Row    // NVD's, by id
	days map[string]map[string]string // by id, the feeds that name a day
}

func (k *kept) Row(r advisory.Row) error {
	if r.Advisory != "" && (strings.HasPrefix(r.Feed, "golang") || strings.HasPrefix(r.Feed, "ghsa") || strings.HasPrefix(r.Feed, "bitnami") || strings.HasPrefix(r.Feed, "debian")) {
		r.Symbols = nil
		k.rows[r.Advisory] = append(k.rows[r.Advisory], r)
	}
	for _, id := range r.IDs {
		if !k.ids[id] {
			continue
		}
		if strings.HasPrefix(r.Feed, "nvd") {
			k.cpes[id] = append(k.cpes[id], r)
		}
		if strings.HasPrefix(r.Feed, "debian") || strings.HasPrefix(r.Feed, "ghsa") {
			k.day(id, r.Feed+" "+r.Advisory, r.Published)
		}
	}
	return nil
}

func (k *kept) day(id, feed, at string) {
	if len(at) < len("2006-01-02") {
		return
	}
	if k.days[id] == nil {
		k.days[id] = map[string]string{}
	}
	k.days[id][feed] = at[:len("2006-01-02")]
}

func (k *kept) Vulnerability(v advisory.Vulnerability) error {
	if v.KEV != nil {
		k.kev[v.ID] = true
	}
	if k.ids[v.ID] && (strings.HasPrefix(v.Feed, "nvd") || strings.HasPrefix(v.Feed, "cve")) {
		k.day(v.ID, v.Feed, v.Published)
	}
	return nil
}

var named = regexp.MustCompile(`(GO-\d{4}-\d+|GHSA-[0-9a-z]{4}-[0-9a-z]{4}-[0-9a-z]{4}|BIT-[a-z-]+-\d{4}-\d+|D[SL]A-\d+-\d)`)

func plain(v string) string {
	v = strings.TrimSuffix(strings.TrimPrefix(v, "v"), "+incompatible")
	if v == "" {
		return "0"
	}
	return v
}

// TestFeeds holds the ranges to the publishers' own data: each advisory that an entry names as its source and that is in testdata/feeds
// says the same of the same component, but for what stands in otherwise. What CISA lists as exploited is marked so.
func TestFeeds(t *testing.T) {
	k := &kept{rows: map[string][]advisory.Row{}, kev: map[string]bool{}, ids: map[string]bool{}, cpes: map[string][]advisory.Row{}, days: map[string]map[string]string{}}
	for _, e := range list(t) {
		k.ids[e.ID] = true
	}
	var files []string
	for _, name := range []string{"go", "ghsa", "bitnami", "kev", "debian", "nvd", "vulnrichment"} {
		files = append(files, filepath.Join("..", "testdata", "feeds", name+".tar.zst"))
	}
	if err := feed.Walk(context.Background(), files, sources.All, feed.Limits{Workers: 2}, k, func(feed.Result) {}); err != nil {
		t.Fatal(err)
	}
	if len(k.rows) < 5000 || len(k.kev) < 500 {
		t.Fatalf("%d advisories, %d exploited: the feeds were not read", len(k.rows), len(k.kev))
	}
	compared := 0
	for _, e := range list(t) {
		if k.kev[e.ID] && !e.KEV {
			t.Errorf("%s is known to be exploited", e.ID)
		}
		for _, s := range e.Sources {
			id := named.FindString(s.Name)
			rows := k.rows[id]
			if strings.HasPrefix(id, "GO-") || strings.HasPrefix(id, "BIT-") || strings.HasPrefix(id, "DSA-") || strings.HasPrefix(id, "DLA-") {
				if len(rows) == 0 {
					t.Errorf("%s: %s is not in the feeds", e.ID, id)
				}
			}
			if len(rows) > 0 && compare(t, e, id, rows) {
				compared++
			}
		}
	}
	if compared < 50 {
		t.Errorf("only %d sources were compared", compared)
	}
	k.dates(t)
	k.national(t)
}

// dates holds the days of the disclosure to those that feeds name: the CVE record's or the NVD's, or that of an advisory.
func (k *kept) dates(t *testing.T) {
	checked := 0
	for _, e := range list(t) {
		days := k.days[e.ID]
		if len(days) == 0 {
			continue
		}
		checked++
		record := false // advisories of systems come later
		for feed, day := range days {
			record = record || strings.HasPrefix(feed, "nvd") || strings.HasPrefix(feed, "cve")
			if e.Published == "" || e.Published > day {
				t.Errorf("%s is of %q; %s names %s", e.ID, e.Published, feed, day)
			}
		}
		if record && !slices.Contains(slices.Collect(maps.Values(days)), e.Published) {
			t.Errorf("%s is of %q; the feeds name %v", e.ID, e.Published, days)
		}
	}
	if checked < 25 {
		t.Errorf("only %d days were compared", checked)
	}
}

// products are the NVD's names of components.
var products = map[string][]string{
	"linuxfoundation:runc": {"runc"}, "linuxfoundation:containerd": {"containerd"}, "kubernetes:kubernetes": {"kubelet", "kube-proxy"}, "kubernetes:ingress-nginx": {"ingress-nginx"},
	"kubernetes:cri-o": {"crio"}, "redis:redis": {"redis"}, "lfprojects:valkey": {"valkey"}, "f5:nginx_open_source": {"nginx"}, "argoproj:argo_cd": {"argo-cd"}, "apache:http_server": {"apache"},
	"docker:docker": {"dockerd"}, "mobyproject:moby": {"dockerd"}, "mobyproject:buildkit": {"buildkitd"}, "etcd:etcd": {"etcd"}, "coredns.io:coredns": {"coredns"},
	"apache:tomcat":           {"tomcat", "package:maven/org.apache.tomcat:tomcat-catalina", "package:maven/org.apache.tomcat.embed:tomcat-embed-core"},
	"apache:log4j":            {"package:maven/org.apache.logging.log4j:log4j-core"},
	"apache:commons_text":     {"package:maven/org.apache.commons:commons-text"},
	"apache:struts":           {"package:maven/org.apache.struts:struts2-core"},
	"apache:activemq":         {"package:maven/org.apache.activemq:activemq-client"},
	"alibaba:fastjson":        {"package:maven/com.alibaba:fastjson"},
	"vmware:spring_framework": {"package:maven/org.springframework:spring-beans"}, "vmware:spring_cloud_gateway": {"package:maven/org.springframework.cloud:spring-cloud-gateway-server"},
	"vmware:spring_cloud_function": {"package:maven/org.springframework.cloud:spring-cloud-function-context"},
}

// differently are ends of ranges that the NVD gives and the list does not, with the reason.
var differently = map[string]string{
	"CVE-2022-22963 3.2.2":  "the last affected; 3.2.3 fixes it",
	"CVE-2022-22963 3.1.6":  "the last affected; 3.1.7 fixes it",
	"CVE-2022-22965 5.2.20": "5.2.20.RELEASE, as the library is called",
}

// national holds the ends of ranges to the NVD's: where it says that a version fixes a component of ours, the list says so too.
func (k *kept) national(t *testing.T) {
	compared := 0
	for _, e := range list(t) {
		for _, row := range k.cpes[e.ID] {
			var ends []string
			for _, r := range e.Affected {
				if !slices.Contains(products[row.Package], r.Component) {
					continue
				}
				for _, s := range r.Spans {
					ends = append(ends, plain(s.Fixed+s.Last))
				}
			}
			if ends == nil {
				continue
			}
			for _, g := range row.Ranges {
				end := plain(g.Fixed + g.LastAffected)
				if compared++; end != "0" && !slices.Contains(ends, end) && differently[e.ID+" "+end] == "" {
					t.Errorf("%s: the NVD ends a range of %s with %s; the list has %v", e.ID, row.Package, end, ends)
				}
			}
		}
	}
	if compared < 30 {
		t.Errorf("only %d ranges were compared with the NVD's", compared)
	}
}

// compare holds an entry's ranges to the rows of one advisory.
func compare(t *testing.T, e *emergency.Emergency, id string, rows []advisory.Row) (some bool) {
	ours := map[string]map[string]bool{} // package of the publisher -> spans
	var mine []string
	for _, r := range e.Affected {
		names := packages[r.Component]
		if kind, name, ok := strings.Cut(strings.TrimPrefix(r.Component, "package:"), "/"); ok && strings.HasPrefix(r.Component, "package:") {
			names = []string{name}
			if kind == "deb" {
				names = []string{name + " " + strings.Join(r.Streams, "")}
			}
		}
		for _, s := range r.Spans {
			span := plain(s.Introduced) + ".." + s.Fixed + s.Last
			mine = append(mine, span)
			for _, n := range names {
				if ours[n] == nil {
					ours[n] = map[string]bool{}
				}
				ours[n][span] = true
			}
		}
	}
	theirs := map[string]bool{}
	for _, row := range rows {
		name := row.Package
		if strings.HasPrefix(row.Stream, "debian") {
			name += " " + row.Stream
		}
		if ours[name] == nil {
			continue
		}
		some = true
		for _, g := range row.Ranges {
			span := plain(g.Introduced) + ".." + plainEnd(g.Fixed) + g.LastAffected
			theirs[span] = true
			if !ours[name][span] && !slices.Contains(mine, span) && otherwise[e.ID][span] == "" {
				t.Errorf("%s: %s says %s %s; the list has %v", e.ID, id, name, span, slices.Sorted(maps.Keys(ours[name])))
			}
		}
	}
	if !some {
		return false
	}
	// Every span of ours about one of its packages is theirs, unless another source of the entry has it.
	if strings.HasPrefix(id, "GO-") {
		for _, r := range e.Affected {
			about := slices.ContainsFunc(packages[r.Component], func(n string) bool {
				return slices.ContainsFunc(rows, func(row advisory.Row) bool { return row.Package == n })
			})
			for _, s := range r.Spans {
				span := plain(s.Introduced) + ".." + s.Fixed + s.Last
				if about && !theirs[span] && ownSpans[e.ID+" "+span] == "" {
					t.Errorf("%s: %s does not say %s", e.ID, id, span)
				}
			}
		}
	}
	return true
}

// ownSpans are spans of the list that Go's database says otherwise, with the reason.
var ownSpans = map[string]string{
	"CVE-2024-40635 2.0.0-beta.0..2.0.4": "NVD's; Go's begins with 0 within the module /v2",
	"CVE-2026-41567 0..2.0.0-beta.14":    "Go's, of the module /v2",
	"CVE-2026-41567 17.0.0..29.5.1":      "the CVE record's, of Docker Engine",
}

func plainEnd(v string) string {
	if v == "" {
		return ""
	}
	return plain(v)
}

// TestFormat: what travels in the database is read back as it was.
func TestFormat(t *testing.T) {
	data, err := emergency.Marshal(list(t))
	if err != nil {
		t.Fatal(err)
	}
	back, left, err := emergency.Unmarshal(data)
	if err != nil || len(left) > 0 || fmt.Sprint(len(back)) != fmt.Sprint(len(list(t))) {
		t.Error(len(back), left, err)
	}
	again, _ := emergency.Marshal(back)
	if string(again) != string(data) {
		t.Error("another list came back")
	}
}
