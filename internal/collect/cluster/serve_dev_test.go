package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"stockade.dev/stockade/e2e/lab"
)

func TestServeDev(t *testing.T) {
	ctx := context.Background()
	cp, err := lab.Start(ctx, lab.Config{Version: os.Getenv("LABV")})
	if err != nil {
		t.Fatal(err)
	}
	defer cp.Close()
	post := func(path string, body any) {
		data, _ := json.Marshal(body)
		for {
			resp, err := cp.Client().Post(cp.URL()+path, "application/json", bytes.NewReader(data))
			if err != nil {
				t.Log(err)
				time.Sleep(time.Second)
				continue
			}
			text, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if resp.StatusCode == 429 || resp.StatusCode >= 500 {
				time.Sleep(time.Second)
				continue
			}
			if resp.StatusCode != http.StatusCreated && resp.StatusCode != 409 {
				t.Fatal(path, resp.StatusCode, string(text))
			}
			return
		}
	}
	type m = map[string]any
	start := time.Now()
	for i := range 50 {
		post("/api/v1/namespaces", m{"apiVersion": "v1", "kind": "Namespace", "metadata": m{"name": fmt.Sprintf("team-%d", i)}})
	}
	var wg sync.WaitGroup
	jobs := make(chan func(), 100)
	for range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for f := range jobs {
				f()
			}
		}()
	}
	pod := podTemplate()
	for i := range 10000 {
		ns := fmt.Sprintf("team-%d", i%50)
		var p m
		json.Unmarshal([]byte(pod), &p)
		p["apiVersion"], p["kind"] = "v1", "Pod"
		delete(p, "status")
		meta := m{"name": fmt.Sprintf("web-%d-x", i), "namespace": ns, "labels": m{"app": fmt.Sprint("web-", i/20), "team": ns},
			"ownerReferences": []any{m{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": fmt.Sprint("web-", i/20), "uid": fmt.Sprintf("aaaaaaaa-3c5c-4f0e-8a4e-%012d", i/20), "controller": true}}}
		p["metadata"] = meta
		spec := p["spec"].(m)
		delete(spec, "serviceAccountName")
		delete(spec, "serviceAccount")
		delete(spec, "priority")
		delete(spec, "preemptionPolicy")
		jobs <- func() { post("/api/v1/namespaces/"+ns+"/pods", p) }
	}
	for i := range 10000 {
		ns := fmt.Sprintf("team-%d", i%50)
		jobs <- func() {
			post("/apis/rbac.authorization.k8s.io/v1/namespaces/"+ns+"/roles", m{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": m{"name": fmt.Sprint("r-", i), "namespace": ns},
				"rules": []any{m{"apiGroups": []string{""}, "resources": []string{"pods", "services"}, "verbs": []string{"get", "list", "watch"}}, m{"apiGroups": []string{"apps"}, "resources": []string{"deployments"}, "verbs": []string{"get"}}}})
			post("/apis/rbac.authorization.k8s.io/v1/namespaces/"+ns+"/rolebindings", m{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": m{"name": fmt.Sprint("r-", i), "namespace": ns},
				"roleRef": m{"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": fmt.Sprint("r-", i)}, "subjects": []any{m{"kind": "ServiceAccount", "name": fmt.Sprint("sa-", i%200), "namespace": ns}}})
		}
	}
	for i := range 2000 {
		ns := fmt.Sprintf("team-%d", i%50)
		jobs <- func() {
			post("/apis/networking.k8s.io/v1/namespaces/"+ns+"/networkpolicies", m{"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": m{"name": fmt.Sprint("n-", i), "namespace": ns},
				"spec": m{"podSelector": m{"matchLabels": m{"app": fmt.Sprint("web-", i)}}, "policyTypes": []string{"Ingress"}, "ingress": []any{m{"from": []any{m{"podSelector": m{}}}, "ports": []any{m{"port": 8080, "protocol": "TCP"}}}}}})
		}
	}
	close(jobs)
	wg.Wait()
	a, e := cp.PIDs()
	os.WriteFile("/tmp/lab-ready", []byte(fmt.Sprintf("%s %d %d %v\n", cp.Kubeconfig(), a, e, time.Since(start))), 0o644)
	for {
		if _, err := os.Stat("/tmp/lab-stop"); err == nil {
			return
		}
		time.Sleep(time.Second)
	}
}

func podTemplate() string {
	data, _ := os.ReadFile("/tmp/pod.json")
	return string(data)
}
