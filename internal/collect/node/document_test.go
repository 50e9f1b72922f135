package node

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestOtherDocuments: facts hold configurations of components. Whatever a process that calls itself a component names as its
// configuration, or a flag by mistake, nothing else of the node gets into them that way.
func TestOtherDocuments(t *testing.T) {
	dir := unfold(t, "kubeadm.txtar")
	const secret = "LS0tLS1hYmNkZWZnaGlqa2xtbm9w"
	put := func(name, text string) {
		must(t, os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755))
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	put("root/other.yaml", "apiVersion: v1\nkind: Config\nusers:\n- name: admin\n  user: {material: "+secret+"}\n")
	put("root/conf.d/10.conf", "seed: "+secret+"\n")
	put("root/proxy.yaml", "kind: Secret\nmaterial: "+secret+"\n")
	for pid, line := range map[string]string{"700": "/usr/bin/kubelet --config=/root/other.yaml --config-dir=/root/conf.d", "910": "kube-apiserver --audit-policy-file=/root/other.yaml",
		"911": "kube-proxy --config=/root/proxy.yaml"} {
		put("proc/"+pid+"/cmdline", strings.ReplaceAll(line, " ", "\x00")+"\x00")
		if pid != "700" {
			put("proc/"+pid+"/status", "Name:\tx\nState:\tS (sleeping)\nUid:\t0\t0\t0\t0\n")
			put("proc/"+pid+"/cgroup", "0::/x.service\n")
			must(t, os.Symlink("/usr/bin/"+strings.Fields(line)[0], filepath.Join(dir, "proc", pid, "exe")))
		}
	}
	facts := read(t, dir)
	data, err := json.Marshal(facts)
	must(t, err)
	if strings.Contains(string(data), secret) {
		t.Errorf("the facts hold what is no configuration of a component: %s", data)
	}
	told := map[string]bool{}
	for _, s := range facts.Skipped {
		told[s.Check+" "+s.Needs] = true
	}
	for _, want := range []string{"kubelet the file /root/other.yaml", "kubelet the file /root/conf.d/10.conf", "auditPolicy the file /root/other.yaml", "kubeProxy the file /root/proxy.yaml"} {
		if !told[want] {
			t.Errorf("%s: not told as not read: %v", want, told)
		}
	}
}
