package snapshot

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// pieces splits YAML into parts that can be parsed alone: documents, and the items of lists as kubectl writes them, with
// every item at the left margin. A list of a whole cluster would not fit into memory otherwise.
type pieces struct {
	in    *bufio.Reader
	limit int
	line  int // of the next line, from 1
	buf   []byte
	long  []byte
	start int // line at which buf begins
	list  bool
	over  bool // the current piece is too large
	done  error
}

var errLong = errors.New("larger than the limit")

func newPieces(r io.Reader, limit int) *pieces {
	return &pieces{in: bufio.NewReaderSize(r, 64<<10), limit: limit, line: 1}
}

// next returns the next piece and the line it begins at. The text is the caller's. errLong is a piece that was passed
// over; io.EOF is the end.
func (p *pieces) next() (text []byte, line int, err error) {
	for p.done == nil {
		raw, tooLong, err := readLine(p.in, &p.long, p.limit)
		at := p.line
		p.line++
		if err != nil {
			p.done = err
		}
		cut, first := p.classify(raw)
		if !cut {
			p.add(raw, tooLong, at)
			continue
		}
		piece, start, over := p.buf, p.start, p.over
		p.buf, p.over, p.start = nil, false, at
		if first != nil {
			p.add(first, tooLong, at)
		}
		if over {
			return nil, start, errLong
		}
		if len(bytes.TrimSpace(piece)) > 0 {
			return piece, start, nil
		}
	}
	if p.over {
		p.over, p.buf = false, nil
		return nil, p.start, errLong
	}
	if len(bytes.TrimSpace(p.buf)) > 0 {
		text, p.buf = p.buf, nil
		return text, p.start, nil
	}
	return nil, p.line, p.done
}

func (p *pieces) add(line []byte, tooLong bool, at int) {
	if len(p.buf) == 0 {
		p.start = at
	}
	if p.over = p.over || tooLong || len(p.buf)+len(line) > p.limit; p.over {
		p.buf = nil
		return
	}
	p.buf = append(p.buf, line...)
}

// classify says whether a line ends the piece before it, and what of the line begins the next one.
func (p *pieces) classify(line []byte) (cut bool, first []byte) {
	trimmed := bytes.TrimRight(line, "\r\n \t")
	switch {
	case bytes.Equal(trimmed, []byte("---")) || bytes.HasPrefix(line, []byte("--- ")) || bytes.Equal(trimmed, []byte("...")):
		p.list = false
		return true, nil
	case !p.list && bytes.HasPrefix(line, []byte("- apiVersion:")) && p.header():
		p.list = true
		p.buf = nil // the head of the list says nothing of its items
		fallthrough
	case p.list && bytes.HasPrefix(line, []byte("- ")):
		first = append([]byte("  "), line[2:]...)
		return true, first
	case p.list && len(trimmed) > 0 && line[0] != ' ' && line[0] != '#':
		// A key behind the items: kind and metadata of the list.
		p.list = false
		return true, line
	}
	return false, nil
}

// header reports whether what was read of the document is the head of a list.
func (p *pieces) header() bool {
	lines := bytes.Split(bytes.TrimSpace(p.buf), []byte("\n"))
	if string(bytes.TrimSpace(lines[len(lines)-1])) != "items:" || len(lines) > 8 {
		return false
	}
	for _, l := range lines[:len(lines)-1] {
		if !bytes.HasPrefix(l, []byte("apiVersion:")) && !bytes.HasPrefix(l, []byte("kind:")) && !bytes.HasPrefix(l, []byte("metadata:")) &&
			!bytes.HasPrefix(l, []byte(" ")) && !bytes.HasPrefix(l, []byte("#")) {
			return false
		}
	}
	return true
}
