package snapshot

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"stockade.dev/stockade/internal/collect/decode"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
)

// lines reads a file of objects. A line that is broken or too long is told with its place and the next one is read.
func (r *reading) lines(f io.Reader, name string) error {
	in := bufio.NewReaderSize(r.counted(f), 256<<10)
	d := decode.NewDecoder()
	d.DropValues = strings.HasPrefix(name, objectsDir+"core_") && strings.HasSuffix(name, "_secrets.jsonl")
	var long []byte
	for line := 1; ; line++ {
		text, tooLong, err := readLine(in, &long, r.lim.Object)
		place := fmt.Sprintf("%s:%d", filepath.Join(r.source.path, name), line)
		switch {
		case tooLong:
			r.got[name]++
			r.tell(place, "object", fmt.Sprintf("larger than %d MiB", r.lim.Object>>20), finding.Limit)
		case len(bytes.TrimSpace(text)) > 0 && !errors.Is(err, errTotal):
			r.got[name]++
			if err := r.line(d, text, place); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, errTotal):
			return err
		case err != nil:
			r.tell(place, "the rest of the file", err.Error(), finding.Broken)
			return nil
		}
	}
}

func (r *reading) line(d *decode.Decoder, text []byte, place string) error {
	content, err := d.Object(text)
	if err != nil {
		r.tell(place, "object", err.Error(), finding.Broken)
		return nil
	}
	o, ok := inventory.NewObject(content)
	if !ok {
		r.tell(place, "object", "it has no apiVersion or no kind", finding.Broken)
		return nil
	}
	return r.pass(o)
}

// readLine reads up to the next newline. The text is valid until the next call; a line above limit is passed over.
func readLine(in *bufio.Reader, long *[]byte, limit int) (text []byte, tooLong bool, err error) {
	text, err = in.ReadSlice('\n')
	if !errors.Is(err, bufio.ErrBufferFull) {
		return text, false, err
	}
	*long = append((*long)[:0], text...)
	for errors.Is(err, bufio.ErrBufferFull) {
		text, err = in.ReadSlice('\n')
		if tooLong = tooLong || len(*long)+len(text) > limit; !tooLong {
			*long = append(*long, text...)
		}
	}
	return *long, tooLong, err
}

// node reads node facts.
func (r *reading) node(f io.Reader, name string) error {
	place := filepath.Join(r.source.path, name)
	data, err := io.ReadAll(io.LimitReader(r.counted(f), int64(r.lim.Object)+1))
	switch {
	case errors.Is(err, errTotal):
		return err
	case err != nil:
		r.tell(place, "node facts", err.Error(), finding.Broken)
		return nil
	case len(data) > r.lim.Object:
		r.tell(place, "node facts", fmt.Sprintf("larger than %d MiB", r.lim.Object>>20), finding.Limit)
		return nil
	}
	content, err := decode.NewDecoder().Object(data)
	if err != nil {
		r.tell(place, "node facts", err.Error(), finding.Broken)
		return nil
	}
	o, ok := inventory.NewObject(content)
	if !ok || o.Kind != "NodeFacts" {
		r.tell(place, "node facts", "want apiVersion stockade.dev/v1, kind NodeFacts", finding.Broken)
		return nil
	}
	if o.Name == "" {
		o.Name = inventory.Str(content, "name")
	}
	return r.pass(o)
}
