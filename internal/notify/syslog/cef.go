package syslog

import (
	"strconv"
	"strings"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/notify/message"
)

// event writes an event, or one finding of it, in the Common Event Format.
func (s *Sender) event(d message.Document, f *message.DocumentFinding) string {
	class, name, severity := d.Topic, d.Title, d.Severity
	pairs := []pair{{"rt", strconv.FormatInt(d.At.UnixMilli(), 10)}, {"externalId", d.ID}, {"cat", d.Topic}, {"msg", d.Text}, {"request", d.Link}, {"cnt", count(d.Counts.Total)},
		{"reason", d.Details["reason"]}, {"outcome", d.Details["state"] + d.Details["status"]}}
	pairs = append(pairs, custom(1, "cluster", d.Target.Name)...)
	if f != nil {
		class, name, severity = f.Rule, f.Title, f.Severity
		pairs = []pair{{"rt", strconv.FormatInt(d.At.UnixMilli(), 10)}, {"externalId", d.ID + "." + f.ID}, {"cat", f.Kind}, {"outcome", f.Status}, {"request", f.Link}}
		for i, p := range []pair{{"cluster", f.Cluster}, {"namespace", f.Namespace}, {"resource", f.Resource}, {"image", f.Image}, {"package", strings.TrimSpace(f.Package + " " + f.Version)},
			{"exploited", flag(f.KEV)}} {
			pairs = append(pairs, custom(i+1, p.name, p.value)...)
		}
	}
	var b strings.Builder
	b.WriteString("CEF:0|Stockade|Stockade|" + header(s.version, 32) + "|" + header(class, 200) + "|" + header(name, 500) + "|" + strconv.Itoa(weight(severity)) + "|")
	space := ""
	for _, p := range pairs {
		if p.value != "" {
			b.WriteString(space + p.name + "=" + extension.Replace(message.Cut(message.Line(p.value), 1000)))
			space = " "
		}
	}
	return b.String()
}

// custom is a field of our own: CEF has six with a label.
func custom(n int, label, value string) []pair {
	if value == "" {
		return nil
	}
	key := "cs" + strconv.Itoa(n)
	return []pair{{key, value}, {key + "Label", label}}
}

// weight is the severity of CEF, 0 to 10.
func weight(s finding.Severity) int { return []int{1, 3, 5, 8, 10}[max(0, s.Rank())] }

var (
	extension  = strings.NewReplacer(`\`, `\\`, `=`, `\=`)
	headerMark = strings.NewReplacer(`\`, `\\`, `|`, `\|`)
)

// header escapes a field of the head, where pipes part the fields.
func header(s string, n int) string { return headerMark.Replace(message.Cut(message.Line(s), n)) }
