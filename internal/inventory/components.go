package inventory

import (
	"encoding/json"
	"maps"
	"path"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// Names of the components whose settings are read.
const (
	APIServer         = "kube-apiserver"
	ControllerManager = "kube-controller-manager"
	Scheduler         = "kube-scheduler"
	Etcd              = "etcd"
	Kubelet           = "kubelet"
	KubeProxy         = "kube-proxy"
)

// programs maps the base name of an executable or image to the component.
var programs = map[string]string{
	APIServer: APIServer, ControllerManager: ControllerManager, Scheduler: Scheduler, Etcd: Etcd, Kubelet: Kubelet,
	KubeProxy: KubeProxy,
	// Names of the commands inside hyperkube, the former all-in-one binary.
	"apiserver": APIServer, "controller-manager": ControllerManager, "scheduler": Scheduler, "proxy": KubeProxy,
}

// launchers are programs that start another one named among their arguments.
var launchers = map[string]bool{"hyperkube": true, "go-runner": true, "tini": true, "dumb-init": true, "env": true,
	"nice": true, "ionice": true, "exec": true, "sudo": true, "kube-init": true}

// shells take a script after -c.
var shells = map[string]bool{"sh": true, "bash": true, "ash": true, "dash": true, "busybox": true}

// listFlags may be repeated; their values add up. Of any other flag the last one counts.
var listFlags = map[string]bool{"feature-gates": true, "enable-admission-plugins": true, "disable-admission-plugins": true,
	"admission-control": true, "authorization-mode": true, "service-account-issuer": true, "service-account-key-file": true,
	"tls-cipher-suites": true, "tls-sni-cert-key": true, "runtime-config": true, "api-audiences": true, "controllers": true,
	"cors-allowed-origins": true, "requestheader-allowed-names": true, "oidc-required-claim": true}

// Value returns the component as rules see it: {name, node, version, flags, config, complete}. Its flags and config are
// never null.
func (c *Component) Value() map[string]any {
	flags := make(map[string]any, len(c.Flags))
	for k, v := range c.Flags {
		flags[k] = v
	}
	config := c.Config
	if config == nil {
		config = map[string]any{}
	}
	return map[string]any{"name": c.Name, "node": c.Node, "version": c.Version, "flags": flags, "config": config,
		"complete": c.Complete}
}

// addPodComponents records the control-plane components among the containers of o. Elsewhere than in the namespaces of
// Kubernetes itself such programs serve other clusters (virtual clusters, hosted control planes).
func (c *Cluster) addPodComponents(o *Object, static bool) {
	if !static && !SystemNamespace(o.Namespace) {
		return
	}
	pod, _ := o.PodTemplate()
	labels := Map(pod, "metadata", "labels")
	for _, ref := range o.Containers() {
		if ref.Type != TypeContainer {
			continue
		}
		image := Str(ref.Content, "image")
		name, args := componentArgs(ref, imageBase(image))
		if name == "" || name == Etcd && !static && !kubeEtcd(o.Name, labels) {
			continue
		}
		comp := newComponent(name, args)
		comp.Source, comp.Origin, comp.Version = o.Ref(), o.Origin, imageTag(image)
		if o.Kind == "Pod" {
			comp.Node = Str(o.Content, "spec", "nodeName")
		}
		comp.Path = JoinKey(ref.Path, "command")
		if len(List(ref.Content, "command")) == 0 {
			comp.Path = JoinKey(ref.Path, "args")
		}
		if name == Etcd {
			comp.addEtcdEnv(ref)
		}
		c.Components = append(c.Components, comp)
		c.joinProxy()
	}
}

// kubeEtcd tells the store of the API server from other etcds in kube-system, such as that of a network plugin.
func kubeEtcd(name string, labels map[string]any) bool {
	return Str(labels, "component") == "etcd" || strings.HasPrefix(Str(labels, "k8s-app"), "etcd") ||
		name == "etcd" || strings.HasPrefix(name, "etcd-")
}

// argument is one word of a command line and the path it was read from.
type argument struct{ text, path string }

// componentArgs finds which component a container runs and with which arguments; name is "" for none.
func componentArgs(ref ContainerRef, image string) (name string, args []argument) {
	var words []argument
	for _, list := range [...]string{"command", "args"} {
		at := JoinKey(ref.Path, list)
		for i, v := range List(ref.Content, list) {
			s, ok := v.(string)
			if !ok {
				continue
			}
			words = append(words, argument{s, JoinIndex(at, i)})
		}
	}
	if len(List(ref.Content, "command")) > 0 {
		return findProgram(words, 0)
	}
	if name = programs[image]; name == "" {
		name = programs[strings.TrimSuffix(image, "-amd64")]
	}
	if name != "" && name == programs[name] {
		// The image starts the program; its arguments may repeat the name.
		if len(words) > 0 && programs[path.Base(words[0].text)] == name {
			words = words[1:]
		}
		return name, words
	}
	if len(words) > 0 {
		return findProgram(words, 0)
	}
	return "", nil
}

// findProgram looks for a component among the words of a command line: the program itself, what a launcher starts, or
// what a shell script starts. Depth bounds scripts within scripts.
func findProgram(words []argument, depth int) (name string, args []argument) {
	launched := true // the next plain word is a program
	for i, w := range words {
		base := path.Base(w.text)
		switch {
		case shells[base] && launched:
			for j := i + 1; j < len(words) && depth < 3; j++ {
				if f := words[j].text; strings.HasPrefix(f, "-") && !strings.HasPrefix(f, "--") && strings.HasSuffix(f, "c") && j+1 < len(words) {
					return findScript(words[j+1], depth+1)
				}
			}
			return "", nil
		case launched && launchers[base]:
			// its own options may follow
		case launched && programs[base] != "" && (base == programs[base] || i > 0):
			return programs[base], words[i+1:]
		case strings.HasPrefix(w.text, "-"), strings.Contains(w.text, "=") && !strings.Contains(w.text, "/"):
			// an option of the launcher or an assignment for env
		case i == 0:
			launched = false // an unknown wrapper
		case strings.HasSuffix(path.Dir(w.text), "bin") && base == programs[base]:
			return base, words[i+1:] // a wrapper that is given the program by its full path
		}
	}
	return "", nil
}

// findScript looks for a component in the commands of a shell script. All its words keep the path of the script.
func findScript(script argument, depth int) (string, []argument) {
	const limit = 64 << 10 // far above any start script
	text := script.text
	if len(text) > limit {
		text = text[:limit]
	}
	for _, command := range shellCommands(text) {
		words := make([]argument, len(command))
		for i, w := range command {
			words[i] = argument{w, script.path}
		}
		if name, args := findProgram(words, depth); name != "" {
			return name, args
		}
	}
	return "", nil
}

// shellCommands splits a script into simple commands and these into words, with quotes and line continuations resolved
// and redirections left out. It knows no control structures: their keywords are dropped from the head of commands.
func shellCommands(text string) [][]string {
	var out [][]string
	var words []string
	var word strings.Builder
	inWord := false
	endWord := func() {
		if inWord {
			words = append(words, word.String())
			word.Reset()
			inWord = false
		}
	}
	endCommand := func() {
		endWord()
		for len(words) > 0 && slices.Contains([]string{"then", "do", "else", "{", "(", "!", "time", "if", "while"}, words[0]) {
			words = words[1:]
		}
		if len(words) > 0 {
			out = append(out, words)
		}
		words = nil
	}
	for i := 0; i < len(text); i++ {
		switch ch := text[i]; ch {
		case ' ', '\t', '\r':
			endWord()
		case '\n', ';', '|', '(', ')':
			endCommand()
		case '&':
			if inWord && strings.HasSuffix(word.String(), ">") || i+1 < len(text) && text[i+1] == '>' {
				word.WriteByte(ch)
				inWord = true
				continue
			}
			endCommand()
		case '\\':
			if i+1 < len(text) {
				i++
				if text[i] != '\n' {
					word.WriteByte(text[i])
					inWord = true
				}
			}
		case '\'', '"':
			inWord = true
			i = quoted(text, i, &word)
		case '#':
			if inWord {
				word.WriteByte(ch)
				continue
			}
			for i < len(text) && text[i] != '\n' {
				i++
			}
			endCommand()
		default:
			word.WriteByte(ch)
			inWord = true
		}
	}
	endCommand()
	for i, command := range out {
		out[i] = withoutRedirects(command)
	}
	return out
}

// quoted writes the quoted text that starts at i and returns the index of its closing quote.
func quoted(text string, i int, word *strings.Builder) int {
	quote := text[i]
	for i++; i < len(text) && text[i] != quote; i++ {
		if text[i] == '\\' && quote == '"' && i+1 < len(text) {
			i++
			if text[i] == '\n' {
				continue
			}
		}
		word.WriteByte(text[i])
	}
	return i
}

func withoutRedirects(words []string) []string {
	var out []string
	for i := 0; i < len(words); i++ {
		w := words[i]
		j := strings.IndexAny(w, "<>")
		if j < 0 || strings.Trim(w[:j], "0123456789&") != "" {
			out = append(out, w)
			continue
		}
		if strings.Trim(w[j:], "<>") == "" {
			i++ // the file is the next word
		}
	}
	return out
}

// newComponent parses the arguments of a component in the forms --flag=value, --flag value, -flag=value and --flag.
func newComponent(name string, args []argument) *Component {
	c := &Component{Name: name, Flags: map[string]string{}, FlagPaths: map[string]string{}, Complete: true}
	for i := 0; i < len(args); i++ {
		flag := strings.TrimPrefix(strings.TrimPrefix(args[i].text, "-"), "-")
		if flag == args[i].text || flag == "" {
			continue // a word that belongs to no flag
		}
		at := args[i].path
		key, value, ok := strings.Cut(flag, "=")
		if !ok {
			value = "true"
			if i+1 < len(args) && !strings.HasPrefix(args[i+1].text, "-") {
				i++
				value = args[i].text
			}
		}
		key = strings.ReplaceAll(key, "_", "-") // as the components themselves do
		if old, again := c.Flags[key]; again && listFlags[key] {
			value = old + "," + value
		}
		c.Flags[key], c.FlagPaths[key] = value, at
	}
	for _, key := range [...]string{"config", "config-file", "openshift-config"} {
		if c.Flags[key] != "" {
			c.Complete = false // a file that is not seen here says more
		}
	}
	return c
}

// addEtcdEnv takes the settings that etcd reads from its environment: ETCD_CLIENT_CERT_AUTH is --client-cert-auth. Flags
// win over them.
func (c *Component) addEtcdEnv(ref ContainerRef) {
	for i, v := range List(ref.Content, "env") {
		m, _ := v.(map[string]any)
		name, ok := strings.CutPrefix(Str(m, "name"), "ETCD_")
		value := Str(m, "value")
		if !ok || value == "" {
			continue
		}
		key := strings.ToLower(strings.ReplaceAll(name, "_", "-"))
		if _, set := c.Flags[key]; !set {
			c.Flags[key], c.FlagPaths[key] = value, JoinIndex(JoinKey(ref.Path, "env"), i)
		}
		if key == "config-file" {
			c.Complete = false
		}
	}
}

// addConfigMapComponents reads the cluster-wide defaults that kubeadm and its kin keep in ConfigMaps.
func (c *Cluster) addConfigMapComponents(o *Object) {
	if o.Namespace != "kube-system" {
		return
	}
	var name, key string
	switch {
	case o.Name == "kubelet-config" || strings.HasPrefix(o.Name, "kubelet-config-1."):
		name, key = Kubelet, "kubelet"
	case o.Name == "kube-proxy":
		name, key = KubeProxy, "config.conf"
	default:
		return
	}
	config := decodeYAML(Str(o.Content, "data", key))
	if config == nil {
		return
	}
	c.Components = append(c.Components, &Component{Name: name, Source: o.Ref(), Flags: map[string]string{},
		FlagPaths: map[string]string{}, Path: JoinKey("data", key), Config: config, Complete: true, Origin: o.Origin})
	c.joinProxy()
}

// decodeYAML decodes a YAML map to JSON values; nil when it is none or above 1 MiB, the limit of a ConfigMap.
func decodeYAML(text string) map[string]any {
	if text == "" || len(text) > 1<<20 {
		return nil
	}
	data, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		return nil
	}
	return decodeJSON(data)
}

func decodeJSON(data []byte) map[string]any {
	dec := json.NewDecoder(strings.NewReader(string(data)))
	dec.UseNumber()
	var m map[string]any
	if dec.Decode(&m) != nil {
		return nil
	}
	out, _ := integers(m).(map[string]any)
	return out
}

// joinProxy joins kube-proxy's DaemonSet, which only names its configuration file, with the ConfigMap that is this file.
// Which of them was read first does not matter.
func (c *Cluster) joinProxy() {
	var file, pods *Component
	for _, comp := range c.Components {
		switch {
		case comp.Name != KubeProxy || comp.Node != "":
		case comp.Source.Kind == "ConfigMap":
			file = comp
		case comp.Source.Kind == "DaemonSet" && comp.Config == nil && comp.Flags["config"] != "":
			pods = comp
		}
	}
	if file == nil || pods == nil {
		return
	}
	maps.Copy(file.Flags, pods.Flags)
	file.Version = pods.Version
	c.Components = slices.DeleteFunc(c.Components, func(x *Component) bool { return x == pods })
}

// addNodeFacts records what was read on one node and the settings of the components that run on it.
func (c *Cluster) addNodeFacts(o *Object) {
	facts, err := ParseNodeFacts(o)
	if err != nil {
		c.Unread[o.Ref().GroupKind()] = "node facts of " + o.Name + ": " + err.Error()
		return
	}
	c.Nodes[facts.Name] = facts
	source := Ref{APIVersion: o.APIVersion, Kind: "Process"}
	add := func(comp *Component) {
		comp.Node, comp.Source, comp.Origin, comp.Complete = facts.Name, source, o.Origin, true
		comp.Source.Name = comp.Name
		c.Components = append(c.Components, comp)
	}
	known := map[string]bool{}
	for _, s := range [...]struct {
		name, path string
		settings   *Settings
	}{{Kubelet, "kubelet", facts.Kubelet}, {KubeProxy, "kubeProxy", facts.KubeProxy}} {
		if s.settings == nil {
			continue
		}
		known[s.name] = true
		comp := &Component{Name: s.name, Flags: map[string]string{}, FlagPaths: map[string]string{}, Path: s.path,
			Config: Map(o.Content, s.path, "config")}
		for k, v := range s.settings.Flags {
			comp.Flags[k], comp.FlagPaths[k] = v, JoinKey(s.path+".flags", k)
		}
		add(comp)
	}
	for i, p := range facts.Processes {
		name := programs[path.Base(p.Name)]
		if name == "" || name != path.Base(p.Name) || known[name] || p.Container != "" && c.Name != "" {
			continue // what runs in a container is known from its pod, where there is a cluster around the node
		}
		at := JoinKey(JoinIndex("processes", i), "args")
		var args []argument
		for j, a := range p.Args {
			args = append(args, argument{a, JoinIndex(at, j)})
		}
		comp := newComponent(name, args)
		comp.Path = at
		add(comp)
	}
}

// ParseNodeFacts reads a NodeFacts document. Its name may stand at the top or in metadata.
func ParseNodeFacts(o *Object) (*NodeFacts, error) {
	data, err := json.Marshal(o.Content)
	if err != nil {
		return nil, err
	}
	facts := &NodeFacts{Origin: o.Origin}
	if err := json.Unmarshal(data, facts); err != nil {
		return nil, err
	}
	if facts.Name == "" {
		facts.Name = o.Name
	}
	return facts, nil
}

// imageBase returns the last part of an image's repository: "kube-apiserver" of "registry.k8s.io/kube-apiserver:v1.34.4".
func imageBase(image string) string { return path.Base(imageRepository(image)) }

// imageRepository returns an image reference without tag and digest.
func imageRepository(image string) string {
	image, _, _ = strings.Cut(image, "@")
	if i := strings.LastIndexByte(image, ':'); i > strings.LastIndexByte(image, '/') {
		image = image[:i]
	}
	return image
}

// imageTag returns the tag of an image reference, or "".
func imageTag(image string) string {
	image, _, _ = strings.Cut(image, "@")
	if i := strings.LastIndexByte(image, ':'); i > strings.LastIndexByte(image, '/') {
		return image[i+1:]
	}
	return ""
}
