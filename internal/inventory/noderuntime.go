package inventory

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"
)

// RuntimeSettings is what of a container runtime's configuration decides about safety: /etc/containerd/config.toml, crio.conf,
// daemon.json, with the flags of the running daemon over it. Nil fields were not said: the runtime's default holds.
type RuntimeSettings struct {
	Path     string   `json:"path,omitempty"`   // of the configuration; "" when there is none and the defaults hold
	Listen   []string `json:"listen,omitempty"` // addresses of the API beyond local sockets: "tcp://0.0.0.0:2375"
	Verify   *bool    `json:"verify,omitempty"` // clients of such addresses need a certificate
	Insecure []string `json:"insecureRegistries,omitempty"`
	Auth     []string `json:"registryCredentials,omitempty"` // hosts whose credentials stand in the configuration; never these themselves
	AppArmor *bool    `json:"appArmor,omitempty"`            // false: profiles of pods are not applied
	SELinux  *bool    `json:"selinux,omitempty"`
	Seccomp  string   `json:"seccomp,omitempty"`        // default profile where one is named: "unconfined", a path
	UserNS   string   `json:"userNamespaces,omitempty"` // Docker's userns-remap
	ICC      *bool    `json:"icc,omitempty"`            // Docker: containers of the default bridge reach each other
	NoNew    *bool    `json:"noNewPrivileges,omitempty"`
	Live     *bool    `json:"liveRestore,omitempty"`
	Caps     []string `json:"defaultCapabilities,omitempty"` // CRI-O's list
	PIDs     *int64   `json:"pidsLimit,omitempty"`           // CRI-O's; 0 or below is none
	Handlers []string `json:"handlers,omitempty"`            // runtime handlers: runc, kata, nvidia
	NRI      *bool    `json:"nri,omitempty"`                 // plug-ins may change containers
	// Privileged containers get no host devices where true.
	NoHostDevices *bool `json:"privilegedWithoutHostDevices,omitempty"`
}

// Digest is the same as long as nothing on the node changed: the time of the reading and what follows from it are left out.
func (n *NodeFacts) Digest() string {
	c := *n
	c.ReadAt = ""
	c.Certs = append([]CertFact(nil), n.Certs...)
	for i := range c.Certs {
		c.Certs[i].DaysLeft = 0
	}
	if n.Encryption != nil {
		e := *n.Encryption
		e.ModifiedDays = 0
		c.Encryption = &e
	}
	data, err := json.Marshal(&c)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// Age brings what counts days to a time: facts that are kept grow old.
func (n *NodeFacts) Age(now time.Time) {
	for i := range n.Certs {
		if end, err := time.Parse(time.RFC3339, n.Certs[i].NotAfter); err == nil {
			n.Certs[i].DaysLeft = Days(now, end)
		}
	}
	if e := n.Encryption; e != nil && e.Modified != "" {
		if at, err := time.Parse(time.RFC3339, e.Modified); err == nil {
			e.ModifiedDays = Days(at, now)
		}
	}
}

// Days is how many whole days lie between two times, rounded down.
func Days(from, to time.Time) int {
	d := to.Sub(from)
	n := int(d / (24 * time.Hour))
	if d < 0 && d%(24*time.Hour) != 0 {
		n--
	}
	return n
}
