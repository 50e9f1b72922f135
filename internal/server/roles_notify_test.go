package server

import (
	"encoding/json"
	"fmt"

	"stockade.dev/stockade/internal/notify"
)

// channel is the body of a channel to an address that is never asked.
func channel(w *world, _ string) string {
	return fmt.Sprintf(`{"name":"channel %d","kind":"webhook","enabled":false,"settings":{"webhook":{"url":"https://hooks.example.com/x"}}}`, w.next())
}

func channelID(w *world) string {
	w.t.Helper()
	var in notify.ChannelInput
	if err := json.Unmarshal([]byte(channel(w, "")), &in); err != nil {
		w.t.Fatal(err)
	}
	in.Name = markAlpha + markBeta + in.Name
	c, err := w.rooms.notify.AddChannel(w.asRoot(), in)
	if err != nil {
		w.t.Fatal(err)
	}
	return fmt.Sprint("id=", c.ID)
}

func report(w *world, _ string) string {
	return fmt.Sprintf(`{"name":"report %d","form":"csv"}`, w.next())
}

// reportID is a report of the administrator's own.
func reportID(w *world) string {
	w.t.Helper()
	r, err := w.rooms.notify.AddReport(w.asRoot(), notify.ReportInput{Name: fmt.Sprint(markAlpha, markBeta, w.next()), Form: "csv"})
	if err != nil {
		w.t.Fatal(err)
	}
	return fmt.Sprint("id=", r.ID, " result=1")
}

var notifyNoun = noun{rows: map[string]row{
	"list-channels":   {want: "401 403 200 200 200 403 200 200 200"},
	"add-channel":     {want: "401 403 403 403 403 403 403 403 201", body: channel},
	"preview-channel": {want: forManagers, body: channel, quiet: "it sends and keeps nothing"},
	"get-channel":     {want: "401 403 404 404 404 403 404 404 200", path: channelID},
	"change-channel":  {want: forManagers, path: channelID, body: channel},
	"remove-channel":  {want: "401 403 403 403 403 403 403 403 204", path: channelID},
	"test-channel":    {want: forManagers, path: channelID},
	"list-deliveries": {want: "401 403 403 403 403 403 403 403 200"},
	"retry-delivery":  {want: "401 403 403 403 403 403 403 403 404", path: func(*world) string { return "id=1" }},

	"list-reports":        {want: forSignedIn},
	"add-report":          {want: "401 403 201 201 201 403 201 201 201", body: report},
	"get-report":          {want: "401 404 404 404 404 404 404 404 200", path: reportID},
	"change-report":       {want: "401 403 404 404 404 403 404 404 200", path: reportID, body: report},
	"remove-report":       {want: "401 403 404 404 404 403 404 404 204", path: reportID},
	"run-report":          {want: "401 403 404 404 404 403 404 404 202", path: reportID},
	"list-report-results": {want: "401 404 404 404 404 404 404 404 200", path: reportID},
	"download-report":     {want: "401 404 404 404 404 404 404 404 404", path: reportID},
}}
