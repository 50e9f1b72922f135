package server

import (
	"context"

	"stockade.dev/stockade/internal/agent/protocol"
	"stockade.dev/stockade/internal/emergency"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/nodes"
	"stockade.dev/stockade/internal/urgent"
)

// hookUrgent lets agents have the list of emergencies and what they may do for it, and takes what they see. The room itself is made later.
func (r *rooms) hookUrgent(o *nodes.Options) {
	o.Emergencies = func(ctx context.Context) (string, []byte, error) { return r.urgent.ForAgents(ctx) }
	o.Classes = func(ctx context.Context, target int64) ([]emergency.Class, error) {
		return r.urgent.Allowed(ctx, target)
	}
	o.Findings = func(ctx context.Context, n nodes.Subject, kind protocol.WorkKind, body []byte) ([]*finding.Finding, error) {
		return r.urgent.Findings(ctx, n, kind, body)
	}
	o.Reported = func(ctx context.Context, n nodes.Subject, report *protocol.Report) { r.urgent.Reported(ctx, n, report) }
}

// wireUrgent makes the room of emergencies.
func (s *Server) wireUrgent() {
	r := &s.rooms
	r.urgent = urgent.New(urgent.Options{DB: s.db, Tasks: r.tasks, Agents: r.nodes, BuiltIn: s.o.Emergencies, Hub: r.hub, Log: s.log, Now: s.o.Now})
	r.tasks.SetUrgent(r.urgent)
}
