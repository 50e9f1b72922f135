// Package protocol is what the agent of a node and the server say to each other: JSON over the server's HTTPS port, zstd for large
// bodies. The agent asks, the server never calls. A certificate of the server's authority (holder kind "agent", name: the node's id on
// the server) says which node it is, and it can speak for that node only; no request names a node.
//
//	POST /agent/v1/enrol     Application -> Papers      the only one without a certificate: a one-time token of the cluster
//	POST /agent/v1/renew     Application -> Papers      when half of the certificate's life is over; of the application the request counts
//	POST /agent/v1/beat      Beat -> BeatAnswer         every Interval of the last answer, with jitter
//	POST /agent/v1/report    Report -> 204              taken twice it counts once (Report.ID); 409: the server wants the whole (Base unknown)
//	GET  /agent/v1/emergencies?have=DIGEST -> the list of emergencies as JSON; 304 when it is the same
//	GET  /agent/v1/signatures?have=DIGEST -> the list of hashes of malicious files
//
// A beat costs the server no write to its database while nothing changed: last contacts are kept in memory and written together.
package protocol

import (
	"encoding/json"
	"time"

	"stockade.dev/stockade/internal/emergency"
	"stockade.dev/stockade/internal/inventory"
)

// Mark is what the agent names among the protocols of its TLS hello (NextProtos: Mark, "http/1.1"), as the provider does.
const Mark = "stockade-agent/1"

// Paths below the server's address.
const (
	EnrolPath       = "/agent/v1/enrol"
	RenewPath       = "/agent/v1/renew"
	BeatPath        = "/agent/v1/beat"
	ReportPath      = "/agent/v1/report"
	EmergenciesPath = "/agent/v1/emergencies"
	SignaturesPath  = "/agent/v1/signatures"
)

// Limits and times.
const (
	MaxReport   = 64 << 20 // bytes of a report, unpacked
	MaxBeat     = 64 << 10
	Interval    = 60 * time.Second // between beats, unless the server says otherwise
	FactsEvery  = time.Hour        // a full round without being asked; changes are looked for every FactsEvery/6 by cheap marks
	SkewAllowed = 10 * time.Minute // clocks; beyond it the agent is told and its times are replaced by the server's
)

// Application is what an agent sends for a certificate.
type Application struct {
	Token   string `json:"token"`
	Request []byte `json:"request"` // certificate request, DER
	Node    string `json:"node"`    // name of the Kubernetes node, or the host's name
	// MachineID and ProviderID tell a node that was made anew under an old name from one that is imitated.
	MachineID  string `json:"machineId,omitempty"`
	ProviderID string `json:"providerId,omitempty"`
	Version    string `json:"version"`
}

// Papers are what an agent gets: PEM.
type Papers struct {
	Certificate string `json:"certificate"`
	Authority   string `json:"authority"`
	Node        int64  `json:"node,string"` // id on the server
	Target      int64  `json:"target,string"`
	Cluster     string `json:"cluster"`
}

// Beat says that the agent lives.
type Beat struct {
	At      time.Time `json:"at"` // by the agent's clock
	Version string    `json:"version"`
	State   State     `json:"state"`
	Reason  string    `json:"reason,omitempty"` // of paused and degraded
	// Needs are what checks lack: mounts, capabilities, sockets.
	Needs    []inventory.SkipFact `json:"needs,omitempty"`
	Facts    string               `json:"facts,omitempty"`    // digest of the facts last reported
	Software string               `json:"software,omitempty"` // digest of the inventory last reported
	Spool    int                  `json:"spool,omitempty"`    // reports that wait
	Memory   int64                `json:"memory,omitempty"`   // bytes of the process
	CPU      int64                `json:"cpu,omitempty"`      // milliseconds of processor since its start
	Classes  []emergency.Class    `json:"classes,omitempty"`  // of checks that this node allows
	Progress map[string]string    `json:"progress,omitempty"` // of work, by id: what it does now
}

// State of an agent.
type State string

// The states.
const (
	Running  State = "running"
	Paused   State = "paused"   // the node is under pressure
	Degraded State = "degraded" // something that was asked for cannot be read
)

// BeatAnswer says what to do.
type BeatAnswer struct {
	At          time.Time         `json:"at"` // by the server's clock
	Interval    time.Duration     `json:"interval"`
	Work        []Work            `json:"work,omitempty"`
	Classes     []emergency.Class `json:"classes"`               // of checks that users allow on this cluster
	Emergencies string            `json:"emergencies,omitempty"` // digest of the list
	Signatures  string            `json:"signatures,omitempty"`
	Want        []string          `json:"want,omitempty"` // facts, software: the server does not have what the digests say
	Renew       bool              `json:"renew,omitempty"`
}

// WorkKind says what is to be done.
type WorkKind string

// The kinds.
const (
	ReadFacts    WorkKind = "facts"     // NodeFacts with containers, now
	ReadPackages WorkKind = "software"  // packages of the node
	ReadImages   WorkKind = "images"    // inventories of local images, by digest of the configuration; all that run when none is named
	FindMalware  WorkKind = "malware"   // writable layers of containers and local images
	Verify       WorkKind = "emergency" // emergencies, by id; all when none is named
)

// Work is asked for once; an agent that restarts is asked again until it reports with this id or Until is over.
type Work struct {
	ID    int64     `json:"id,string"`
	Kind  WorkKind  `json:"kind"`
	Names []string  `json:"names,omitempty"`
	Until time.Time `json:"until"`
}

// Report brings what was read.
type Report struct {
	ID     string          `json:"id"`                    // made by the agent: unique for it
	Work   int64           `json:"work,omitempty,string"` // that it answers; 0: by the agent's own schedule
	Kind   WorkKind        `json:"kind"`
	At     time.Time       `json:"at"`
	Digest string          `json:"digest"`          // SHA-256 of Body as it would be whole
	Last   bool            `json:"last"`            // nothing more comes for this work
	Error  string          `json:"error,omitempty"` // why the work could not be done at all
	Body   json.RawMessage `json:"body,omitempty"`  // see below; left out when the server has this digest
}

// Bodies of reports: facts inventory.NodeFacts; software and each of images inventory.Software (Kind node, image); malware Malware;
// emergency []emergency.Result.

// Malware is what the search for malicious files saw.
type Malware struct {
	Containers []MalwareIn          `json:"containers,omitempty"`
	Skipped    []inventory.SkipFact `json:"skipped,omitempty"`
	Files      int64                `json:"files"` // looked at
	Bytes      int64                `json:"bytes"`
}

// MalwareIn are hits in one writable layer or local image.
type MalwareIn struct {
	Container string          `json:"container,omitempty"` // "namespace/pod/container"; "" for an image
	Image     string          `json:"image,omitempty"`
	Digest    string          `json:"digest,omitempty"`
	Hits      []inventory.Hit `json:"hits"`
}
