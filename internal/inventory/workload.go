package inventory

import (
	"slices"
	"strings"
)

// newWorkload reads the workload id from the object o, which is the workload itself or one of its pods, ReplicaSets or
// Jobs.
func newWorkload(o *Object, id Ref, static bool) *Workload {
	pod, path := o.PodTemplate()
	spec, meta := Map(pod, "spec"), Map(pod, "metadata")
	w := &Workload{Ref: id, Static: static, Origin: o.Origin, Path: path, Replicas: 1, provisional: !static && id != o.Ref(),
		Labels: StrMap(meta, "labels"), Annotations: StrMap(meta, "annotations"),
		ServiceAccount: Str(spec, "serviceAccountName"), Automount: boolAt(spec, "automountServiceAccountToken"),
		HostNetwork: Bool(spec, false, "hostNetwork"), HostPID: Bool(spec, false, "hostPID"),
		HostIPC: Bool(spec, false, "hostIPC"), HostUsers: boolAt(spec, "hostUsers"),
		PullSecrets: names(spec, "imagePullSecrets"), NodeSelector: StrMap(spec, "nodeSelector")}
	delete(w.Annotations, lastApplied)
	if w.ServiceAccount == "" {
		w.ServiceAccount = Str(spec, "serviceAccount") // the deprecated alias
	}
	if w.ServiceAccount == "" {
		w.ServiceAccount = "default"
	}
	if n, ok := Int(o.Content, "spec", "replicas"); ok && o.Kind != "Pod" {
		w.Replicas = n
	}
	for _, ref := range o.Containers() {
		w.Containers = append(w.Containers, newContainer(spec, ref))
	}
	w.Volumes = newVolumes(spec, JoinKey(path, "spec"))
	if o.Kind == "Pod" {
		w.addPod(o)
	}
	return w
}

// fold adds the running pod o to its workload and returns the names of containers that the workload lacked.
func (w *Workload) fold(o *Object) (extra []string) {
	pod, _ := o.PodTemplate()
	spec := Map(pod, "spec")
	for _, ref := range o.Containers() {
		if w.container(ref.Name) == nil {
			w.Containers = append(w.Containers, newContainer(spec, ref))
			extra = append(extra, ref.Name)
		}
	}
	if o.Kind == "Pod" {
		w.addPod(o)
	}
	return extra
}

// settle takes over what the owning object itself says, after its pods had been read before it, and returns the names
// of containers that no pod had.
func (w *Workload) settle(top *Workload) (extra []string) {
	pods, nodes, seen := w.Pods, w.Nodes, w.Containers
	*w = *top
	w.Pods, w.Nodes = pods, nodes
	for i := range w.Containers {
		c := &w.Containers[i]
		if j := slices.IndexFunc(seen, func(s Container) bool { return s.Name == c.Name }); j >= 0 {
			if len(seen[j].Digests) > 0 {
				c.Digests = seen[j].Digests
			}
		} else {
			extra = append(extra, c.Name)
		}
	}
	for _, s := range seen {
		if w.container(s.Name) == nil {
			w.Containers = append(w.Containers, s)
		}
	}
	return extra
}

func (w *Workload) container(name string) *Container {
	for i := range w.Containers {
		if w.Containers[i].Name == name {
			return &w.Containers[i]
		}
	}
	return nil
}

// addPod counts a pod and takes its node and the digests of its images.
func (w *Workload) addPod(o *Object) {
	if Str(o.Content, "status", "phase") == "Running" {
		w.Pods++
	}
	if node := Str(o.Content, "spec", "nodeName"); node != "" {
		if i, known := slices.BinarySearch(w.Nodes, node); !known {
			w.Nodes = slices.Insert(w.Nodes, i, node)
		}
	}
	for _, list := range [...]string{"containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"} {
		for _, v := range List(o.Content, "status", list) {
			m, ok := v.(map[string]any)
			if !ok {
				continue
			}
			c := w.container(Str(m, "name"))
			if d := ImageDigest(Str(m, "imageID")); c != nil && d != "" {
				if i, known := slices.BinarySearch(c.Digests, d); !known {
					c.Digests = slices.Insert(c.Digests, i, d)
				}
			}
		}
	}
}

// ImageDigest returns the manifest digest in a container status's imageID: "docker-pullable://repo@sha256:...". An ID
// without a repository is that of the image's configuration on one node and finds nothing in a registry.
func ImageDigest(id string) string {
	if i := strings.LastIndexByte(id, '@'); i >= 0 && strings.Contains(id[i:], ":") {
		return id[i+1:]
	}
	return ""
}

func newContainer(podSpec map[string]any, ref ContainerRef) Container {
	m := ref.Content
	c := Container{Name: ref.Name, Type: ref.Type, Path: ref.Path, Image: Str(m, "image"),
		Privileged: Bool(m, false, "securityContext", "privileged"),
		CapAdd:     Strs(m, "securityContext", "capabilities", "add"),
		Command:    Strs(m, "command"), Args: Strs(m, "args")}
	if uid, ok := Int(m, "securityContext", "runAsUser"); ok {
		c.RunAsUser = &uid
	} else if uid, ok := Int(podSpec, "securityContext", "runAsUser"); ok {
		c.RunAsUser = &uid
	}
	if i := strings.LastIndex(c.Image, "@sha256:"); i >= 0 {
		c.Digests = []string{c.Image[i+1:]}
	}
	for _, v := range List(m, "ports") {
		p, ok := v.(map[string]any)
		if !ok {
			continue
		}
		port := Port{Name: Str(p, "name"), Protocol: Str(p, "protocol")}
		if port.Protocol == "" {
			port.Protocol = "TCP"
		}
		port.Container, _ = Int(p, "containerPort")
		port.Host, _ = Int(p, "hostPort")
		c.Ports = append(c.Ports, port)
	}
	for _, v := range List(m, "volumeMounts") {
		if p, ok := v.(map[string]any); ok {
			c.Mounts = append(c.Mounts, Mount{Volume: Str(p, "name"), Path: Str(p, "mountPath"),
				SubPath: Str(p, "subPath") + Str(p, "subPathExpr"), ReadOnly: Bool(p, false, "readOnly")})
		}
	}
	c.EnvSecrets = envSecrets(m, ref.Path)
	return c
}

func envSecrets(container map[string]any, path string) []SecretUse {
	var out []SecretUse
	for i, v := range List(container, "env") {
		m, _ := v.(map[string]any)
		if ref := Map(m, "valueFrom", "secretKeyRef"); ref != nil {
			out = append(out, SecretUse{Str(ref, "name"), Str(ref, "key"),
				JoinIndex(JoinKey(path, "env"), i) + ".valueFrom.secretKeyRef"})
		}
	}
	for i, v := range List(container, "envFrom") {
		m, _ := v.(map[string]any)
		if ref := Map(m, "secretRef"); ref != nil {
			out = append(out, SecretUse{Str(ref, "name"), "", JoinIndex(JoinKey(path, "envFrom"), i) + ".secretRef"})
		}
	}
	return out
}

func newVolumes(spec map[string]any, path string) []Volume {
	var out []Volume
	for i, v := range List(spec, "volumes") {
		m, ok := v.(map[string]any)
		if !ok {
			continue
		}
		vol := Volume{Name: Str(m, "name"), Path: JoinIndex(JoinKey(path, "volumes"), i), Kind: "emptyDir"}
		var kinds []string
		for k, src := range m {
			if _, isMap := src.(map[string]any); isMap {
				kinds = append(kinds, k)
			}
		}
		if len(kinds) > 0 {
			vol.Kind = slices.Min(kinds)
		}
		src := Map(m, vol.Kind)
		switch vol.Kind {
		case "hostPath":
			vol.HostPath, vol.HostType = Str(src, "path"), Str(src, "type")
		case "persistentVolumeClaim":
			vol.Claim = Str(src, "claimName")
		case "image":
			vol.Image = Str(src, "reference")
		case "secret":
			vol.addSecret(Str(src, "secretName"))
		case "configMap":
			vol.addConfigMap(Str(src, "name"))
		case "projected":
			vol.project(src)
		default:
			vol.sourceSecrets(src)
		}
		out = append(out, vol)
	}
	return out
}

func (v *Volume) addSecret(name string) {
	if name != "" {
		v.Secrets = append(v.Secrets, name)
	}
}

func (v *Volume) addConfigMap(name string) {
	if name != "" {
		v.ConfigMaps = append(v.ConfigMaps, name)
	}
}

func (v *Volume) project(src map[string]any) {
	for _, s := range List(src, "sources") {
		m, ok := s.(map[string]any)
		if !ok {
			continue
		}
		v.addSecret(Str(m, "secret", "name"))
		v.addConfigMap(Str(m, "configMap", "name"))
		if token := Map(m, "serviceAccountToken"); token != nil {
			v.TokenAud = append(v.TokenAud, Str(token, "audience"))
		}
	}
}

// sourceSecrets takes the Secrets that storage drivers log in with.
func (v *Volume) sourceSecrets(src map[string]any) {
	v.addSecret(Str(src, "secretRef", "name"))
	v.addSecret(Str(src, "nodePublishSecretRef", "name")) // csi
	v.addSecret(Str(src, "secretName"))                   // azureFile
}
