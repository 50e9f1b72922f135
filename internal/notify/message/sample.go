package message

import (
	"time"

	"stockade.dev/stockade/internal/finding"
)

// Sample is an event with every field filled, for test messages and previews. Its topic is "test".
func Sample(id string, at time.Time, link string) *Event {
	title, _ := Told("test", nil)
	e := &Event{ID: id, Topic: "test", At: at, Severity: finding.High, Title: title,
		Text:   finding.Text{EN: "Nothing was found: the finding below is an example.", ZH: "没有发现任何问题:下面的风险是示例。"},
		Target: &Target{ID: "1", Kind: "cluster", Name: "example"}, Link: link,
		Counts:  Counts{Total: 1, New: 1, Severity: map[string]int{"high": 1}},
		Details: map[string]string{"name": "example"}}
	e.Findings = []Finding{{ID: "1", Severity: finding.High, Kind: "configuration", Status: "open", New: true, Rule: "workload/privileged-container",
		Title: finding.Text{EN: "Example: privileged container", ZH: "示例:特权容器"}, Cluster: "example", Namespace: "shop", Resource: "till",
		Image: "registry.example.com/shop/till:1.0", Priority: 70, Link: link}}
	return e
}
