// Package task scans: what was asked for by people, schedules, uploads and a new advisory database becomes tasks with work items,
// which workers in any number of processes do. The table task_items is the truth of what is to be done and by whom; the job queue
// only says that there is something. The way of a task: Create -> dispatch -> claim -> work -> finish; Sweep returns what was lost.
package task

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/store"
)

// Part is something that a task scans for: a scan item, as people choose them.
type Part string

// The parts.
const (
	SystemVulnerabilities      Part = "system-vulnerabilities"
	ApplicationVulnerabilities Part = "application-vulnerabilities"
	Emergency                  Part = "emergency"
	Configuration              Part = "configuration"
	Compliance                 Part = "compliance"
	SensitiveInformation       Part = "sensitive-information"
	Permissions                Part = "permissions"
	Images                     Part = "images" // malicious files and other content of images
)

// Parts lists all.
var Parts = []Part{SystemVulnerabilities, ApplicationVulnerabilities, Emergency, Configuration, Compliance, SensitiveInformation, Permissions, Images}

// kinds are the findings of each part. Compliance has verdicts on clauses instead.
var kinds = map[Part][]ledger.Kind{
	SystemVulnerabilities: {ledger.SystemVulnerability}, ApplicationVulnerabilities: {ledger.ApplicationVulnerability},
	Emergency: {ledger.Emergency}, Configuration: {ledger.Configuration, ledger.IaC}, SensitiveInformation: {ledger.Secret},
	Permissions: {ledger.Permission}, Images: {ledger.Malware},
}

// inImages are the parts for which images are read that are not known yet.
var inImages = []Part{SystemVulnerabilities, ApplicationVulnerabilities, Emergency, SensitiveInformation, Images}

// kindsOf is what triage is told of the parts asked for; nil is all.
func kindsOf(parts []Part) []ledger.Kind {
	var out []ledger.Kind
	for _, p := range Parts {
		if slices.Contains(parts, p) {
			out = append(out, kinds[p]...)
		}
	}
	if len(out) == len(ledger.Kinds) {
		return nil
	}
	return out
}

// partOf is the part that a finding is of.
func partOf(k ledger.Kind) Part {
	for p, list := range kinds {
		if slices.Contains(list, k) {
			return p
		}
	}
	return Configuration
}

// Budget bounds what a task may use; 0 is no bound.
type Budget struct {
	ImagesPerHour   int     `json:"imagesPerHour,omitempty" minimum:"0" doc:"images pulled in an hour"`
	ParallelImages  int     `json:"parallelImages,omitempty" minimum:"0" doc:"images read at once, by all workers"`
	ParallelTargets int     `json:"parallelClusters,omitempty" minimum:"0" doc:"clusters scanned at once"`
	RequestRate     float64 `json:"requestRate,omitempty" minimum:"0" doc:"requests a second to each cluster's API server"`
}

// Status of a task or an item.
type Status string

// The statuses. Done is of items, Finished of tasks.
const (
	Ready    Status = "ready"
	Running  Status = "running"
	Done     Status = "done"
	Finished Status = "finished"
	Partial  Status = "partial" // done, but something asked for could not be scanned
	Failed   Status = "failed"
	Canceled Status = "canceled"
)

// The origins of a task.
const (
	Manual      = "manual"
	Scheduled   = "schedule"
	Verify      = "verify"
	Upload      = "upload"
	NewDatabase = "database"
	Watch       = "watch"     // something changed in a cluster
	Admission   = "admission" // images that a cluster was about to run and nobody knew
)

// The kinds of items.
const (
	kindCluster = "cluster"
	kindNode    = "node"
	kindUpload  = "upload"
	kindImage   = "image"
)

// Task is a row of tasks.
type Task struct {
	bun.BaseModel `bun:"table:tasks,alias:t" json:"-"`

	ID         int64      `bun:"id,pk,autoincrement" json:"id,string"`
	Name       string     `bun:"name" json:"name"`
	Origin     string     `bun:"origin" json:"trigger" enum:"manual,schedule,verify,upload,database,watch,admission"`
	ScheduleID int64      `bun:"schedule_id" json:"scheduleId,string,omitempty"`
	UserID     int64      `bun:"user_id" json:"userId,string,omitempty"`
	Actor      string     `bun:"actor" json:"actor,omitempty" doc:"who started it"`
	Scan       string     `bun:"scan" json:"-"`
	Limits     string     `bun:"budget" json:"-"`
	Status     Status     `bun:"status" json:"status" enum:"ready,running,finished,partial,failed,canceled"`
	Cancel     bool       `bun:"cancel" json:"canceling,omitempty"`
	NextPull   store.Time `bun:"next_pull" json:"-"`
	CreatedAt  store.Time `bun:"created_at" json:"createdAt" format:"date-time"`
	StartedAt  store.Time `bun:"started_at" json:"startedAt,omitzero" format:"date-time"`
	FinishedAt store.Time `bun:"finished_at" json:"finishedAt,omitzero" format:"date-time"`

	Parts   []Part   `bun:"-" json:"items"`
	Budget  Budget   `bun:"-" json:"budget"`
	Targets []Target `bun:"-" json:"targets"`
	Total   Totals   `bun:"-" json:"progress"`
}

// Target names a target of a task.
type Target struct {
	ID   int64  `bun:"id" json:"id,string"`
	Name string `bun:"name" json:"name"`
	Kind string `bun:"kind" json:"kind"`
}

// Totals count the items of a task, without its images.
type Totals struct {
	Items     int   `json:"items"`
	Done      int   `json:"done" doc:"ended: in whole, in part, failed or canceled"`
	Partial   int   `json:"partial" doc:"of those done: something asked for could not be scanned"`
	Failed    int   `json:"failed" doc:"of those done"`
	Canceled  int   `json:"canceled" doc:"of those done"`
	Objects   int   `json:"objects"`
	Images    int   `json:"images"`
	ImagesOf  int   `json:"imagesTotal"`
	Unread    int   `json:"imagesFailed" doc:"of the images"`
	Findings  int   `json:"findings" doc:"seen so far"`
	Remaining int64 `json:"remainingMs" doc:"estimate; 0 when unknown or done"`

	Added  int `json:"added" doc:"findings that are new or came again"`
	Closed int `json:"closed" doc:"findings that are fixed or gone"`
}

// read fills in the fields that stand in the row as JSON.
func (t *Task) read() {
	_ = json.Unmarshal([]byte(t.Scan), &t.Parts) // we wrote it
	_ = json.Unmarshal([]byte(t.Limits), &t.Budget)
	if t.Parts == nil {
		t.Parts = []Part{}
	}
}

// Item is a row of task_items.
type Item struct {
	bun.BaseModel `bun:"table:task_items,alias:i" json:"-"`

	ID         int64      `bun:"id,pk,autoincrement" json:"id,string"`
	TaskID     int64      `bun:"task_id" json:"taskId,string"`
	TargetID   int64      `bun:"target_id" json:"targetId,string"`
	Kind       string     `bun:"kind" json:"kind" enum:"cluster,node,upload,image"`
	Name       string     `bun:"name" json:"name" doc:"of the cluster, project or node; the reference of an image"`
	Key        string     `bun:"key" json:"-"`
	Spec       string     `bun:"spec" json:"-"`
	Status     Status     `bun:"status" json:"status" enum:"ready,running,done,partial,failed,canceled"`
	Attempt    int        `bun:"attempt" json:"attempt"`
	Worker     string     `bun:"worker" json:"-"`
	Beat       int64      `bun:"beat" json:"-"`
	Failures   int        `bun:"failures" json:"-"`
	QueuedAt   store.Time `bun:"queued_at" json:"-"`
	NotBefore  store.Time `bun:"not_before" json:"notBefore,omitzero" format:"date-time" doc:"waits until then: for the pull rate, or before another attempt"`
	Stage      string     `bun:"progress" json:"-"`
	Result     string     `bun:"result" json:"digest,omitempty" doc:"of an image that was read"`
	Code       string     `bun:"code" json:"code,omitempty" doc:"class of the failure, as in what was not scanned"`
	Error      string     `bun:"error" json:"error,omitempty" doc:"why it failed"`
	CreatedAt  store.Time `bun:"created_at" json:"createdAt" format:"date-time"`
	StartedAt  store.Time `bun:"started_at" json:"startedAt,omitzero" format:"date-time"`
	FinishedAt store.Time `bun:"finished_at" json:"finishedAt,omitzero" format:"date-time"`

	Progress *Progress   `bun:"-" json:"progress,omitempty"`
	Run      *ledger.Run `bun:"-" json:"run,omitempty" doc:"what it changed; absent until it is done"`
}

// pool is the pool of workers that does the item.
func (i *Item) pool() string {
	if i.Kind == kindImage {
		return poolImages
	}
	return poolTargets
}

func (i *Item) read() {
	if i.Stage != "" {
		i.Progress = &Progress{}
		_ = json.Unmarshal([]byte(i.Stage), i.Progress) // we wrote it
	}
}

// Progress is how far the scan of a target is.
type Progress struct {
	Phase     string              `json:"phase" enum:"connecting,objects,images,saving,done"`
	Objects   int                 `json:"objects"`
	Images    int                 `json:"images"`
	ImagesOf  int                 `json:"imagesTotal"`
	Unread    int                 `json:"imagesFailed,omitempty"`
	Findings  int                 `json:"findings"`
	Parts     map[Part]*PartState `json:"items,omitempty"`
	Remaining int64               `json:"remainingMs,omitempty" doc:"estimate; 0 when unknown"`
}

// PartState is how far one part is.
type PartState struct {
	Phase    string `json:"phase" enum:"waiting,running,done"`
	Findings int    `json:"findings"`
}

// clusterSpec is Item.Spec of a cluster: empty for all of it.
type clusterSpec struct {
	Refs  []inventory.Ref `json:"refs,omitempty"`  // of a verify: these objects and images (triage.ImageRef)
	Watch bool            `json:"watch,omitempty"` // only the refs are read, with what belongs to them
	Known bool            `json:"known,omitempty"` // no image is pulled
	// Emergencies are those that people asked for; all are judged.
	Emergencies []string `json:"emergencies,omitempty"`
}

// Scope says what to scan.
type Scope struct {
	All     bool    // every cluster that there is
	Targets []int64 // or these
	Nodes   []Node  // or single nodes
	Images  []Image // or images that need not run anywhere, and nothing else
}

// Node names a node of a cluster.
type Node struct {
	Target int64  `json:"clusterId,string"`
	Name   string `json:"name"`
}

// checkParts returns the parts asked for in their order; none is all.
func checkParts(parts []Part) ([]Part, error) {
	if len(parts) == 0 {
		return Parts, nil
	}
	var out []Part
	for _, p := range Parts {
		if slices.Contains(parts, p) {
			out = append(out, p)
		}
	}
	for _, p := range parts {
		if !slices.Contains(Parts, p) {
			return nil, fmt.Errorf("%w: scan item %q: want some of %v", ErrInvalid, p, Parts)
		}
	}
	return out, nil
}
