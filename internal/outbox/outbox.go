// Package outbox keeps messages about changes from the transaction of the change until they are delivered, so that none is lost
// and none is told of a change that was taken back.
package outbox

import (
	"context"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/store"
)

// The topics.
const (
	FindingsChanged   = "findings.changed"   // body ledger.Change
	ClusterState      = "cluster.state"      // {"cluster","state","reason"}
	TaskFinished      = "task.finished"      // {"task","name","status","failed"}
	ExceptionAsked    = "exception.asked"    // {"exception","reason","requester"}
	ExceptionDecided  = "exception.decided"  // {"exception","status","approver"}
	ExceptionEnded    = "exception.ended"    // {"exception","why","reopened"}
	ExceptionExpiring = "exception.expiring" // {"exception","expires","reason","requester"}: some days before its end, once
	ReportDue         = "report.due"         // {"report"}
)

// Message is a row of the table outbox.
type Message struct {
	bun.BaseModel `bun:"table:outbox,alias:o"`

	ID       int64      `bun:"id,pk,autoincrement"`
	Topic    string     `bun:"topic"`
	TargetID int64      `bun:"target_id"`
	At       store.Time `bun:"at"`
	Body     string     `bun:"body"`
}

// Put writes a message in the transaction of the change that it tells.
func Put(ctx context.Context, tx bun.IDB, topic string, target int64, body any) error {
	_, err := tx.NewInsert().Model(&Message{Topic: topic, TargetID: target, At: store.At(time.Now()), Body: ledger.JSON(body)}).Exec(ctx)
	return err
}
