package task

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"
	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/release"
	"stockade.dev/stockade/internal/store"
)

// inventoryRow is a row of inventories.
type inventoryRow struct {
	bun.BaseModel `bun:"table:inventories"`

	Digest    string     `bun:"digest,pk"`
	Scanner   string     `bun:"scanner"`
	Reference string     `bun:"reference"`
	Packages  int        `bun:"packages"`
	ReadAt    store.Time `bun:"read_at"`
	UsedAt    store.Time `bun:"used_at"`
	Body      []byte     `bun:"body"`

	facts *factsRow // written with it
}

// maxInventory bounds an inventory as JSON.
const maxInventory = 512 << 20

var encoders = sync.Pool{New: func() any {
	z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedDefault))
	if err != nil { // the options are good
		panic(err)
	}
	return z
}}

func (s *Service) pack(sw *inventory.Software, digest string) (*inventoryRow, error) {
	data, err := json.Marshal(sw)
	if err != nil {
		return nil, err
	}
	if len(data) > maxInventory {
		return nil, fmt.Errorf("the inventory is larger than %d MiB", maxInventory>>20)
	}
	z := encoders.Get().(*zstd.Encoder)
	defer encoders.Put(z)
	now := store.At(s.now())
	return &inventoryRow{Digest: digest, Scanner: s.o.Scanner, Reference: sw.Name, Packages: len(sw.Packages), ReadAt: now, UsedAt: now, Body: z.EncodeAll(data, nil),
		facts: factsOf(sw, digest)}, nil
}

func unpackInventory(body []byte) (*inventory.Software, error) {
	z, err := zstd.NewReader(bytes.NewReader(body), zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	defer z.Close()
	sw := new(inventory.Software)
	if err := json.NewDecoder(io.LimitReader(z, maxInventory)).Decode(sw); err != nil {
		return nil, err
	}
	if sw.OS != nil { // what is known of releases may have grown since
		sw.OS.Release, sw.OS.Streams = release.Streams(sw.OS)
	}
	return sw, nil
}

func (s *Service) saveInventory(ctx context.Context, tx bun.Tx, row *inventoryRow) error {
	_, err := tx.NewInsert().Model(row).On("CONFLICT (digest) DO UPDATE").
		Set("scanner = EXCLUDED.scanner, reference = EXCLUDED.reference, packages = EXCLUDED.packages, read_at = EXCLUDED.read_at, used_at = EXCLUDED.used_at, body = EXCLUDED.body").Exec(ctx)
	if err != nil {
		return err
	}
	_, err = tx.NewInsert().Model(row.facts).On("CONFLICT (digest) DO UPDATE").
		Set("created_at = EXCLUDED.created_at, size = EXCLUDED.size, os = EXCLUDED.os, layers = EXCLUDED.layers, base_name = EXCLUDED.base_name, base_digest = EXCLUDED.base_digest, chain = EXCLUDED.chain, chains = EXCLUDED.chains").Exec(ctx)
	return err
}

// nameInventory lets an inventory be found by other digests of the same image.
func (s *Service) nameInventory(ctx context.Context, tx bun.Tx, digest string, names []string) error {
	for _, n := range names {
		if _, err := tx.NewRaw("INSERT INTO inventory_names (name, digest) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET digest = EXCLUDED.digest", n, digest).Exec(ctx); err != nil {
			return err
		}
	}
	return nil
}

// knownImages returns the digests of the inventories for names, of the readers in use.
func (s *Service) knownImages(ctx context.Context, names []string) (map[string]string, error) {
	if len(names) == 0 {
		return nil, nil
	}
	var rows []struct{ Name, Digest string }
	err := s.db.R.NewRaw(`SELECT n.name, n.digest FROM inventory_names n JOIN inventories v ON v.digest = n.digest WHERE n.name IN (?) AND v.scanner = ?`,
		in(names), s.o.Scanner).Scan(ctx, &rows)
	out := make(map[string]string, len(rows))
	for _, r := range rows {
		out[r.Name] = r.Digest
	}
	return out, err
}

// inventory reads the inventory of an image by one of its digests.
func (s *Service) inventory(ctx context.Context, name string) (*inventory.Software, error) {
	var body []byte
	err := s.db.R.NewRaw("SELECT v.body FROM inventory_names n JOIN inventories v ON v.digest = n.digest WHERE n.name = ?", name).Scan(ctx, &body)
	if err != nil {
		return nil, store.NotFound(err)
	}
	return unpackInventory(body)
}

// Inventory reads what the image of a digest holds, as the last scan of it saw it.
func (s *Service) Inventory(ctx context.Context, digest string) (*inventory.Software, error) {
	return s.inventory(ctx, digest)
}

// touch notes that inventories are in use, once a day.
func (s *Service) touch(ctx context.Context, digests []string) error {
	now := s.now()
	for len(digests) > 0 {
		n := min(len(digests), 500)
		err := s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
			_, err := tx.NewRaw("UPDATE inventories SET used_at = ? WHERE digest IN (?) AND used_at < ?", store.At(now), in(digests[:n]), store.At(now.AddDate(0, 0, -1))).Exec(ctx)
			return err
		})
		if err != nil {
			return err
		}
		digests = digests[n:]
	}
	return nil
}
