package exhibit

import (
	"time"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/repair"
)

// Recorded is the state of objects that were kept when they came in.
const Recorded = "recorded"

// ShowRecorded shows an object as it was recorded. Places without a message of their own have said.
func ShowRecorded(o *inventory.Object, at time.Time, places []repair.Place, said finding.Text) *Object {
	out := &Object{State: Recorded, ReadAt: at, Name: nameOf(o.Ref()), FirstLine: 1}
	conceal(o)
	draw(out, o, places, said)
	return out
}

// NotRecorded says why there is no object to show.
func NotRecorded(ref inventory.Ref, at time.Time, why finding.Text) *Object {
	return &Object{State: Unavailable, Reason: why, ReadAt: at, Name: nameOf(ref), FirstLine: 1}
}
