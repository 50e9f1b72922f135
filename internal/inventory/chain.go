package inventory

import (
	"crypto/sha256"
	"encoding/binary"
)

// Labels with which builders name what an image was built on, by the OCI image specification.
const (
	LabelBaseName   = "org.opencontainers.image.base.name"
	LabelBaseDigest = "org.opencontainers.image.base.digest"
)

// MaxLayers bounds the layers that are told apart; builders stop at 127.
const MaxLayers = 512

// Chains returns a hash of the first layer, of the first two, and so on: an image was built on another when the last hash of
// that one is among its own before the last. Nil when layers cannot be told apart.
func (s *Software) Chains() []int64 {
	if len(s.Layers) == 0 || len(s.Layers) > MaxLayers {
		return nil
	}
	diffs, digests := true, true
	for _, l := range s.Layers {
		diffs, digests = diffs && l.DiffID != "", digests && l.Digest != ""
	}
	if !diffs && !digests {
		return nil
	}
	var sum [sha256.Size]byte
	out := make([]int64, len(s.Layers))
	for i, l := range s.Layers {
		id := l.DiffID
		if !diffs {
			id = l.Digest
		}
		sum = sha256.Sum256(append(sum[:], id...))
		out[i] = int64(binary.BigEndian.Uint64(sum[:8])) //nolint:gosec // any 64 bits do
	}
	return out
}
