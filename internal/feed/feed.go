// Package feed turns what publishers ship into rows of the advisory database. A Reader knows one format; quirks of a
// publisher end in its own room. Reading and fetching are apart: readers only see documents.
package feed

import (
	"context"
	"io"

	"stockade.dev/stockade/internal/advisory"
)

// Document is one file of a feed, or one member of an archive in it.
type Document struct {
	// Path is the slash path below the feeds folder. Members follow their archive, and the ending of a compression is taken
	// away: "almalinux/osv.tar/ALSA-1.json" for a member of osv.tar.zst, "epss/scores.csv" for scores.csv.gz.
	Path      string
	Publisher string // first element of Path: what the operator called the folder; a hint, the content decides
	Size      int64  // -1 when unknown
	Body      io.Reader
}

// Reader reads the documents of one format. Read is called for one document at a time and gives what it understood to the
// sink before an error; an error means that the document as a whole is broken. Records that are not understood one by one go
// to Sink.Refused.
type Reader struct {
	Name  string                              // of the format: "osv"
	Knows func(path string, head []byte) bool // by path and the first 4 KiB (decompressed)
	Read  func(ctx context.Context, d Document, s Sink) error
}

// Sink takes what readers understand. Feed names are "<publisher>-<format>", such as "almalinux-osv", and decide under which
// line of the report the record counts.
type Sink interface {
	Record(feed string) // one record (advisory, definition, CVE) was read
	Row(advisory.Row) error
	Vulnerability(advisory.Vulnerability) error
	Lifecycle(advisory.Lifecycle) error
	Repository(feed string, r advisory.Repository) error
	// Modified tells how new the feed is: the newest date that the feed names, RFC 3339.
	Modified(feed, date string)
	// Refused counts a record that was not taken, by reason. A reason is a short English phrase without the record's own
	// text: "no package name"; record says which.
	Refused(feed, record, reason string)
}
