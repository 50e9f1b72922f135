// Package thrift gives memory back that a process does not use: of the heap after work that needed much, and the pages of the
// program's own file that only its start touched.
package thrift

import (
	"context"
	"runtime/debug"
	gometrics "runtime/metrics"
	"time"
)

// slack is how much unused heap is worth giving back.
const slack = 16 << 20

// Run gives memory back that starting, or work that is over, needed, until ctx ends: the runtime would keep it for minutes and more.
func Run(ctx context.Context) {
	tick := time.NewTicker(30 * time.Second)
	defer tick.Stop()
	GiveBack()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		sample := []gometrics.Sample{{Name: "/memory/classes/heap/free:bytes"}, {Name: "/memory/classes/heap/objects:bytes"}, {Name: "/gc/heap/live:bytes"}}
		gometrics.Read(sample)
		if free, garbage := sample[0].Value.Uint64(), int64(sample[1].Value.Uint64())-int64(sample[2].Value.Uint64()); free > slack || garbage > slack { //nolint:gosec // bytes of memory
			GiveBack()
		}
	}
}

// GiveBack gives back at once: between steps of a start that each need much, so that they do not add up.
func GiveBack() {
	debug.FreeOSMemory()
	dropText()
}
