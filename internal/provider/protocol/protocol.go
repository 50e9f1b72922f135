// Package protocol is what the provider in a cluster and the server say to each other: JSON over the server's HTTPS port, the
// provider shown to be its cluster's by its certificate. The provider asks; the server never calls.
//
//	GET  /provider/v1/bundle?have=GENERATION          policy.Bundle, when there is another (waits up to 30 s; 204: none)
//	POST /provider/v1/images                          ImagesRequest -> ImagesAnswer
//	GET  /provider/v1/changes?after=SERIAL            Changes (waits up to 30 s; 204: none)
//	POST /provider/v1/admissions                      Batch -> 204; a batch that was taken before (its ID) is taken as sent
//	POST /provider/v1/beat                            Beat -> BeatAnswer
package protocol

import (
	"encoding/json"
	"time"

	"stockade.dev/stockade/internal/policy"
)

// Paths below the server's address.
const (
	BundlePath     = "/provider/v1/bundle"
	ImagesPath     = "/provider/v1/images"
	ChangesPath    = "/provider/v1/changes"
	AdmissionsPath = "/provider/v1/admissions"
	BeatPath       = "/provider/v1/beat"
)

// Mark is what the provider names among the protocols of its TLS hello (NextProtos: Mark, "http/1.1"): the server asks who names it
// for a certificate, and browsers never. What is spoken is HTTP/1.1. The server shows a certificate of its own authority (ca.crt of
// the Secret stockade-provider-link) for the host of the Secret's server, an address as https://stockade.example.com:8443.
const Mark = "stockade-provider/1"

// Limits of what is sent.
const (
	MaxImages = 1000    // in one question
	MaxBatch  = 4 << 20 // bytes of a batch
	Wait      = 30 * time.Second
)

// ImagesRequest asks for verdicts. What the server does not know it has scanned.
type ImagesRequest struct {
	Images []Image `json:"images"`
}

// Image is an image as a pod of a namespace names it.
type Image struct {
	Reference   string   `json:"reference"`
	Namespace   string   `json:"namespace,omitempty"`
	PullSecrets []string `json:"pullSecrets,omitempty"`
}

// ImagesAnswer has one verdict for each image, in the order asked. Serial is the newest of all: what changes are asked for after.
type ImagesAnswer struct {
	Verdicts []policy.ImageVerdict `json:"verdicts"`
	Serial   int64                 `json:"serial,string"`
}

// Changes are verdicts on images that this cluster asked for before, which are others now.
type Changes struct {
	Verdicts []policy.ImageVerdict `json:"verdicts"`
	Serial   int64                 `json:"serial,string"`
	Reset    bool                  `json:"reset,omitempty"` // too much changed to list: everything is to be asked for anew when it is needed
}

// Admission is one admission request as it was seen, with what the policies say of it.
type Admission struct {
	At          time.Time          `json:"at"`
	UID         string             `json:"uid,omitempty"` // of the object
	Generation  int64              `json:"generation,omitempty"`
	APIVersion  string             `json:"apiVersion"`
	Kind        string             `json:"kind"`
	Namespace   string             `json:"namespace,omitempty"`
	Name        string             `json:"name"`
	OwnerKind   string             `json:"ownerKind,omitempty"` // the controller at the top, as far as the object tells; else the object itself
	OwnerName   string             `json:"ownerName,omitempty"`
	Operation   string             `json:"operation"`
	SubResource string             `json:"subResource,omitempty"`
	User        string             `json:"user"`
	Groups      []string           `json:"groups,omitempty"`
	DryRun      bool               `json:"dryRun,omitempty"`
	SelfTest    bool               `json:"selfTest,omitempty"`
	Generated   string             `json:"bundle,omitempty"` // generation of the policies it was judged by
	Outcome     string             `json:"outcome"`          // allowed, audited, warned, blocked, unjudged
	Violations  []policy.Violation `json:"violations,omitempty"`
	Undecided   []policy.Undecided `json:"undecided,omitempty"`
	Object      json.RawMessage    `json:"object,omitempty"` // credentials removed; left out when ObjectHash was sent before in this batch
	ObjectHash  string             `json:"objectHash,omitempty"`
	Bytes       int                `json:"bytes,omitempty"` // of the object, when it was too large to be kept
}

// Batch is a part of the log of admissions.
type Batch struct {
	ID         string      `json:"id"` // of its own; sent again under the same when the answer did not come
	Replica    string      `json:"replica"`
	Admissions []Admission `json:"admissions"`
	Lost       int         `json:"lost,omitempty"` // requests since the last batch that could not be recorded: a limit was reached
}

// Beat says how a replica of the provider is. It comes every 10 seconds.
type Beat struct {
	Replica  string    `json:"replica"` // pod name
	Version  string    `json:"version"`
	Started  time.Time `json:"started"`
	Bundle   string    `json:"bundle,omitempty"` // generation in force
	Images   int       `json:"images"`           // verdicts kept
	Memory   int64     `json:"memory"`           // bytes in use
	Provider Service   `json:"provider"`         // answers to Gatekeeper
	Recorder Service   `json:"recorder"`         // admission requests recorded
	// Certificates, by what they are for, with when they end.
	Certificates map[string]time.Time `json:"certificates,omitempty"`
	Problems     []string             `json:"problems,omitempty"` // what is wrong now, in English
}

// Service is how one of the provider's two doors did in the last minutes.
type Service struct {
	Last   time.Time `json:"last,omitzero"` // last answer
	Count  int64     `json:"count"`         // answers in the last 5 minutes
	Errors int64     `json:"errors"`        // of those: errors, or no verdict in time
	P50    float64   `json:"p50"`           // milliseconds
	P99    float64   `json:"p99"`           // milliseconds
}

// BeatAnswer is what the server has to say.
type BeatAnswer struct {
	Bundle string `json:"bundle"`         // generation that should be in force
	Serial int64  `json:"serial,string"`  // newest change of verdicts
	Gone   bool   `json:"gone,omitempty"` // protection was ended: stop asking
}
