//go:build linux

package agent

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"stockade.dev/stockade/internal/agent/protocol"
	"stockade.dev/stockade/internal/emergency"
	"stockade.dev/stockade/internal/inventory"
)

// Reader looks at the node. All of it only reads.
type Reader interface {
	Facts(ctx context.Context) (*inventory.NodeFacts, error)
	Software(ctx context.Context) (*inventory.Software, error)
	// Images reads the packages of local images, by digest of their configuration; of all that run when names is empty.
	Images(ctx context.Context, names []string, emit func(*inventory.Software) error) ([]inventory.SkipFact, error)
	Malware(ctx context.Context) (*protocol.Malware, error)
	// Verify judges emergencies by id, all when ids is empty, and says what it lacked for that.
	Verify(ctx context.Context, ids []string) ([]emergency.Result, []inventory.SkipFact, error)
}

// Round is one piece of work. It is done in a process of its own: what the agent keeps in memory stays small, processor and memory of
// the work are bounded from outside, and whatever a hostile node does to the reader ends with it.
type Round struct {
	Kind  protocol.WorkKind
	Names []string
	Work  int64  // that asked for it; 0 for the agent's own schedule
	Have  string // digest that the server has: an equal body is left out
	// Classes are those of checks that this node and the server allow.
	Classes []emergency.Class
	Out     string           // folder for the reports
	Now     func() time.Time `json:"-"`
}

// Do does a round and writes its reports. What cannot be read at all becomes a report that says so, where somebody asked.
func (r *Round) Do(ctx context.Context, from Reader) error {
	if r.Now == nil {
		r.Now = time.Now
	}
	var body any
	var skipped []inventory.SkipFact
	var err error
	switch r.Kind {
	case protocol.ReadFacts:
		var facts *inventory.NodeFacts
		if facts, err = from.Facts(ctx); err == nil {
			facts.ReadAt = "" // Report.At has it: the same facts have the same digest
			body, skipped = facts, facts.Skipped
		}
	case protocol.ReadPackages:
		body, err = from.Software(ctx)
	case protocol.ReadImages:
		var left []inventory.SkipFact
		left, err = from.Images(ctx, r.Names, func(sw *inventory.Software) error { return r.write(sw, false, "") })
		if err == nil {
			return r.write(nil, true, unread(left))
		}
	case protocol.FindMalware:
		body, err = from.Malware(ctx)
	case protocol.Verify:
		var results []emergency.Result
		results, skipped, err = from.Verify(ctx, r.Names)
		if results == nil {
			results = []emergency.Result{}
		}
		body = results
	default:
		err = fmt.Errorf("this agent does not know work of kind %q: it is too old", r.Kind)
	}
	switch {
	case err == nil:
		if err = r.write(body, true, ""); err == nil {
			err = r.keepNeeds(skipped)
		}
		return err
	case r.Work == 0:
		return err // nobody waits for a report: the agent tells it with its beats
	}
	return r.write(nil, true, err.Error())
}

// unread says which images were not read; "" when all were.
func unread(left []inventory.SkipFact) string {
	n, first := 0, ""
	for _, s := range left {
		if s.Check != inventory.LocalImagesCheck {
			continue
		}
		if n++; n == 1 {
			first = s.Needs + ": " + s.Reason
		}
	}
	switch n {
	case 0:
		return ""
	case 1:
		return "an image was not read: " + first
	}
	return fmt.Sprintf("%d images were not read, such as: %s", n, first)
}

// write puts a report into the folder, packed.
func (r *Round) write(body any, last bool, problem string) error {
	rep := protocol.Report{ID: newID(), Work: r.Work, Kind: r.Kind, At: r.Now().UTC(), Last: last, Error: problem}
	if body != nil && problem == "" {
		data, err := json.Marshal(body)
		if err != nil {
			return err
		}
		if len(data) > protocol.MaxReport-64<<10 {
			rep.Error = fmt.Sprintf("what was read is larger (%d MiB) than the server takes (%d MiB)", len(data)>>20, protocol.MaxReport>>20)
		} else {
			sum := sha256.Sum256(data)
			rep.Digest = hex.EncodeToString(sum[:])
			if rep.Digest != r.Have {
				rep.Body = data
			}
		}
	}
	data, err := json.Marshal(rep)
	if err != nil {
		return err
	}
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return err
	}
	// Names sort by the time they were made, and say the kind, the digest and whether somebody asked, so that the agent need not unpack them.
	end := packed
	if r.Work != 0 {
		end = asked
	}
	name := fmt.Sprintf("%020d-%s.%s%s", r.Now().UnixNano(), r.Kind, rep.Digest, end)
	if err := os.MkdirAll(r.Out, 0o700); err != nil {
		return err
	}
	return writeFile(r.Out, name, enc.EncodeAll(data, nil))
}

func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// digestOf is the digest in the name of a report.
func digestOf(name string) string {
	base := strings.TrimSuffix(strings.TrimSuffix(filepath.Base(name), asked), packed)
	if i := len(base) - 2*sha256.Size; i > 0 && base[i-1] == '.' {
		return base[i:]
	}
	return ""
}
