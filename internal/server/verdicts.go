package server

import (
	"context"

	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/verdict"
)

// wireVerdicts makes the room of verdicts on images.
func (s *Server) wireVerdicts() {
	r := &s.rooms
	r.verdicts = verdict.New(verdict.Options{DB: s.db, Hub: r.hub, Tasks: r.tasks, Bundles: bundles{r}, Turned: r.admission.TurnedFrom, Log: s.log, Now: s.o.Now})
}

// bundles are what holds in clusters. The room that knows is made after this one.
type bundles struct{ r *rooms }

// Bundle implements verdict.Bundles.
func (b bundles) Bundle(ctx context.Context, target int64) (*policy.Bundle, error) {
	return b.r.protect.Bundle(ctx, target)
}
