package rpm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"stockade.dev/stockade/internal/inventory"
)

// Tags of package headers, as rpm's documentation numbers them.
const (
	tagName            = 1000
	tagVersion         = 1001
	tagRelease         = 1002
	tagEpoch           = 1003
	tagVendor          = 1011
	tagLicense         = 1014
	tagArch            = 1022
	tagOldFilenames    = 1027 // whole paths, packages of rpm 3
	tagSourceRPM       = 1044
	tagChangelogText   = 1082
	tagDirIndexes      = 1116
	tagBasenames       = 1117
	tagDirNames        = 1118
	tagModularityLabel = 5096
)

// Types of values.
const (
	typeInt32       = 4
	typeString      = 6
	typeStringArray = 8
	typeI18NString  = 9
)

const (
	maxName = 1024 // bytes of a name, version, release, source rpm or module label
	maxText = 4096 // bytes of a vendor or licence; more is cut
	maxPath = 4096 // PATH_MAX of Linux
)

// header is the index of a package header: where the values of the wanted tags are.
type header struct {
	values [14]value
	base   int // where the values begin within the blob
	end    int // where they end
}

type value struct {
	kind, count uint32
	offset      int // from base; -1: the header has no such tag
}

// slot numbers the wanted tags; -1 is any other.
func slot(tag uint32) int {
	switch tag {
	case tagName, tagVersion, tagRelease, tagEpoch:
		return int(tag - tagName)
	case tagVendor:
		return 4
	case tagLicense:
		return 5
	case tagArch:
		return 6
	case tagOldFilenames:
		return 7
	case tagSourceRPM:
		return 8
	case tagChangelogText:
		return 9
	case tagDirIndexes, tagBasenames, tagDirNames:
		return int(10 + tag - tagDirIndexes)
	case tagModularityLabel:
		return 13
	}
	return -1
}

// index reads the index of a header: two counts, then entries of tag, type, offset and count, all big-endian, then values.
// Entries that stand later replace earlier ones of the same tag: rpm appends what an installation changed.
func (h *header) index(b *blob) error {
	for i := range h.values {
		h.values[i].offset = -1
	}
	head, ok := b.slice(0, 8)
	if !ok {
		return fmt.Errorf("a header of %d bytes", b.size)
	}
	entries, size := int64(binary.BigEndian.Uint32(head)), int64(binary.BigEndian.Uint32(head[4:]))
	if entries == 0 || 8+16*entries+size > int64(b.size) {
		return fmt.Errorf("a header of %d entries and %d bytes does not fit its %d bytes", entries, size, b.size)
	}
	h.base = int(8 + 16*entries)
	h.end = h.base + int(size)
	index, _ := b.slice(8, int(16*entries))
	for ; len(index) >= 16; index = index[16:] {
		i := slot(binary.BigEndian.Uint32(index))
		if i < 0 {
			continue
		}
		offset := binary.BigEndian.Uint32(index[8:])
		if int64(offset) >= size {
			return fmt.Errorf("tag %d lies outside the header", binary.BigEndian.Uint32(index))
		}
		h.values[i] = value{binary.BigEndian.Uint32(index[4:]), binary.BigEndian.Uint32(index[12:]), int(offset)}
	}
	return nil
}

// text returns a string value; nil and true when the header has no such tag.
func (h *header) text(b *blob, tag uint32) ([]byte, bool) {
	v := h.values[slot(tag)]
	if v.offset < 0 {
		return nil, true
	}
	if v.kind != typeString && v.kind != typeI18NString && v.kind != typeStringArray {
		return nil, false
	}
	s, ok := b.text(h.base+v.offset, h.end)
	if ok && string(s) == "(none)" {
		return nil, true
	}
	return s, ok
}

// name is a text that stands for a name or version: bounded, printable, without blanks.
func (h *header) name(b *blob, tag uint32, must bool) (string, error) {
	s, ok := h.text(b, tag)
	if !ok || len(s) > maxName || must && len(s) == 0 {
		return "", fmt.Errorf("tag %d is missing or damaged", tag)
	}
	for _, c := range s {
		if c <= ' ' || c >= 0x7f {
			return "", fmt.Errorf("tag %d holds byte %#02x", tag, c)
		}
	}
	return string(s), nil
}

// parse makes a package of a header. Damage to what a package is called by leaves the name empty; other damage is an error
// beside the package.
func (r *reader) parse(b *blob) (p inventory.Package, err error) {
	h := &r.header
	if err := h.index(b); err != nil {
		return p, err
	}
	name, err := h.name(b, tagName, true)
	if err != nil {
		return p, err
	}
	version, err := h.name(b, tagVersion, true)
	if err != nil {
		return p, fmt.Errorf("%s: %w", name, err)
	}
	release, err := h.name(b, tagRelease, false)
	if err != nil {
		return p, fmt.Errorf("%s: %w", name, err)
	}
	var epoch uint32
	if v := h.values[slot(tagEpoch)]; v.offset >= 0 {
		n, ok := b.slice(h.base+v.offset, 4)
		if !ok || v.kind != typeInt32 || v.count == 0 {
			return p, fmt.Errorf("%s: tag %d is damaged", name, tagEpoch)
		}
		epoch = binary.BigEndian.Uint32(n)
	}
	p = inventory.Package{Type: inventory.RPM, Name: name, Version: evr(epoch, version, release), Evidence: "database"}
	var errs [5]error
	p.Arch, errs[0] = r.label(b, tagArch)
	p.Vendor, errs[1] = r.label(b, tagVendor)
	p.License, errs[2] = r.label(b, tagLicense)
	p.Module, errs[3] = h.name(b, tagModularityLabel, false)
	source, err := h.name(b, tagSourceRPM, false)
	errs[4] = err
	if source != "" {
		n, v, rel, ok := splitSource(source)
		if !ok {
			errs[4] = fmt.Errorf("source rpm %q is no name-version-release", source)
		} else {
			if n != p.Name {
				p.Source = n
			}
			if v := evr(epoch, v, rel); v != p.Version {
				p.SourceVersion = v
			}
		}
	}
	if r.o.Changelog {
		p.Fixed = h.changelog(b)
	}
	if err := errors.Join(errs[:]...); err != nil {
		return p, fmt.Errorf("%s: %w", name, err)
	}
	return p, nil
}

// label is a text for people, cut to maxText.
func (r *reader) label(b *blob, tag uint32) (string, error) {
	s, ok := r.header.text(b, tag)
	if !ok {
		return "", fmt.Errorf("tag %d is damaged", tag)
	}
	s = s[:min(len(s), maxText)]
	if known, ok := r.texts[string(s)]; ok {
		return known, nil
	}
	clean := strings.ToValidUTF8(string(s), "\uFFFD")
	r.texts[string(s)] = clean
	return clean, nil
}

// evr writes epoch, version and release; the epoch is left out when 0.
func evr(epoch uint32, version, release string) string {
	if release != "" {
		version += "-" + release
	}
	if epoch != 0 {
		return strconv.FormatUint(uint64(epoch), 10) + ":" + version
	}
	return version
}

// splitSource takes "bash-4.4.20-1.el8_4.src.rpm" apart.
func splitSource(s string) (name, version, release string, ok bool) {
	s, ok = strings.CutSuffix(s, ".rpm")
	if !ok {
		return "", "", "", false
	}
	if dot := strings.LastIndexByte(s, '.'); dot > 0 { // .src or .nosrc
		s = s[:dot]
	}
	i := strings.LastIndexByte(s, '-')
	if i <= 0 {
		return "", "", "", false
	}
	j := strings.LastIndexByte(s[:i], '-')
	if j <= 0 {
		return "", "", "", false
	}
	return s[:j], s[j+1 : i], s[i+1:], true
}

// owned gives out the files of the package whose index was read last.
func (r *reader) owned(b *blob, pkg int) error {
	h := &r.header
	// A file's path is about as long as what the header says of the file; many times that is damage.
	most := r.paths + 16*int64(b.size) + 64<<10
	give := func(path string) bool {
		r.paths += int64(len(path))
		if r.paths > min(most, r.o.MaxBytes) {
			return false
		}
		r.o.Owned(path, pkg)
		return true
	}
	over := false
	if v := h.values[slot(tagOldFilenames)]; v.offset >= 0 && v.kind == typeStringArray {
		ok := b.texts(h.base+v.offset, h.end, int(v.count), func(s []byte) bool {
			if len(s) <= maxPath {
				over = !give(strings.TrimPrefix(string(s), "/"))
			}
			return !over
		})
		return ownedError(ok, over)
	}
	names, dirs, indexes := h.values[slot(tagBasenames)], h.values[slot(tagDirNames)], h.values[slot(tagDirIndexes)]
	if names.offset < 0 {
		return nil // a package without files
	}
	if names.kind != typeStringArray || dirs.offset < 0 || dirs.kind != typeStringArray || indexes.offset < 0 || indexes.kind != typeInt32 {
		return errors.New("damaged list")
	}
	var folders []string
	if !b.texts(h.base+dirs.offset, h.end, int(dirs.count), func(s []byte) bool {
		folders = append(folders, strings.TrimPrefix(string(s), "/"))
		return true
	}) {
		return errors.New("damaged list of folders")
	}
	i, bad := 0, false
	ok := b.texts(h.base+names.offset, h.end, int(names.count), func(s []byte) bool {
		// The name is copied first: the next slice may reuse its bytes.
		if len(s) > maxPath {
			bad = true
			return false
		}
		name := string(s)
		n, ok := b.slice(h.base+indexes.offset+4*i, 4)
		i++
		if !ok || int64(binary.BigEndian.Uint32(n)) >= int64(len(folders)) {
			bad = true
			return false
		}
		folder := folders[binary.BigEndian.Uint32(n)]
		if len(folder)+len(name) > maxPath {
			bad = true
			return false
		}
		over = !give(folder + name)
		return !over
	})
	return ownedError(ok && !bad, over)
}

func ownedError(ok, over bool) error {
	switch {
	case over:
		return errors.New("more bytes of paths than allowed")
	case !ok:
		return errors.New("damaged list")
	}
	return nil
}
