package nodes

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/agent/protocol"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/live"
	"stockade.dev/stockade/internal/store"
)

// reportID is what agents name reports by; digests are what they name contents by.
var (
	reportID     = regexp.MustCompile(`^[A-Za-z0-9._:-]{1,80}$`)
	digestForm   = regexp.MustCompile(`^(sha256:)?[0-9a-f]{64}$`)
	imageDigest  = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
	errDuplicate = errors.New("taken before")
)

// freshFor is how long ago facts may have been read to count as read now.
const freshFor = 5 * time.Minute

// maxPackages bounds an inventory that an agent brings.
const maxPackages = 50_000

var encoders = sync.Pool{New: func() any {
	z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil { // the options are good
		panic(err)
	}
	return z
}}

func pack(data []byte) []byte {
	z := encoders.Get().(*zstd.Encoder)
	defer encoders.Put(z)
	return z.EncodeAll(data, nil)
}

// unpack opens what the database has. It was bounded when it came in.
func unpack(body []byte) ([]byte, error) {
	z, err := zstd.NewReader(bytes.NewReader(body), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(2*protocol.MaxReport))
	if err != nil {
		return nil, err
	}
	defer z.Close()
	return io.ReadAll(io.LimitReader(z, 2*protocol.MaxReport))
}

// taken is what is to be written of a report.
type taken struct {
	body    []byte // nil: nothing changed
	summary string // of facts
	images  []string
	at      time.Time
}

// Take takes in what the agent of a node read. Who it is says the certificate; names in the report count for nothing. A report that
// comes twice counts once, and one that brings what is there already costs no write of it.
func (s *Service) Take(ctx context.Context, id int64, r *protocol.Report) error {
	who, err := s.known(ctx, id)
	if err != nil {
		return err
	}
	if !reportID.MatchString(r.ID) || r.Digest != "" && !digestForm.MatchString(r.Digest) {
		return invalid("the report's id or digest is not of the form that the protocol says")
	}
	if len(r.Body) > 0 && r.Digest != "" && !holds(r) {
		return invalid("the report's digest is not that of its body: it was changed on the way, or made wrongly")
	}
	s.mu.Lock()
	var facts, software string
	skewed := false
	if p := s.peers[id]; p != nil {
		facts, software, skewed = p.facts, p.software, p.next.skew != 0
	}
	s.mu.Unlock()
	now := s.now()
	t := taken{at: r.At}
	if skewed || r.At.Sub(now) > protocol.SkewAllowed || r.At.Year() < 2000 { // a report may have waited on the node's disk: the past is no fault
		t.at = now
	}
	have := map[protocol.WorkKind]string{protocol.ReadFacts: facts, protocol.ReadPackages: software}[r.Kind]
	switch {
	case r.Error != "" && len(r.Body) == 0:
	case r.Kind != protocol.ReadFacts && r.Kind != protocol.ReadPackages && r.Kind != protocol.ReadImages && r.Kind != protocol.FindMalware && r.Kind != protocol.Verify:
		return invalid("a report of kind %q", clip(string(r.Kind), 20))
	case len(r.Body) == 0 && (r.Kind == protocol.ReadFacts || r.Kind == protocol.ReadPackages):
		if r.Digest == "" || r.Digest != have {
			return ErrBase
		}
	case len(r.Body) > 0 && r.Digest != "" && r.Digest == have:
	case len(r.Body) > 0:
		if err := s.open(who, r, &t); err != nil {
			return err
		}
	}
	err = s.write(ctx, who, r, &t)
	if errors.Is(err, errDuplicate) {
		return nil
	}
	if err != nil {
		return err
	}
	s.mu.Lock()
	if p := s.peers[id]; p != nil {
		p.seen = now
		switch {
		case t.body != nil && r.Kind == protocol.ReadFacts:
			p.facts = r.Digest
		case t.body != nil && r.Kind == protocol.ReadPackages:
			p.software = r.Digest
		case r.Kind == protocol.ReadFacts && r.Error == "":
			if now.Sub(t.at) < freshFor {
				p.read = now // it is written with the contacts
			}
		}
	}
	s.mu.Unlock()
	if t.body != nil || r.Work != 0 {
		s.o.Hub.Publish(ctx, live.Event{Topic: Topic, Target: who.Target, ID: id})
	}
	if s.o.Reported != nil {
		s.o.Reported(ctx, who, r)
	}
	return nil
}

// holds reports whether the digest of a report is that of its body: contents are known by it, so it must not be one's word.
func holds(r *protocol.Report) bool {
	sum := sha256.Sum256(r.Body)
	return strings.TrimPrefix(r.Digest, "sha256:") == hex.EncodeToString(sum[:])
}

// open reads a report's body, makes it the node's own and takes out what should not be in it.
func (s *Service) open(who Subject, r *protocol.Report, t *taken) error {
	if r.Digest == "" {
		return invalid("a body without its digest")
	}
	switch r.Kind {
	case protocol.ReadFacts:
		f := new(inventory.NodeFacts)
		if err := json.Unmarshal(r.Body, f); err != nil {
			return invalid("the facts are not what the protocol says")
		}
		own(f, who.Name, t.at)
		t.summary = summarize(f)
		return t.put(f)
	case protocol.ReadPackages:
		sw := new(inventory.Software)
		if err := json.Unmarshal(r.Body, sw); err != nil || len(sw.Packages) > maxPackages {
			return invalid("the inventory is not what the protocol says")
		}
		sw.Kind, sw.Name, sw.Image = "node", who.Name, nil
		return t.put(sw)
	case protocol.ReadImages:
		sw := new(inventory.Software)
		if err := json.Unmarshal(r.Body, sw); err != nil || len(sw.Packages) > maxPackages || sw.Image == nil {
			return invalid("the inventory of an image is not what the protocol says")
		}
		for _, d := range []string{sw.Image.Digest, sw.Image.ConfigID} {
			if imageDigest.MatchString(d) {
				t.images = append(t.images, d)
			}
		}
		if len(t.images) == 0 {
			return invalid("the inventory is of no image that has a digest")
		}
		sw.Kind = "image"
		sw.Image.Env, sw.Image.Cmd, sw.Image.Entry = hideAll(sw.Image.Env), hideAll(sw.Image.Cmd), hideAll(sw.Image.Entry)
		return t.put(sw)
	case protocol.FindMalware:
		m := new(protocol.Malware)
		if err := json.Unmarshal(r.Body, m); err != nil {
			return invalid("the report of malicious files is not what the protocol says")
		}
		return t.put(bounded(m))
	}
	if !json.Valid(r.Body) {
		return invalid("the report is no JSON")
	}
	t.body = pack(r.Body)
	return nil
}

func (t *taken) put(v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	t.body = pack(data)
	return nil
}

// write keeps what is new of a report, and ends the work that it answers, in one transaction.
func (s *Service) write(ctx context.Context, who Subject, r *protocol.Report, t *taken) error {
	if t.body == nil && r.Work == 0 {
		return nil
	}
	now := store.At(s.now())
	return s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		res, err := tx.NewRaw("INSERT INTO node_reports (node_id, report, at) SELECT id, ?, ? FROM nodes WHERE id = ? AND enrolled_at > 0 ON CONFLICT DO NOTHING", r.ID, now, who.ID).Exec(ctx)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, errDuplicate) // or the node was forgotten this moment
		}
		if t.body != nil && r.Kind == protocol.ReadImages {
			// Images are of the cluster: a node is heard of them when it was asked, and not of whatever it likes.
			asked, err := tx.NewSelect().Model((*Work)(nil)).Where("id = ? AND node_id = ? AND kind = ?", r.Work, who.ID, string(r.Kind)).Exists(ctx)
			if err != nil {
				return err
			}
			if !asked {
				return invalid("nobody asked the node for images")
			}
		}
		if t.body != nil {
			if err := s.keepBody(ctx, tx, who, r, t); err != nil {
				return err
			}
		}
		if r.Work != 0 && r.Last {
			status := Done
			if r.Error != "" {
				status = Failed
			}
			_, err := tx.NewRaw("UPDATE node_work SET status = ?, error = ?, ended_at = ? WHERE id = ? AND node_id = ? AND kind = ? AND status = ?",
				status, clip(r.Error, maxReason), now, r.Work, who.ID, string(r.Kind), Open).Exec(ctx)
			if err != nil {
				return err
			}
			s.ended(who.ID, r.Work)
		}
		return nil
	})
}

// ended takes work out of what the agent is told.
func (s *Service) ended(node, work int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.work[node]
	for i := range list {
		if list[i].ID == work {
			s.work[node] = append(append([]protocol.Work{}, list[:i]...), list[i+1:]...)
			return
		}
	}
}

func (s *Service) keepBody(ctx context.Context, tx bun.Tx, who Subject, r *protocol.Report, t *taken) error {
	now := store.At(s.now())
	at := store.At(t.at)
	if r.Kind == protocol.ReadImages {
		for _, d := range t.images {
			_, err := tx.NewRaw(`INSERT INTO node_images (target_id, digest, node_id, at, body) VALUES (?, ?, ?, ?, ?)
				ON CONFLICT (target_id, digest) DO UPDATE SET node_id = EXCLUDED.node_id, at = EXCLUDED.at, body = EXCLUDED.body`, who.Target, d, who.ID, at, t.body).Exec(ctx)
			if err != nil {
				return err
			}
		}
		return nil
	}
	_, err := tx.NewRaw(`INSERT INTO node_bodies (node_id, kind, digest, at, body) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (node_id, kind) DO UPDATE SET digest = EXCLUDED.digest, at = EXCLUDED.at, body = EXCLUDED.body`, who.ID, string(r.Kind), r.Digest, at, t.body).Exec(ctx)
	if err != nil {
		return err
	}
	q := tx.NewUpdate().Model((*Row)(nil)).Set("dirty_at = CASE WHEN dirty_at = 0 THEN ? ELSE dirty_at END", now).Where("id = ?", who.ID)
	switch r.Kind {
	case protocol.ReadFacts:
		q = q.Set("facts_digest = ?", r.Digest).Set("facts_at = ?", at).Set("summary = ?", t.summary)
	case protocol.ReadPackages:
		q = q.Set("software_digest = ?", r.Digest).Set("software_at = ?", at)
	}
	_, err = q.Exec(ctx)
	return err
}
