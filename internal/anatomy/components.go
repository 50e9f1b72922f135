package anatomy

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/browse"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/store"
)

// Component is a core component of a cluster: of the control plane, the nodes, or an image repository that runs in it.
type Component struct {
	Name          string         `json:"name"`
	Family        string         `json:"family" enum:"kubernetes,node,harbor,jfrog,bintray"`
	Found         bool           `json:"found"`
	How           string         `json:"how" enum:"pod,static-pod,node-info,not-found"`
	Namespace     string         `json:"namespace,omitempty"`
	Object        string         `json:"object,omitempty" doc:"Deployment kube-system/coredns; the first where there are several"`
	Objects       int            `json:"objects,omitempty"`
	WorkloadID    int64          `json:"workloadId,string,omitempty"`
	Nodes         []string       `json:"nodes,omitempty" doc:"some that it runs on"`
	NodeCount     int            `json:"nodeCount,omitempty"`
	Image         string         `json:"image,omitempty"`
	Digest        string         `json:"digest,omitempty"`
	AssetID       int64          `json:"assetId,string,omitempty" doc:"of the image"`
	Version       string         `json:"version,omitempty"`
	VersionSource string         `json:"versionSource,omitempty" enum:"tag,package,node-info,api"`
	Scanned       bool           `json:"scanned"`
	ReasonCode    string         `json:"reasonCode,omitempty" enum:"not-container,managed,pods-unread,image-unread,absent,node-program,limited"`
	Reason        string         `json:"reason,omitempty" doc:"why it is not there or cannot be scanned, or what is not known of it although it was"`
	Detail        string         `json:"detail,omitempty" doc:"as the scanner says it"`
	Findings      map[string]int `json:"findings" doc:"active, by severity"`
}

// Components are the core components of a cluster as its last full scan saw them.
type Components struct {
	TargetID int64       `json:"targetId,string"`
	Target   string      `json:"target"`
	At       *store.Time `json:"at,omitempty" format:"date-time" doc:"of the scan; absent: there was none yet"`
	Managed  bool        `json:"managed" doc:"a provider runs the control plane"`
	Cut      bool        `json:"cut,omitempty" doc:"there were more than are kept"`
	Items    []Component `json:"items"`
}

// componentReasons are the texts of Component.ReasonCode.
var componentReasons = map[string][2]string{
	"not-container": {"It cannot be scanned because it does not run as a container: its files are on the nodes.", "无法扫描：该组件不以容器方式运行，其文件位于节点上。"},
	"managed":       {"It cannot be scanned because the provider of the cluster runs it.", "无法扫描：该组件由集群服务商托管。"},
	"pods-unread":   {"It is not known whether it runs: the pods of the cluster could not be read.", "无法判断是否运行：未能读取集群的 Pod。"},
	"image-unread":  {"It cannot be scanned because its image could not be read.", "无法扫描：未能读取其镜像。"},
	"absent":        {"It was not found in this cluster.", "在此集群中未发现该组件。"},
	"node-program":  {"Its version is known from the nodes; its files cannot be scanned through the API.", "版本信息来自节点；无法通过 API 扫描其文件。"},
	"limited":       {"Its image was read, but not all of it could be judged: it may have more vulnerabilities.", "镜像已读取，但部分内容无法判定（例如缺少漏洞情报）：可能存在未发现的漏洞。"},
}

// expected is the table of what is looked for, in its order.
var expected = []struct{ family, group, name string }{
	{"kubernetes", "kube-system", inventory.APIServer}, {"kubernetes", "kube-system", inventory.ControllerManager},
	{"kubernetes", "kube-system", inventory.Scheduler}, {"kubernetes", "kube-system", inventory.Etcd},
	{"kubernetes", "kube-system", inventory.KubeProxy}, {"kubernetes", "kube-system", "coredns"},
	{"kubernetes", "kube-system", "metrics-server"}, {"kubernetes", "kube-system", "calico/node"},
	{"kubernetes", "kube-system", "weaveworks/weave-kube"},
	{"harbor", "goharbor", "harbor-core"}, {"harbor", "goharbor", "harbor-portal"}, {"harbor", "goharbor", "harbor-registry"},
	{"harbor", "goharbor", "harbor-jobservice"}, {"harbor", "goharbor", "trivy-adapter"}, {"harbor", "goharbor", "redis"},
	{"harbor", "goharbor", "PostgreSQL"},
	{"bintray", "docker.bintray.io", "artifactory-pro"}, {"bintray", "docker.bintray.io", "fluentd"}, {"bintray", "docker.bintray.io", "bitnami/nginx"},
	{"jfrog", "releases.jfrog.io", "artifactory-pro"}, {"jfrog", "releases.jfrog.io", "xray-server"},
	{"jfrog", "releases.jfrog.io", "pipelines"}, {"jfrog", "releases.jfrog.io", "distribution"},
}

// Components tells the core components of a cluster that v sees as a whole.
func (s *Service) Components(ctx context.Context, v identity.Visible, target int64, lang string) (*Components, error) {
	var cluster struct {
		Name, Version string
		Managed       bool
	}
	err := s.db.R.NewRaw("SELECT t.name, c.version, c.managed FROM clusters c JOIN targets t ON t.id = c.target_id WHERE c.target_id = ? AND t.removed_at = 0", target).Scan(ctx, &cluster)
	if err = store.NotFound(err); err != nil {
		return nil, err
	}
	if !v.Whole(target) {
		return nil, store.ErrNotFound
	}
	out := &Components{TargetID: target, Target: cluster.Name, Managed: cluster.Managed, Items: []Component{}}
	survey, at, err := s.survey(ctx, target)
	if err != nil {
		return nil, err
	}
	if survey == nil {
		return out, nil
	}
	out.At, out.Cut = at, survey.Cut
	out.assemble(survey, cluster.Version)
	if err := s.locate(ctx, target, out.Items); err != nil {
		return nil, err
	}
	for i := range out.Items {
		c := &out.Items[i]
		c.Reason = reasonFor(componentReasons, c.ReasonCode, lang)
	}
	return out, nil
}

func (s *Service) survey(ctx context.Context, target int64) (*inventory.CoreSurvey, *store.Time, error) {
	var row struct {
		At   store.Time
		Body string
	}
	err := s.db.R.NewRaw("SELECT at, body FROM cluster_components WHERE target_id = ?", target).Scan(ctx, &row)
	if err = store.NotFound(err); errors.Is(err, store.ErrNotFound) {
		return nil, nil, nil
	} else if err != nil {
		return nil, nil, err
	}
	survey := new(inventory.CoreSurvey)
	if err := json.Unmarshal([]byte(row.Body), survey); err != nil {
		return nil, nil, fmt.Errorf("core components of cluster %d: %w", target, err)
	}
	return survey, &row.At, nil
}

// assemble puts what was seen into the order of the table, and what was not seen beside it.
func (out *Components) assemble(survey *inventory.CoreSurvey, version string) {
	for _, e := range expected {
		n := len(out.Items)
		for _, c := range survey.Components {
			if c.Name == e.name && c.Group == e.group {
				out.Items = append(out.Items, sighted(e.family, c))
			}
		}
		if len(out.Items) == n {
			out.Items = append(out.Items, Component{Name: e.name, Family: e.family, How: "not-found", ReasonCode: "absent", Findings: map[string]int{}})
		}
	}
	for i := range out.Items {
		c := &out.Items[i]
		if c.Name == inventory.APIServer && c.Version == "" && version != "" {
			c.Version, c.VersionSource = version, "api"
		}
	}
	for _, program := range []struct {
		name string
		of   func(inventory.NodePrograms) string
	}{
		{inventory.Kubelet, func(n inventory.NodePrograms) string { return n.Kubelet }},
		{"", func(n inventory.NodePrograms) string { return n.Runtime }},
	} {
		out.programs(survey.Nodes, program.name, program.of)
	}
}

// programs adds what nodes say that they run, versions apart. name "" is in the value: "containerd://1.7.27".
func (out *Components) programs(nodes []inventory.NodePrograms, name string, of func(inventory.NodePrograms) string) {
	from := len(out.Items)
	for _, n := range nodes {
		what, version := name, of(n)
		if what == "" {
			what, version, _ = strings.Cut(version, "://")
		}
		if what == "" || version == "" {
			continue
		}
		i := slices.IndexFunc(out.Items[from:], func(c Component) bool { return c.Name == what && c.Version == version })
		if i < 0 {
			i = len(out.Items) - from
			out.Items = append(out.Items, Component{Name: what, Family: "node", Found: true, How: "node-info", Version: version, VersionSource: "node-info",
				ReasonCode: "node-program", Findings: map[string]int{}})
		}
		c := &out.Items[from+i]
		c.NodeCount += n.Count
		if c.Nodes = append(c.Nodes, n.Nodes...); len(c.Nodes) > 5 {
			c.Nodes = c.Nodes[:5]
		}
	}
	slices.SortStableFunc(out.Items[from:], func(a, b Component) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), b.NodeCount-a.NodeCount, strings.Compare(a.Version, b.Version))
	})
}

// sighted is a component that the scan told of.
func sighted(family string, c inventory.CoreSighting) Component {
	out := Component{Name: c.Name, Family: family, Found: c.Image != "", How: "not-found", Namespace: c.Namespace, Object: c.Workload, Objects: c.Workloads,
		Nodes: c.Nodes, NodeCount: c.NodeCount, Image: c.Image, Version: c.Version, Findings: map[string]int{}}
	if c.Version != "" {
		out.VersionSource = "tag"
	}
	switch {
	case c.Image != "" && c.Static:
		out.How = "static-pod"
	case c.Image != "":
		out.How = "pod"
	}
	switch c.NotScanned {
	case "":
	case inventory.CoreNotContainer:
		out.ReasonCode = "not-container"
	case inventory.CoreByProvider:
		out.ReasonCode = "managed"
	case inventory.CorePodsUnread:
		out.ReasonCode = "pods-unread"
	default:
		out.ReasonCode, out.Detail = "image-unread", strings.TrimPrefix(c.NotScanned, "its image could not be read: ")
	}
	return out
}

// locate finds the images of components among the assets, whether they were read, and what they have.
func (s *Service) locate(ctx context.Context, target int64, items []Component) error {
	var images []string
	for _, c := range items {
		if c.Image != "" && !slices.Contains(images, c.Image) {
			images = append(images, c.Image)
		}
	}
	if len(images) == 0 {
		return nil
	}
	var rows []struct {
		ID                                int64
		Name, Digest                      string
		Critical, High, Medium, Low, Info int
		Known                             bool
		WorkloadID                        int64
		GroupKind, Namespace, Workload    string
	}
	err := s.db.R.NewRaw(`SELECT a.id, a.name, a.digest, a.critical, a.high, a.medium, a.low, a.info,
		EXISTS (SELECT 1 FROM inventory_names n WHERE n.name = CASE WHEN a.digest <> '' THEN a.digest ELSE a.name END) AS known,
		coalesce(w.id, 0) AS workload_id, coalesce(w.group_kind, '') AS group_kind, coalesce(w.namespace, '') AS namespace, coalesce(w.name, '') AS workload
		FROM assets a LEFT JOIN asset_uses u ON u.image_id = a.id LEFT JOIN assets w ON w.id = u.workload_id
		WHERE a.target_id = ? AND a.kind = ? AND a.gone_at = 0 AND a.name IN (?) ORDER BY a.id LIMIT 5000`, target, ledger.AssetImage, bun.List(images)).Scan(ctx, &rows)
	if err != nil {
		return err
	}
	limits, err := s.gapsOf(ctx, assetsOf(target, images))
	if err != nil {
		return err
	}
	for i := range items {
		c := &items[i]
		best := -1
		for j, r := range rows {
			if r.Name != c.Image {
				continue
			}
			kind, _, _ := strings.Cut(r.GroupKind, ".")
			same := c.Object == inventory.Ref{Kind: kind, Namespace: r.Namespace, Name: r.Workload}.String()
			if best < 0 || same {
				best = j
			}
			if same {
				break
			}
		}
		if best < 0 {
			if c.Image != "" && c.ReasonCode == "" {
				c.ReasonCode = "image-unread"
			}
			continue
		}
		r := rows[best]
		c.AssetID, c.Digest, c.WorkloadID, c.Scanned = r.ID, r.Digest, r.WorkloadID, r.Known
		for word, n := range map[string]int{"critical": r.Critical, "high": r.High, "medium": r.Medium, "low": r.Low, "info": r.Info} {
			if n > 0 {
				c.Findings[word] = n
			}
		}
		g := limits[[2]any{target, c.Image}]
		switch {
		case !r.Known && c.ReasonCode == "":
			c.ReasonCode, c.Detail = "image-unread", g.unread
		case r.Known && g.limited:
			c.ReasonCode, c.Detail = "limited", ""
		case r.Known:
			c.ReasonCode, c.Detail = "", ""
		}
	}
	return nil
}

func assetsOf(target int64, images []string) []browse.Asset {
	out := make([]browse.Asset, len(images))
	for i, name := range images {
		out[i] = browse.Asset{TargetID: target, Name: name}
	}
	return out
}
