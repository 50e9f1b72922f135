package message

import (
	"time"

	"stockade.dev/stockade/internal/finding"
)

// Document is an event in one language as it leaves, in JSON. It has every field, so that templates can name all of them.
type Document struct {
	Schema   string            `json:"schema"`
	ID       string            `json:"id"`
	Topic    string            `json:"topic"`
	Test     bool              `json:"test"`
	At       time.Time         `json:"at"`
	Severity finding.Severity  `json:"severity"`
	Title    string            `json:"title"`
	Text     string            `json:"text"`
	Link     string            `json:"link"`
	Target   Target            `json:"target"`
	Counts   Counts            `json:"counts"`
	Findings []DocumentFinding `json:"findings"`
	More     int               `json:"more"`
	Details  map[string]string `json:"details"`
	Parts    []DocumentPart    `json:"parts"`
	Report   *Report           `json:"report"`
}

// DocumentFinding is a finding in one language.
type DocumentFinding struct {
	ID        string           `json:"id"`
	Severity  finding.Severity `json:"severity"`
	Kind      string           `json:"kind"`
	Status    string           `json:"status"`
	New       bool             `json:"new"`
	Rule      string           `json:"rule"`
	Title     string           `json:"title"`
	Cluster   string           `json:"cluster"`
	Namespace string           `json:"namespace"`
	Resource  string           `json:"resource"`
	Image     string           `json:"image"`
	Package   string           `json:"package"`
	Version   string           `json:"version"`
	KEV       bool             `json:"kev"`
	Fixable   bool             `json:"fixable"`
	Priority  int              `json:"priority"`
	Link      string           `json:"link"`
}

// DocumentPart is an event of a digest in one language.
type DocumentPart struct {
	At    time.Time `json:"at"`
	Topic string    `json:"topic"`
	Title string    `json:"title"`
}

// In renders the event in a language, "en" or "zh".
func (e *Event) In(lang string) Document {
	d := Document{Schema: Schema, ID: e.ID, Topic: e.Topic, Test: e.Topic == "test", At: e.At.UTC(), Severity: e.Severity, Title: e.Title.In(lang),
		Text: e.Text.In(lang), Link: e.Link, Counts: e.Counts, Findings: []DocumentFinding{}, More: e.More, Details: e.Details, Parts: []DocumentPart{}, Report: e.Report}
	if e.Target != nil {
		d.Target = *e.Target
	}
	if d.Details == nil {
		d.Details = map[string]string{}
	}
	if d.Counts.Severity == nil {
		d.Counts.Severity = map[string]int{}
	}
	for _, f := range e.Findings {
		d.Findings = append(d.Findings, DocumentFinding{ID: f.ID, Severity: f.Severity, Kind: f.Kind, Status: f.Status, New: f.New, Rule: f.Rule,
			Title: f.Title.In(lang), Cluster: f.Cluster, Namespace: f.Namespace, Resource: f.Resource, Image: f.Image, Package: f.Package,
			Version: f.Version, KEV: f.KEV, Fixable: f.Fixable, Priority: f.Priority, Link: f.Link})
	}
	for _, p := range e.Parts {
		d.Parts = append(d.Parts, DocumentPart{At: p.At.UTC(), Topic: p.Topic, Title: p.Title.In(lang)})
	}
	return d
}
