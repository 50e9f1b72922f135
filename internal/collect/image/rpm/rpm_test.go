package rpm

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/adler32"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"stockade.dev/stockade/internal/inventory"
)

// fixture unpacks a file of testdata.
func fixture(t testing.TB, name string) []byte {
	t.Helper()
	packed, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	d, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	data, err := d.DecodeAll(packed, nil)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// tagged is a value of a header to be made: string, []string, uint32 or []uint32.
type tagged struct {
	tag   uint32
	value any
}

// makeHeader writes a package header.
func makeHeader(values ...tagged) []byte {
	var index, store []byte
	for _, v := range values {
		kind, count := uint32(typeString), 1
		switch v.value.(type) {
		case uint32, []uint32:
			for len(store)%4 != 0 {
				store = append(store, 0)
			}
		}
		offset := len(store)
		switch x := v.value.(type) {
		case string:
			store = append(append(store, x...), 0)
		case []string:
			kind, count = typeStringArray, len(x)
			for _, s := range x {
				store = append(append(store, s...), 0)
			}
		case uint32:
			kind = typeInt32
			store = binary.BigEndian.AppendUint32(store, x)
		case []uint32:
			kind, count = typeInt32, len(x)
			for _, n := range x {
				store = binary.BigEndian.AppendUint32(store, n)
			}
		}
		for _, n := range []uint32{v.tag, kind, uint32(offset), uint32(count)} {
			index = binary.BigEndian.AppendUint32(index, n)
		}
	}
	head := binary.BigEndian.AppendUint32(nil, uint32(len(values)))
	head = binary.BigEndian.AppendUint32(head, uint32(len(store)))
	return slices.Concat(head, index, store)
}

// simple makes a header of a package with a padding file list, so that it takes more than a page.
func simple(name, version string, more ...tagged) []byte {
	return makeHeader(append([]tagged{{tagName, name}, {tagVersion, version}, {tagRelease, "1"}, {tagArch, "noarch"},
		{tagOldFilenames, []string{"/usr/share/" + strings.Repeat(name, 400), "/etc/" + name}}}, more...)...)
}

// makeNDB writes an NDB file of the headers.
func makeNDB(headers ...[]byte) []byte {
	slots := make([]byte, ndbPage)
	copy(slots, "RpmP")
	binary.LittleEndian.PutUint32(slots[12:], 1)
	var blobs []byte
	for i, h := range headers {
		at := ndbPage + len(blobs)
		piece := append([]byte(ndbHeadMark), make([]byte, 12)...)
		binary.LittleEndian.PutUint32(piece[4:], uint32(i+1))
		binary.LittleEndian.PutUint32(piece[12:], uint32(len(h)))
		piece = append(piece, h...)
		for (len(piece)+ndbTail)%ndbBlock != 0 {
			piece = append(piece, 0)
		}
		piece = binary.LittleEndian.AppendUint32(piece, adler32.Checksum(piece))
		piece = binary.LittleEndian.AppendUint32(piece, uint32(len(h)))
		piece = append(piece, ndbTailMark...)
		blobs = append(blobs, piece...)
		s := slots[ndbBlock*(i+2):]
		copy(s, ndbSlotMark)
		binary.LittleEndian.PutUint32(s[4:], uint32(i+1))
		binary.LittleEndian.PutUint32(s[8:], uint32(at/ndbBlock))
		binary.LittleEndian.PutUint32(s[12:], uint32(len(piece)/ndbBlock))
	}
	for at := ndbBlock * (len(headers) + 2); at < ndbPage; at += ndbBlock {
		copy(slots[at:], ndbSlotMark)
	}
	return append(slots, blobs...)
}

func names(packages []inventory.Package) string {
	var out []string
	for _, p := range packages {
		out = append(out, p.Name+" "+p.Version)
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

func TestHeader(t *testing.T) {
	base := []tagged{{tagName, "nodejs"}, {tagVersion, "12.22.1"}, {tagRelease, "1.module"}, {tagEpoch, uint32(1)}, {tagArch, "x86_64"},
		{tagSourceRPM, "nodejs-12.22.1-1.module.src.rpm"}, {tagVendor, "Some Vendor"}, {tagLicense, "MIT"}}
	with := func(t ...tagged) []tagged { return append(slices.Clone(base), t...) }
	plain := inventory.Package{Type: inventory.RPM, Name: "nodejs", Version: "1:12.22.1-1.module", Arch: "x86_64",
		Vendor: "Some Vendor", License: "MIT", Evidence: "database"}
	change := func(f func(*inventory.Package)) inventory.Package { p := plain; f(&p); return p }
	for _, c := range []struct {
		name   string
		values []tagged
		want   inventory.Package
		err    string
	}{
		{"plain", base, plain, ""},
		{"module", with(tagged{tagModularityLabel, "nodejs:12:8040:522a"}), change(func(p *inventory.Package) { p.Module = "nodejs:12:8040:522a" }), ""},
		{"none", with(tagged{tagModularityLabel, "(none)"}, tagged{tagVendor, "(none)"}), change(func(p *inventory.Package) { p.Vendor = "" }), ""},
		{"other source", with(tagged{tagSourceRPM, "node-12-3.src.rpm"}), change(func(p *inventory.Package) { p.Source, p.SourceVersion = "node", "1:12-3" }), ""},
		{"nosrc", with(tagged{tagSourceRPM, "nodejs-12.22.1-1.module.nosrc.rpm"}), plain, ""},
		{"no source", with(tagged{tagSourceRPM, "(none)"}), plain, ""},
		{"strange source", with(tagged{tagSourceRPM, "nodejs"}), plain, "no name-version-release"},
		{"epoch 0", with(tagged{tagEpoch, uint32(0)}), change(func(p *inventory.Package) { p.Version = "12.22.1-1.module" }), ""},
		{"epoch is text", with(tagged{tagEpoch, "one"}), inventory.Package{}, "tag 1003"},
		{"blank in the name", with(tagged{tagName, "a b"}), inventory.Package{}, "tag 1000"},
		{"no version", with(tagged{tagVersion, ""}), inventory.Package{}, "tag 1001"},
		{"key", with(tagged{tagName, "gpg-pubkey"}), inventory.Package{}, ""},
		{"changelog", with(tagged{tagChangelogText, []string{"- fix CVE-2021-22930, cve-2020-8201 (#1)", "CAN-2004-0001 CVE-2021-22930 XCVE-2000-0001 CVE-20-1 CVE-2021-12"}}),
			change(func(p *inventory.Package) { p.Fixed = []string{"CVE-2004-0001", "CVE-2020-8201", "CVE-2021-22930"} }), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Read(Files{Name: "Packages.db", Data: makeNDB(makeHeader(c.values...))}, Options{Changelog: true})
			if (err != nil) != (c.err != "") || err != nil && (!strings.Contains(err.Error(), c.err) || !strings.Contains(err.Error(), "Packages.db: offset 4096")) {
				t.Errorf("error %v, want %q", err, c.err)
			}
			var want []inventory.Package
			if c.want.Name != "" {
				want = []inventory.Package{c.want}
			}
			if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
}

func TestOwned(t *testing.T) {
	h := makeHeader(tagged{tagName, "a"}, tagged{tagVersion, "1"}, tagged{tagRelease, "1"},
		tagged{tagBasenames, []string{"bin", "sh", "README"}}, tagged{tagDirNames, []string{"/usr/", "/usr/share/"}}, tagged{tagDirIndexes, []uint32{0, 0, 1}})
	var got []string
	if _, err := Read(Files{Data: makeNDB(h)}, Options{Owned: func(p string, n int) { got = append(got, fmt.Sprint(n, p)) }}); err != nil {
		t.Error(err)
	}
	if s := strings.Join(got, " "); s != "0usr/bin 0usr/sh 0usr/share/README" {
		t.Error(s)
	}
	// An index that points nowhere, and a limit.
	h = makeHeader(tagged{tagName, "a"}, tagged{tagVersion, "1"}, tagged{tagBasenames, []string{"x"}}, tagged{tagDirNames, []string{"/"}}, tagged{tagDirIndexes, []uint32{7}})
	if p, err := Read(Files{Data: makeNDB(h)}, Options{Owned: func(string, int) { t.Error("called") }}); err == nil || len(p) != 1 {
		t.Error(p, err)
	}
}

func TestLimits(t *testing.T) {
	data := makeNDB(simple("a", "1"), simple("b", "1"), simple("c", "1"))
	if p, err := Read(Files{Data: data}, Options{MaxPackages: 2}); err == nil || len(p) != 2 {
		t.Error(len(p), err)
	}
	if p, err := Read(Files{Data: data}, Options{MaxBytes: 1000}); err == nil || len(p) != 0 {
		t.Error(len(p), err)
	}
	for _, data := range [][]byte{nil, []byte("x"), []byte(sqliteMagic), make([]byte, 5000), []byte("RpmP")} {
		if _, err := Read(Files{Name: "Packages", Data: data}, Options{}); err == nil {
			t.Errorf("%.20q: no error", data)
		}
	}
}

// swap turns a little-endian Berkeley DB hash into a big-endian one. Headers themselves are the same in both.
func swap(data []byte) []byte {
	out := bytes.Clone(data)
	four := func(at int) { slices.Reverse(out[at : at+4]) }
	two := func(at int) { slices.Reverse(out[at : at+2]) }
	size := int(binary.LittleEndian.Uint32(data[20:]))
	for page := 0; page < len(data); page += size {
		kind := data[page+25]
		if page == 0 {
			for _, at := range []int{8, 12, 16, 20, 28, 32, 36, 40, 44, 48, 72, 76, 80, 84, 88, 92} {
				four(at)
			}
			continue
		}
		for _, at := range []int{8, 12, 16} {
			four(page + at)
		}
		entries := int(binary.LittleEndian.Uint16(data[page+20:]))
		two(page + 20)
		two(page + 22)
		if kind != bdbHash && kind != bdbHashUnsorted {
			continue
		}
		for i := range entries {
			item := page + int(binary.LittleEndian.Uint16(data[page+bdbPageHeader+2*i:]))
			two(page + bdbPageHeader + 2*i)
			if data[item] == bdbOffPage {
				four(item + 4)
				four(item + 8)
			}
		}
	}
	return out
}

func TestBerkeley(t *testing.T) {
	data := fixture(t, "libuuid.Packages.zst")
	for name, data := range map[string][]byte{"little-endian": data, "big-endian": swap(data)} {
		got, err := Read(Files{Name: "Packages", Data: data}, Options{})
		if err != nil || names(got) != "libuuid 2.32.1-42.el8_8" && len(got) != 1 {
			t.Errorf("%s: %s, %v", name, names(got), err)
		}
	}
	// Zeroed pages: of the bucket, which only the count shows, and of the chain.
	size := int(binary.LittleEndian.Uint32(data[20:]))
	for page := size; page < len(data); page += size {
		kind, used := data[page+25], binary.LittleEndian.Uint16(data[page+20:])
		if kind != bdbOverflow && (kind != bdbHash || used == 0) {
			continue
		}
		broken := bytes.Clone(data)
		clear(broken[page : page+size])
		if got, err := Read(Files{Name: "Packages", Data: broken}, Options{}); err == nil {
			t.Errorf("page %d of type %d zeroed: %d packages and no error", page/size, kind, len(got))
		}
	}
}

// TestLoop: a chain of pages that leads back to itself is what other readers hang on.
func TestLoop(t *testing.T) {
	data := fixture(t, "libuuid.Packages.zst")
	size := int(binary.LittleEndian.Uint32(data[20:]))
	loops := 0
	for page := size; page < len(data); page += size {
		if data[page+25] == bdbOverflow {
			copy(data[page+16:page+20], data[page+8:page+12])
			loops++
		}
	}
	got, err := Read(Files{Name: "Packages", Data: data}, Options{})
	if loops == 0 || len(got) != 0 || err == nil || !strings.Contains(err.Error(), "comes twice") {
		t.Error(loops, got, err)
	}
}

func TestNDB(t *testing.T) {
	good := makeNDB(simple("a", "1"), simple("b", "2"), simple("c", "3"))
	good = append(good, make([]byte, 2*ndbPage)...) // room after the last package, as deleted ones leave it
	if got, err := Read(Files{Data: good}, Options{}); err != nil || names(got) != "a 1-1, b 2-1, c 3-1" {
		t.Error(names(got), err)
	}
	b := int(binary.LittleEndian.Uint32(good[ndbBlock*3+8:])) * ndbBlock
	for name, c := range map[string]struct {
		at    int
		to    string
		names string
	}{
		"mark of a package": {b, "x", "a 1-1, c 3-1"},
		"check sum":         {b + 300, "\x00", "a 1-1, b 2-1, c 3-1"},
		"slot":              {ndbBlock * 3, "x", "a 1-1, c 3-1"},
		"pages":             {12, "\xff\xff\xff\xff", "a 1-1, b 2-1, c 3-1"},
		"length":            {ndbBlock*3 + 12, "\xff\xff\xff\xff", "a 1-1, c 3-1"},
		"same block twice":  {ndbBlock*3 + 8, string(good[ndbBlock*2+8 : ndbBlock*2+12]), "a 1-1, c 3-1"},
	} {
		bad := bytes.Clone(good)
		copy(bad[c.at:], c.to)
		if got, err := Read(Files{Data: bad}, Options{}); err == nil || names(got) != c.names {
			t.Errorf("%s: %s, %v", name, names(got), err)
		}
	}
}

// TestWALOrder: logs of big-endian machines have big-endian check sums. The fixture has 2 packages in the file and 4 with
// the log.
func TestWALOrder(t *testing.T) {
	const size = 512
	data, log := fixture(t, "small.rpmdb.sqlite.zst"), fixture(t, "small.rpmdb.sqlite-wal.zst")
	read := func() {
		t.Helper()
		if got, err := Read(Files{Data: data, WAL: log}, Options{}); err != nil || len(got) != 4 {
			t.Error(len(got), err)
		}
	}
	read()
	log[3] |= 1
	s0, s1 := walSum(binary.BigEndian, 0, 0, log[:24])
	binary.BigEndian.PutUint32(log[24:], s0)
	binary.BigEndian.PutUint32(log[28:], s1)
	for at := walHeader; at < len(log); at += walFrame + size {
		if string(log[at+8:at+16]) != string(log[16:24]) {
			break
		}
		s0, s1 = walSum(binary.BigEndian, s0, s1, log[at:at+8])
		s0, s1 = walSum(binary.BigEndian, s0, s1, log[at+walFrame:at+walFrame+size])
		binary.BigEndian.PutUint32(log[at+16:], s0)
		binary.BigEndian.PutUint32(log[at+20:], s1)
	}
	read()
}

func TestFixtures(t *testing.T) {
	for name, want := range map[string]int{"sle15-bci.Packages.db.zst": 35, "mariner2-part.rpmdb.sqlite.zst": 32} {
		if got, err := Read(Files{Name: name, Data: fixture(t, name)}, Options{}); err != nil || len(got) != want {
			t.Errorf("%s: %d packages, want %d: %v", name, len(got), want, err)
		}
	}
}

// corruptions are damages that files meet: bits, zeroed and swapped pages, cuts, counts that are wild.
func corrupt(rnd *rand.Rand, data []byte) []byte {
	at := rnd.IntN(len(data))
	switch rnd.IntN(6) {
	case 0:
		for range 1 + rnd.IntN(50) {
			data[rnd.IntN(len(data))] ^= 1 << rnd.IntN(8)
		}
	case 1:
		at &^= 4095
		clear(data[at:min(at+4096*(1+rnd.IntN(6)), len(data))])
	case 2:
		from := rnd.IntN(len(data)) &^ 4095
		copy(data[at&^4095:], data[from:min(from+4096, len(data))])
	case 3:
		return data[:at]
	case 4: // heads of pages, where the pointers are
		for range 20 {
			page := rnd.IntN(len(data)) &^ 4095
			for range 4 {
				data[page+rnd.IntN(min(64, len(data)-page))] = byte(rnd.IntN(256))
			}
		}
	case 5:
		copy(data[at:], "\xff\xff\xff\xff\xff\xff\xff\xff")
	}
	return data
}

// TestCorrupt: no damage makes the reader hang, and none is fatal.
func TestCorrupt(t *testing.T) {
	for _, name := range []string{"libuuid.Packages.zst", "sle15-bci.Packages.db.zst", "mariner2-part.rpmdb.sqlite.zst"} {
		t.Run(name, func(t *testing.T) {
			data := fixture(t, name)
			rnd := rand.New(rand.NewPCG(1, 2))
			work := make([]byte, len(data))
			said := 0
			var slowest time.Duration
			for range 500 {
				copy(work, data)
				files := 0
				start := time.Now()
				_, err := Read(Files{Name: name, Data: corrupt(rnd, work)}, Options{Changelog: true, Owned: func(string, int) { files++ }})
				slowest = max(slowest, time.Since(start))
				if err != nil {
					said++
				}
			}
			if slowest > 20*time.Second { // a quarter of one on an idle machine; bench has the figure
				t.Errorf("one took %v", slowest)
			}
			t.Logf("%d of 500 reported, slowest %v", said, slowest)
		})
	}
}

func FuzzRead(f *testing.F) {
	f.Add(fixture(f, "libuuid.Packages.zst")[:24<<10], []byte(nil))
	f.Add(makeNDB(simple("a", "1"), simple("b", "2")), []byte(nil))
	f.Add(fixture(f, "small.rpmdb.sqlite.zst"), fixture(f, "small.rpmdb.sqlite-wal.zst"))
	f.Fuzz(func(t *testing.T, data, log []byte) {
		packages, _ := Read(Files{Name: "Packages", Data: data, WAL: log}, Options{Changelog: true, Owned: func(string, int) {}})
		for _, p := range packages {
			if p.Name == "" || p.Version == "" || p.Type != inventory.RPM {
				t.Errorf("%+v", p)
			}
		}
	})
}

// FuzzHeader reaches the headers past the check sums and trees.
func FuzzHeader(f *testing.F) {
	f.Add(simple("a", "1", tagged{tagChangelogText, []string{"CVE-2021-22930"}}))
	f.Add(makeHeader(tagged{tagName, "a"}, tagged{tagVersion, "1"}, tagged{tagBasenames, []string{"x"}}, tagged{tagDirNames, []string{"/"}}, tagged{tagDirIndexes, []uint32{0}}))
	f.Fuzz(func(t *testing.T, header []byte) {
		var whole []inventory.Package
		for _, cut := range []int{len(header), 7, 64} { // in one piece and over pages, with the same result
			r := &reader{o: Options{Changelog: true, MaxPackages: 9, MaxBytes: 1 << 20, Owned: func(string, int) {}}, texts: map[string]string{}}
			var b blob
			for part := range slices.Chunk(header, max(cut, 1)) {
				b.add(part)
			}
			if err := r.take(&b, place{}); err != nil {
				t.Fatal(err)
			}
			if whole == nil {
				whole = r.packages
			} else if fmt.Sprint(whole) != fmt.Sprint(r.packages) {
				t.Errorf("%v over pages is %v", whole, r.packages)
			}
		}
	})
}
