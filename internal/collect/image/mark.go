package image

import (
	"bytes"
	"encoding/hex"
	"strings"

	"stockade.dev/stockade/internal/inventory"
)

// mostMarked bounds a file that is searched for a mark.
const mostMarked = 32 << 20

// mark is a run of bytes that tells of a file what its package's version does not. Emergencies ask for marks by name.
type mark struct {
	name  string
	wants func(base string) bool
	bytes []byte
}

// marks lists them. A mark that is added raises Engine: inventories of before do not know it.
var marks = []mark{
	// The function that the releases 5.6.0 and 5.6.1 of xz put into liblzma (CVE-2024-3094), as its finder published it.
	{"xz-backdoor", func(base string) bool { return strings.HasPrefix(base, "liblzma.so") },
		fromHex("f30f1efa554889f54c89ce5389fb81e7000000804883ec28488954241848894c2410")},
}

func fromHex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err) // a constant of this file
	}
	return b
}

func wantsMark(f *file) bool {
	for i := range marks {
		if marks[i].wants(f.base) {
			return true
		}
	}
	return false
}

func readMark(_ *walker, f *file, data []byte, out *fileResult) error {
	for i := range marks {
		if m := &marks[i]; m.wants(f.base) && bytes.Contains(data, m.bytes) {
			out.Hits = append(out.Hits, inventory.Hit{Kind: "mark", Rule: m.name, Path: f.path})
		}
	}
	return nil
}
