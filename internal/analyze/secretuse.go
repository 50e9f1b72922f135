package analyze

import (
	"slices"
	"sort"
	"strings"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
)

// secretUseAnalyzers are the checks of Secrets and storage that take more than one object.
var secretUseAnalyzers = []Analyzer{
	{Name: "secret-used-by-many", Cluster: secretUsedByMany},
	{Name: "unused-secret", Cluster: unusedSecret},
	{Name: "absent-secret-reference", Cluster: absentSecretReference},
	{Name: "external-secret-store-absent", Cluster: externalSecretStoreAbsent},
	{Name: "volume-reused-across-namespaces", Cluster: volumeReused},
	{Name: "storage-not-encrypted", Cluster: storageNotEncrypted},
}

// usage is who uses which Secret.
type usage struct {
	workloads map[string][]*inventory.Workload // by namespace/name
	others    map[string]bool                  // referenced by something else
}

func (c *Context) usage() *usage {
	return c.graphs().usage.get(func() *usage {
		u := &usage{workloads: map[string][]*inventory.Workload{}, others: map[string]bool{}}
		for _, w := range c.Cluster.Workloads {
			for _, s := range secretsOf(w) {
				u.workloads[w.Ref.Namespace+"/"+s] = append(u.workloads[w.Ref.Namespace+"/"+s], w)
			}
			for _, s := range w.PullSecrets {
				u.others[w.Ref.Namespace+"/"+s] = true
			}
		}
		for _, sa := range c.Cluster.ServiceAccounts {
			for _, s := range append(slices.Clone(sa.Secrets), sa.PullSecrets...) {
				u.others[sa.Namespace+"/"+s] = true
			}
		}
		for kind, objects := range c.Cluster.Objects {
			if kind == "Event" || kind == "EndpointSlice.discovery.k8s.io" {
				continue
			}
			for _, o := range objects {
				secretWords(o.Content, false, func(namespace, name string) {
					u.others[or(namespace, o.Namespace)+"/"+name] = true
				})
			}
		}
		return u
	})
}

// secretWords calls visit for every string under a key that speaks of secrets or certificates: Ingress TLS, certificate
// references of Gateways, parameters of storage classes, and whatever custom resources have.
func secretWords(v any, within bool, visit func(namespace, name string)) {
	switch v := v.(type) {
	case string:
		if within {
			visit("", v)
		}
	case []any:
		for _, e := range v {
			secretWords(e, within, visit)
		}
	case map[string]any:
		namespace := inventory.Str(v, "namespace")
		for k, e := range v {
			lower := strings.ToLower(k)
			in := within || strings.Contains(lower, "secret") || strings.Contains(lower, "certificate") || strings.Contains(lower, "credential")
			if s, ok := e.(string); ok && in && namespace != "" {
				visit(namespace, s)
			}
			secretWords(e, in, visit)
		}
	}
}

const tokenType = "kubernetes.io/service-account-token"

func secretUsedByMany(ctx *Context, report func(Problem)) {
	limit := int(ctx.number("workloads", 5))
	u := ctx.usage()
	for _, s := range ctx.Cluster.Secrets {
		users := u.workloads[s.Ref.Namespace+"/"+s.Ref.Name]
		if len(users) <= limit || s.Type == "kubernetes.io/tls" || strings.HasPrefix(s.Type, "kubernetes.io/dockerc") {
			continue // one certificate for a wildcard name, and pull secrets, are meant to be shared
		}
		p := Problem{Ref: s.Ref, Origin: s.Origin}
		p.Evidence = []finding.Evidence{{Path: "metadata.name", Found: refs(users)[:min(len(users), 20)], Want: "a Secret for each use"}}
		p.Message = join(say("%s is used by %d workloads: ", "%s 被 %d 个工作负载使用：", s.Ref, len(users)), list(refs(users)))
		report(p)
	}
}

// managedSecrets are types of Secrets that are used without being referred to.
var managedSecrets = []string{tokenType, "helm.sh/release.v1", "bootstrap.kubernetes.io/token", "kubernetes.io/dockercfg"}

func unusedSecret(ctx *Context, report func(Problem)) {
	if !ctx.Known(append([]string{"Secret", "ServiceAccount"}, workloadKinds...)...) {
		return
	}
	u := ctx.usage()
	for _, s := range ctx.Cluster.Secrets {
		key := s.Ref.Namespace + "/" + s.Ref.Name
		if u.others[key] || len(u.workloads[key]) > 0 || slices.Contains(managedSecrets, s.Type) || inventory.SystemNamespace(s.Ref.Namespace) || runByController(s) {
			continue
		}
		p := Problem{Ref: s.Ref, Origin: s.Origin}
		p.Evidence = []finding.Evidence{{Path: "metadata.name", Found: s.Keys, Want: "a use, or no Secret"}}
		p.Message = say("nothing in the cluster refers to %s (%d keys)", "集群中没有任何对象引用 %s（%d 个键）", s.Ref, len(s.Keys))
		report(p)
	}
}

// runByController reports whether labels tell that a program of its own reads the Secret by the API.
func runByController(s *inventory.SecretMeta) bool {
	for k := range s.Labels {
		if k == "owner" || strings.Contains(k, "argocd.argoproj.io/secret-type") || strings.HasPrefix(k, "controller.cert-manager.io") ||
			strings.HasPrefix(k, "sealedsecrets.bitnami.com") || strings.HasPrefix(k, "cluster.x-k8s.io") {
			return true
		}
	}
	return strings.Contains(s.Ref.Name, "webhook") || strings.HasSuffix(s.Ref.Name, "-ca") // certificates that operators keep
}

// absentSecretReference finds references that cannot be optional: a name that stays free is one that others can fill.
func absentSecretReference(ctx *Context, report func(Problem)) {
	if !ctx.Known("Secret") {
		return
	}
	c := ctx.Cluster
	have := map[string]bool{}
	for _, s := range c.Secrets {
		have[s.Ref.Namespace+"/"+s.Ref.Name] = true
	}
	for _, w := range c.Workloads {
		for i, name := range w.PullSecrets {
			if have[w.Ref.Namespace+"/"+name] {
				continue
			}
			p := atWorkload(w)
			p.Item = name
			p.Evidence = []finding.Evidence{{Path: inventory.JoinIndex(podPath(w, "spec.imagePullSecrets"), i) + ".name", Found: name, Want: "a Secret that exists"}}
			p.Message = say("%s pulls images with Secret %s, which does not exist", "%s 拉取镜像使用的 Secret %s 不存在", w.Ref, name)
			report(p)
		}
	}
	for _, o := range c.Objects["Ingress.networking.k8s.io"] {
		for i, v := range inventory.List(o.Content, "spec", "tls") {
			m, _ := v.(map[string]any)
			name := inventory.Str(m, "secretName")
			if name == "" || have[o.Namespace+"/"+name] {
				continue
			}
			p := atObject(o)
			p.Item = name
			p.Evidence = []finding.Evidence{{Path: inventory.JoinIndex("spec.tls", i) + ".secretName", Found: name, Want: "a Secret that exists"}}
			p.Message = say("%s takes its certificate from Secret %s, which does not exist", "%s 的证书来自不存在的 Secret %s", o.Ref(), name)
			report(p)
		}
	}
}

// storeKinds are custom resources and drivers that bring secrets from a store outside the cluster.
var storeKinds = []string{"external-secrets.io", "secrets-store.csi.x-k8s.io", "secrets.hashicorp.com", "bitnami.com", "ricoberger.de", "kms.alibabacloud.com", "alibabacloud.com"}

// storeImages are parts of the images of programs that do.
var storeImages = []string{"external-secrets", "secrets-store-csi", "vault", "ack-secret-manager", "akeyless", "conjur", "infisical", "sealed-secrets"}

func externalSecretStoreAbsent(ctx *Context, report func(Problem)) {
	c := ctx.Cluster
	if !ctx.Known("Secret") || len(c.Secrets) == 0 {
		return
	}
	for kind, objects := range c.Objects {
		_, group, _ := strings.Cut(kind, ".")
		if len(objects) > 0 && slices.Contains(storeKinds, group) {
			return
		}
	}
	for _, w := range c.Workloads {
		for i := range w.Containers {
			if slices.ContainsFunc(storeImages, func(s string) bool { return strings.Contains(w.Containers[i].Image, s) }) {
				return
			}
		}
	}
	n := 0
	for _, s := range c.Secrets {
		if !slices.Contains(managedSecrets, s.Type) && !inventory.SystemNamespace(s.Ref.Namespace) {
			n++
		}
	}
	if n == 0 {
		return
	}
	p := atCluster(c)
	p.Evidence = []finding.Evidence{{Path: "metadata.name", Found: n, Want: "an external secret store"}}
	p.Message = say("%d Secrets are kept in the cluster, and no external secret store is in use", "集群中保存了 %d 个 Secret，未使用外部密钥管理系统", n)
	report(p)
}

// volumeReused finds volumes whose data outlives their claim and can be claimed from another namespace.
func volumeReused(ctx *Context, report func(Problem)) {
	for _, o := range ctx.Cluster.Objects["PersistentVolume"] {
		phase := inventory.Str(o.Content, "status", "phase")
		claim := inventory.Map(o.Content, "spec", "claimRef")
		policy := inventory.Str(o.Content, "spec", "persistentVolumeReclaimPolicy")
		p := atObject(o)
		switch {
		case phase == "Released" && policy == "Retain":
			p.Evidence = []finding.Evidence{{Path: "spec.persistentVolumeReclaimPolicy", Found: policy, Want: "the data erased, or the volume deleted"}}
			p.Message = say("PersistentVolume %s still has the data of claim %s/%s, which was deleted", "PersistentVolume %s 仍保留已删除的 PVC %s/%s 的数据", o.Name,
				inventory.Str(claim, "namespace"), inventory.Str(claim, "name"))
		case phase == "Available" && claim != nil && inventory.Str(claim, "uid") == "" && inventory.Str(claim, "namespace") == "":
			p.Evidence = []finding.Evidence{{Path: "spec.claimRef", Found: claim, Want: "claimRef.namespace"}}
			p.Message = say("PersistentVolume %s names its claim without a namespace, so any namespace can take it", "PersistentVolume %s 的 claimRef 未写命名空间，任何命名空间都可占用", o.Name)
		case policy == "Recycle":
			p.Evidence = []finding.Evidence{{Path: "spec.persistentVolumeReclaimPolicy", Found: policy, Want: "Delete"}}
			p.Message = say("PersistentVolume %s is handed to the next claim after a plain delete of its files", "PersistentVolume %s 仅删除文件后便交给下一个 PVC 使用", o.Name)
		default:
			continue
		}
		report(p)
	}
}

// encrypting maps provisioners to the parameters that ask for encryption. Providers that encrypt without being asked are
// not among them, nor is OpenEBS, whose local volumes are as encrypted as the disks below.
var encrypting = map[string][]string{
	"ebs.csi.aws.com":                 {"encrypted"},
	"kubernetes.io/aws-ebs":           {"encrypted"},
	"diskplugin.csi.alibabacloud.com": {"encrypted"},
	"everest-csi-provisioner":         {"everest.io/crypt-key-id"},
	"com.tencent.cloud.csi.cbs":       {"encrypt"},
	"driver.longhorn.io":              {"encrypted"},
	"rbd.csi.ceph.com":                {"encrypted"},
	"cephfs.csi.ceph.com":             {"encrypted"},
}

// driverOf takes away the namespace that Rook puts before the names of the Ceph drivers: "rook-ceph.rbd.csi.ceph.com".
func driverOf(provisioner string) string {
	for _, ceph := range []string{"rbd.csi.ceph.com", "cephfs.csi.ceph.com"} {
		if strings.HasSuffix(provisioner, "."+ceph) {
			return ceph
		}
	}
	return provisioner
}

func storageNotEncrypted(ctx *Context, report func(Problem)) {
	c := ctx.Cluster
	used := map[string]int{}
	for _, o := range c.Objects["PersistentVolume"] {
		used[inventory.Str(o.Content, "spec", "storageClassName")]++
	}
	classes := slices.Clone(c.Objects["StorageClass.storage.k8s.io"])
	sort.SliceStable(classes, func(i, j int) bool { return classes[i].Name < classes[j].Name })
	for _, o := range classes {
		provisioner := inventory.Str(o.Content, "provisioner")
		keys := encrypting[driverOf(provisioner)]
		if len(keys) == 0 {
			continue
		}
		value := inventory.Get(o.Content, "parameters", keys[0])
		if s, _ := value.(string); s != "" && !strings.EqualFold(s, "false") {
			continue
		}
		p := atObject(o)
		p.Evidence = []finding.Evidence{{Path: inventory.JoinKey("parameters", keys[0]), Found: value, Want: "encryption"}}
		p.Message = say("StorageClass %s makes volumes without asking %s for encryption (%d at present)", "StorageClass %s 创建卷时未向 %s 请求加密（目前 %d 个）", o.Name, provisioner, used[o.Name])
		report(p)
	}
}
