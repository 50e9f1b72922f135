package parity

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/scan"
)

// edge changes fields of a pod that keeps to the restricted profile. Paths are words; they begin with metadata, spec or
// container. Values are JSON; an empty value removes the field.
type edge map[string]string

// absent removes a field.
const absent = ""

// oneField lists values of single fields.
var oneField = map[string][]string{
	"metadata annotations container.apparmor.security.beta.kubernetes.io/app":   {`"unconfined"`, `"runtime/default"`, `"localhost/app"`, `"localhost"`, `""`},
	"metadata annotations container.apparmor.security.beta.kubernetes.io/other": {`"unconfined"`},
	"metadata annotations container.seccomp.security.alpha.kubernetes.io/app":   {`"unconfined"`},
	"spec hostNetwork":                  {`true`, `false`, `null`},
	"spec hostPID":                      {`true`, `false`},
	"spec hostIPC":                      {`true`, `false`},
	"spec securityContext":              {absent, `null`, `{}`},
	"spec securityContext runAsNonRoot": {absent, `null`, `false`},
	"spec securityContext runAsUser":    {`0`, `1`},
	"spec securityContext seLinuxOptions": {`null`, `{}`, `{"type": ""}`, `{"type": "container_t"}`, `{"type": "container_init_t"}`,
		`{"type": "container_kvm_t"}`, `{"type": "container_engine_t"}`, `{"type": "spc_t"}`, `{"level": "s0:c1"}`, `{"user": "u"}`, `{"role": "r"}`},
	"spec securityContext appArmorProfile": {`null`, `{"type": "RuntimeDefault"}`, `{"type": "Localhost", "localhostProfile": "a"}`, `{"type": "Unconfined"}`},
	"spec securityContext seccompProfile":  {absent, `null`, `{"type": "Localhost", "localhostProfile": "a"}`, `{"type": "Unconfined"}`},
	"spec securityContext windowsOptions":  {`null`, `{}`, `{"hostProcess": false}`, `{"hostProcess": true}`},
	"spec securityContext sysctls": {`null`, `[]`, `[{"name": "kernel.shm_rmid_forced", "value": "1"}, {"name": "net.ipv4.tcp_wmem", "value": "1"}]`,
		`[{"name": "net.ipv4.tcp_rmem", "value": "1"}, {"name": "net.core.somaxconn", "value": "1"}]`, `[{"name": "net/ipv4/tcp_syncookies", "value": "1"}]`,
		`[{"name": "kernel.msgmax", "value": "1"}]`, `[{"name": "vm.swappiness", "value": "1"}]`, `[{"name": "net.ipv4.tcp_syncookies", "value": "1\n"}]`},
	"container ports":                                    {`null`, `[]`, `[{"containerPort": 80}]`, `[{"containerPort": 80, "hostPort": 0}]`, `[{"containerPort": 80}, {"containerPort": 81, "hostPort": 81}]`},
	"container securityContext":                          {absent, `null`, `{}`},
	"container securityContext privileged":               {`null`, `false`, `true`},
	"container securityContext allowPrivilegeEscalation": {absent, `null`, `true`},
	"container securityContext procMount":                {`null`, `"Default"`, `"Unmasked"`},
	"container securityContext runAsNonRoot":             {`null`, `true`, `false`},
	"container securityContext runAsUser":                {`null`, `0`, `1`},
	"container securityContext seLinuxOptions":           {`null`, `{}`, `{"type": "container_t"}`, `{"type": "spc_t"}`, `{"type": "container_t", "user": "u"}`, `{"role": "r"}`},
	"container securityContext appArmorProfile":          {`null`, `{"type": "RuntimeDefault"}`, `{"type": "Unconfined"}`},
	"container securityContext seccompProfile":           {`null`, `{"type": "RuntimeDefault"}`, `{"type": "Unconfined"}`},
	"container securityContext windowsOptions":           {`null`, `{"hostProcess": false}`, `{"hostProcess": true}`},
	"container securityContext capabilities":             {absent, `null`, `{}`},
	"container securityContext capabilities drop":        {`null`, `[]`, `["all"]`, `["CAP_ALL"]`, `["NET_RAW"]`, `["NET_RAW", "ALL"]`},
	"container securityContext capabilities add":         {`null`, `[]`, `["NET_BIND_SERVICE"]`, `["CHOWN"]`, `["MKNOD"]`, `["NET_RAW"]`, `["SYS_ADMIN"]`, `["ALL"]`, `["all"]`, `["CAP_CHOWN"]`, `["chown"]`, `["CAP_NET_BIND_SERVICE"]`},
	"container livenessProbe":                            {`{"httpGet": {"port": 80}}`, `{"httpGet": {"port": 80, "host": ""}}`, `{"httpGet": {"port": 80, "host": "h"}}`, `{"exec": {"command": ["x"]}}`},
	"container readinessProbe":                           {`null`, `{"tcpSocket": {"port": 80, "host": "h"}}`, `{"tcpSocket": {"port": 80}}`},
	"container startupProbe":                             {`{"httpGet": {"port": 80, "host": "127.0.0.1"}}`, `{"grpc": {"port": 80}}`},
	"container lifecycle":                                {`{"postStart": {"httpGet": {"port": 80, "host": "h"}}}`, `{"preStop": {"tcpSocket": {"port": 80, "host": "h"}}}`, `{"preStop": {"exec": {"command": ["x"]}}}`},
	"spec volumes":                                       {`null`, `[]`, `[{"name": "v"}]`, `[{"name": "v", "hostPath": {"path": "/data"}}]`, `[{"name": "a", "emptyDir": {}}, {"name": "v", "hostPath": {"path": "/var/run/docker.sock"}}]`},
	"spec hostUsers":                                     {`true`, `false`},
}

// volumeTypes are all there are, allowed or not.
var volumeTypes = []string{"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim", "projected",
	"secret", "awsElasticBlockStore", "azureDisk", "azureFile", "cephfs", "cinder", "fc", "flexVolume", "flocker", "gcePersistentDisk",
	"gitRepo", "glusterfs", "iscsi", "nfs", "photonPersistentDisk", "portworxVolume", "quobyte", "rbd", "scaleIO", "storageos", "vsphereVolume"}

// severalFields are fields that overrule each other.
var severalFields = []edge{
	{"spec securityContext runAsNonRoot": absent, "container securityContext runAsUser": `1000`},
	{"spec securityContext runAsNonRoot": absent, "container securityContext runAsNonRoot": `true`},
	{"spec securityContext runAsNonRoot": `false`, "container securityContext runAsNonRoot": `true`},
	{"spec securityContext runAsUser": `0`, "container securityContext runAsUser": `1000`},
	{"spec securityContext seccompProfile": absent, "container securityContext seccompProfile": `{"type": "RuntimeDefault"}`},
	{"spec securityContext seccompProfile": `{"type": "Unconfined"}`, "container securityContext seccompProfile": `{"type": "RuntimeDefault"}`},
	{"spec securityContext appArmorProfile": `{"type": "Unconfined"}`, "container securityContext appArmorProfile": `{"type": "RuntimeDefault"}`},
	{"spec os": `{"name": "linux"}`, "container securityContext": absent},
	{"spec os": `{"name": "windows"}`, "spec securityContext": `{"runAsNonRoot": true}`, "container securityContext": absent},
	{"spec os": `{"name": "windows"}`, "spec securityContext": absent, "container securityContext": absent},
	{"spec os": `{"name": "windows"}`, "spec securityContext": `{"windowsOptions": {"hostProcess": true}}`, "container securityContext": absent, "spec hostNetwork": `true`},
	{"spec hostUsers": `false`, "container securityContext procMount": `"Unmasked"`},
	{"spec hostUsers": `true`, "container securityContext procMount": `"Unmasked"`},
}

// shapes are the places a pod or a container can be in. Each takes the pod's metadata and spec and the container.
var shapes = map[string]func(meta, spec, container map[string]any) map[string]any{
	"Pod": func(meta, spec, container map[string]any) map[string]any {
		spec["containers"] = []any{container}
		return map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}
	},
	"init container": func(meta, spec, container map[string]any) map[string]any {
		spec["containers"], spec["initContainers"] = []any{restrictedContainer("main")}, []any{container}
		return map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}
	},
	"ephemeral container": func(meta, spec, container map[string]any) map[string]any {
		spec["containers"], spec["ephemeralContainers"] = []any{restrictedContainer("main")}, []any{container}
		return map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}
	},
	"second container": func(meta, spec, container map[string]any) map[string]any {
		spec["containers"] = []any{restrictedContainer("main"), container}
		return map[string]any{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": map[string]any{"name": "app"},
			"spec": map[string]any{"template": map[string]any{"metadata": meta, "spec": spec}}}
	},
	"CronJob": func(meta, spec, container map[string]any) map[string]any {
		spec["containers"] = []any{container}
		job := map[string]any{"template": map[string]any{"metadata": meta, "spec": spec}}
		return map[string]any{"apiVersion": "batch/v1", "kind": "CronJob", "metadata": map[string]any{"name": "app"},
			"spec": map[string]any{"schedule": "@daily", "jobTemplate": map[string]any{"spec": job}}}
	},
	"user namespace": func(meta, spec, container map[string]any) map[string]any {
		spec["containers"], spec["hostUsers"] = []any{container}, false
		return map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}
	},
}

// restrictedContainer keeps to the restricted profile.
func restrictedContainer(name string) map[string]any {
	return map[string]any{"name": name, "image": "registry.example.com/app:1", "securityContext": map[string]any{
		"allowPrivilegeEscalation": false, "capabilities": map[string]any{"drop": []any{"ALL"}}}}
}

// podSecurityCases are the edges of every check in every shape.
func podSecurityCases(t *testing.T) []caseObject {
	t.Helper()
	edges := append([]edge{{}}, severalFields...)
	for _, path := range slices.Sorted(maps.Keys(oneField)) {
		for _, value := range oneField[path] {
			edges = append(edges, edge{path: value})
		}
	}
	for _, kind := range volumeTypes {
		edges = append(edges, edge{"spec volumes": fmt.Sprintf(`[{"name": "v", %q: {}}]`, kind)})
	}
	var out []caseObject
	for _, shape := range slices.Sorted(maps.Keys(shapes)) {
		for _, e := range edges {
			parts := map[string]any{
				"metadata": map[string]any{"name": "app"},
				"spec": map[string]any{"securityContext": map[string]any{
					"runAsNonRoot": true, "seccompProfile": map[string]any{"type": "RuntimeDefault"}}},
				"container": restrictedContainer("app"),
			}
			for path, value := range e {
				change(t, parts, strings.Fields(path), value)
			}
			part := func(name string) map[string]any { return parts[name].(map[string]any) }
			text, err := json.Marshal(shapes[shape](part("metadata"), part("spec"), part("container")))
			if err != nil {
				t.Fatal(err)
			}
			name := fmt.Sprintf("%s with %v", shape, map[string]string(e))
			objects, problems := scan.ParseCase("case.yaml", text)
			if len(objects) != 1 || len(problems) > 0 {
				t.Fatalf("%s: %d objects, %v", name, len(objects), problems)
			}
			inventory.DropNulls(objects[0].Content) // as the scan does
			out = append(out, caseObject{name, objects[0]})
		}
	}
	return out
}

// change sets or removes one field.
func change(t *testing.T, m map[string]any, path []string, value string) {
	t.Helper()
	for _, key := range path[:len(path)-1] {
		next, ok := m[key].(map[string]any)
		if !ok {
			next = map[string]any{}
			m[key] = next
		}
		m = next
	}
	last := path[len(path)-1]
	if value == absent {
		delete(m, last)
		return
	}
	var v any
	if err := json.Unmarshal([]byte(value), &v); err != nil {
		t.Fatalf("%v: %v", path, err)
	}
	m[last] = v
}
