package oracle

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"stockade.dev/stockade/internal/collect/image/rpm"
)

// TestCorruptReal damages large real databases: zeroed pages, as lost writes leave them, and random bits.
func TestCorruptReal(t *testing.T) {
	for _, file := range databases(t) {
		dir := filepath.Base(filepath.Dir(file))
		if dir != "centos8-modularitylabel" && dir != "fedora35" && dir != "ubi8-s390x" {
			continue
		}
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		f := rpm.Files{Name: filepath.Base(file)}
		whole, err := rpm.Read(rpm.Files{Name: f.Name, Data: data}, rpm.Options{})
		if err != nil {
			t.Fatal(err)
		}
		rnd := rand.New(rand.NewPCG(3, 4))
		var slowest time.Duration
		silent := 0
		for i := range 100 {
			f.Data = append(f.Data[:0], data...)
			if i%2 == 0 {
				for range 6 {
					page := rnd.IntN(len(data)/4096) * 4096
					clear(f.Data[page : page+4096])
				}
			} else {
				for range 200 {
					f.Data[rnd.IntN(len(data))] ^= 1 << rnd.IntN(8)
				}
			}
			start := time.Now()
			got, err := rpm.Read(f, rpm.Options{})
			slowest = max(slowest, time.Since(start))
			if len(got) < len(whole)*9/10 {
				t.Logf("%s, damage %d: %d of %d packages", dir, i, len(got), len(whole))
			}
			if len(got) != len(whole) && err == nil {
				silent++
			}
		}
		if slowest > 20*time.Second { // a quarter of one on an idle machine; bench has the figure
			t.Errorf("%s: one took %v", dir, slowest)
		}
		if silent > 0 {
			t.Errorf("%s: %d times packages were lost without an error", dir, silent)
		}
		t.Logf("%s: slowest %v", dir, slowest)
	}
}
