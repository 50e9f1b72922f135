package fleet

import (
	"embed"

	"sigs.k8s.io/yaml"
)

// agentChart is the Helm chart of the nodes' agents; like the connector's, the manifest is made from its templates. deploy/agent is
// a copy.
//
//go:embed agentchart
var agentChart embed.FS

// AgentOptions are what the manifest of agents is made of.
type AgentOptions struct {
	Server string // host:port
	Pin    string // SHA-256 of the server's authority
	Token  string
	Image  string // "" is the chart's
	// Version of the cluster, where it is known: older ones do not have all fields.
	Version string
}

// agentNamespace is where the manifest puts agents: a namespace of their own, since they need Pod Security's level privileged.
const agentNamespace = "stockade-agents"

var agentObjects = []Object{
	{"Namespace", agentNamespace, "holds what follows and nothing else; Pod Security level privileged, since agents mount the node's file system and see its processes"},
	{"ServiceAccount", "stockade-agent", "has no rights and no token in the cluster"},
	{"Secret", "stockade-agent", "the token for enrolling; good for a number of nodes until its end"},
	{"NetworkPolicy", "stockade-agent", "nobody can connect to the agents"},
	{"DaemonSet", "stockade-agent", "one pod a node: the node's file system read-only, its processes, no capability but SYS_PTRACE and DAC_READ_SEARCH; it connects to the server and nowhere else"},
}

// AgentManifest makes the manifest that brings agents onto the nodes of a cluster, and the chart's values for the same.
func AgentManifest(o AgentOptions) (objects []Object, manifest, values string, err error) {
	own := map[string]any{"server": o.Server, "caPin": o.Pin, "token": o.Token}
	if o.Image != "" {
		own["image"] = o.Image
	}
	if minor, ok := minorVersion(o.Version); ok && minor < 30 {
		own["newFields"] = false
	}
	data, err := yaml.Marshal(own)
	if err != nil {
		return nil, "", "", err
	}
	manifest, err = renderChart(agentChart, "agentchart", agentNamespace, own)
	return agentObjects, manifest, string(data), err
}
