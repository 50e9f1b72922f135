package analyze

import (
	"sort"
	"strings"

	"stockade.dev/stockade/internal/credential"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
)

// leakAnalyzers look for credentials in the objects as they are read. No value leaves them unredacted.
var leakAnalyzers = []Analyzer{
	{Name: "secret-in-env", Kinds: []string{"Workload"}, Object: secretInEnv},
	{Name: "secret-in-args", Kinds: []string{"Workload"}, Object: secretInArgs},
	{Name: "secret-in-configmap", Kinds: []string{"ConfigMap"}, Object: secretInConfigMap},
	{Name: "secret-in-annotation", Kinds: []string{"Workload", "Service", "Ingress.networking.k8s.io", "Namespace", "ServiceAccount", "ConfigMap", "Node",
		"PersistentVolume", "PersistentVolumeClaim", "StorageClass.storage.k8s.io"}, Object: secretInAnnotation},
	{Name: "secret-in-last-applied", Kinds: []string{"Secret"}, Object: secretInLastApplied},
}

// leakProblem is a finding of a credential. Item is the name it stands under, which a new value does not change.
func leakProblem(o *inventory.Object, container, item, path string, l credential.Leak) Problem {
	p := atObject(o)
	p.Container, p.Item = container, item
	p.Evidence = []finding.Evidence{{Path: path, Found: l.Redacted, Want: "a reference to a Secret"}}
	return p
}

func secretInEnv(_ *Context, o *inventory.Object, report func(Problem)) {
	for _, c := range o.Containers() {
		for i, v := range inventory.List(c.Content, "env") {
			m, _ := v.(map[string]any)
			name, value := inventory.Str(m, "name"), inventory.Str(m, "value")
			if value == "" {
				continue
			}
			if l, found := credential.Find(name, value); found {
				p := leakProblem(o, c.Name, name, inventory.JoinIndex(inventory.JoinKey(c.Path, "env"), i)+".value", l)
				p.Message = say("container %s has a secret in environment variable %s (%s): %s", "容器 %s 的环境变量 %s 中有明文密钥（%s）：%s", c.Name, name, l.Kind, l.Redacted)
				report(p)
			}
		}
	}
}

// secretInArgs reads commands and arguments: "--password=x", "--token x", "PASSWORD=x cmd", and patterns anywhere.
func secretInArgs(_ *Context, o *inventory.Object, report func(Problem)) {
	for _, c := range o.Containers() {
		for _, key := range []string{"command", "args"} {
			words := inventory.List(c.Content, key)
			for i, v := range words {
				word, _ := v.(string)
				next := ""
				if i+1 < len(words) {
					next, _ = words[i+1].(string)
				}
				name, l, at, found := inArg(word, next)
				if !found {
					continue
				}
				p := leakProblem(o, c.Name, key+" "+name, inventory.JoinIndex(inventory.JoinKey(c.Path, key), i+at), l)
				p.Message = say("container %s has a secret in its %s (%s): %s", "容器 %s 的 %s 中有明文密钥（%s）：%s", c.Name, key, l.Kind, l.Redacted)
				report(p)
			}
		}
	}
}

// inArg looks at one argument and, for a flag whose value stands apart, at the next; at is 1 when that one has it.
func inArg(word, next string) (name string, l credential.Leak, at int, found bool) {
	flag, isFlag := strings.CutPrefix(word, "-")
	flag = strings.TrimLeft(flag, "-")
	if isFlag && !strings.ContainsAny(flag, "= \n") {
		if credential.Named(flag) != "" && !strings.HasPrefix(next, "-") {
			l, found = credential.Find(flag, next)
		}
		return flag, l, 1, found
	}
	for _, field := range strings.Fields(word) {
		key, value, ok := strings.Cut(strings.TrimLeft(field, "-"), "=")
		if ok && key != "" {
			if l, found = credential.Find(key, strings.Trim(value, `"';`)); found {
				return key, l, 0, true
			}
		}
	}
	l, found = credential.Find("", word)
	return l.Kind, l, 0, found
}

func secretInConfigMap(_ *Context, o *inventory.Object, report func(Problem)) {
	data := inventory.Map(o.Content, "data")
	for _, key := range sortedKeys(data) {
		value, _ := data[key].(string)
		name, l, found := credential.InText(key, value)
		if !found {
			continue
		}
		p := leakProblem(o, "", key+" "+name, inventory.JoinKey("data", key), l)
		p.Message = say("%s has a secret under key %s (%s): %s", "%s 的键 %s 中有明文密钥（%s）：%s", o.Ref(), key, l.Kind, l.Redacted)
		report(p)
	}
}

const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

func secretInAnnotation(_ *Context, o *inventory.Object, report func(Problem)) {
	scan := func(meta map[string]any, path string) {
		annotations := inventory.Map(meta, "annotations")
		for _, key := range sortedKeys(annotations) {
			value, _ := annotations[key].(string)
			if key == lastApplied || strings.HasPrefix(key, "checksum/") || strings.HasSuffix(key, "-hash") || strings.HasSuffix(key, "checksum") || strings.HasSuffix(key, "digest") {
				continue // a copy of what is judged where it stands, and hashes
			}
			_, l, found := credential.InText(after(key, '/'), value)
			if !found {
				continue
			}
			p := leakProblem(o, "", key, inventory.JoinKey(inventory.JoinKey(path, "annotations"), key), l)
			p.Message = say("annotation %s of %s holds a secret (%s): %s", "%[2]s 的注解 %[1]s 中有密钥（%[3]s）：%[4]s", key, o.Ref(), l.Kind, l.Redacted)
			report(p)
		}
	}
	scan(inventory.Map(o.Content, "metadata"), "metadata")
	if pod, path := o.PodTemplate(); path != "" {
		scan(inventory.Map(pod, "metadata"), inventory.JoinKey(path, "metadata"))
	}
}

// secretInLastApplied: kubectl apply copies the whole manifest of a Secret into an annotation, which is not encrypted at
// rest on old clusters' backups, shows in describe, and stays when the data is changed by other means.
func secretInLastApplied(_ *Context, o *inventory.Object, report func(Problem)) {
	annotations := inventory.Map(o.Content, "metadata", "annotations")
	text, found := annotations[lastApplied].(string)
	if !found {
		return
	}
	keys := map[string]bool{}
	for _, field := range []string{"data", "stringData"} {
		for k := range inventory.Map(o.Content, field) {
			if strings.Contains(text, `"`+k+`"`) {
				keys[k] = true
			}
		}
	}
	// A source may have emptied the annotation, since it holds values: its presence tells enough.
	if text != "" && len(keys) == 0 {
		return
	}
	names := make([]string, 0, len(keys))
	for k := range keys {
		names = append(names, k)
	}
	sort.Strings(names)
	p := atObject(o)
	p.Evidence = []finding.Evidence{{Path: inventory.JoinKey("metadata.annotations", lastApplied), Found: "****", Want: "no copy of the data"}}
	p.Message = say("%s has a copy of its values in annotation %s", "%s 的注解 %s 中保留了密钥内容的副本", o.Ref(), lastApplied)
	if len(names) > 0 {
		p.Message = join(p.Message, say(": ", "："), list(names))
	}
	report(p)
}
