package decode

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// protobufMagic begins every answer of an API server in protobuf.
const protobufMagic = "k8s\x00"

// ProtoList reads a Kubernetes list in protobuf as a stream, like List.
//
//	k8s\0 Unknown{typeMeta = 1 {apiVersion = 1, kind = 2}, raw = 2, ...}
//	raw: list {metadata = 1 {resourceVersion = 2, continue = 3}, items = 2}
type ProtoList struct {
	r      *bufio.Reader
	schema *Schema
	limit  int
	state  listState
	left   uint64 // bytes of raw that have not been read
	kind   string
	token  string
	buf    []byte
	count  int
}

// NewProtoList reads a list of objects of a schema from r. Items above limit bytes are passed over.
func NewProtoList(r io.Reader, s *Schema, limit int) *ProtoList {
	return &ProtoList{r: bufio.NewReaderSize(r, 256<<10), schema: s, limit: limit}
}

// Continue returns the token of the next page, "" on the last.
func (l *ProtoList) Continue() string { return l.token }

// Object returns the next item and its size, with the errors of List.Object.
func (l *ProtoList) Object(d *Decoder) (map[string]any, int, error) {
	if l.state == listStart {
		if err := l.open(); err != nil {
			return nil, 0, err
		}
		l.state = listItems
	}
	for l.left > 0 {
		tag, err := l.varint()
		if err != nil {
			return nil, 0, err
		}
		if tag&7 != wireBytes {
			return nil, 0, fmt.Errorf("%w after item %d", ErrWire, l.count)
		}
		size, err := l.varint()
		if err != nil {
			return nil, 0, err
		}
		if size > l.left {
			return nil, 0, fmt.Errorf("%w after item %d", ErrWire, l.count)
		}
		switch tag >> 3 {
		case 1:
			err = l.metadata(size)
		case 2:
			return l.item(d, size)
		default:
			err = l.skip(size)
		}
		if err != nil {
			return nil, 0, err
		}
	}
	return nil, 0, io.EOF
}

func (l *ProtoList) item(d *Decoder, size uint64) (map[string]any, int, error) {
	l.count++
	if size > uint64(l.limit) {
		if err := l.skip(size); err != nil {
			return nil, 0, err
		}
		return nil, 0, &TooLargeError{l.count - 1, l.limit}
	}
	data, err := l.take(size)
	if err != nil {
		return nil, 0, err
	}
	m, err := d.Message(l.schema, data)
	if err != nil {
		return nil, int(size), &BrokenError{l.count - 1, err}
	}
	return m, int(size), nil
}

// open reads up to the raw list.
func (l *ProtoList) open() error {
	magic, err := l.r.Peek(len(protobufMagic))
	if string(magic) != protobufMagic {
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		start, _ := l.r.Peek(min(l.r.Buffered(), 120))
		return &NotListError{Start: printable(start), Reason: "the answer is not protobuf"}
	}
	if _, err := l.r.Discard(len(protobufMagic)); err != nil {
		return err
	}
	l.left = 1 << 62 // Unknown has no length of its own
	for {
		tag, err := l.varint()
		if err != nil {
			return err
		}
		size, err := l.varint()
		if err != nil {
			return err
		}
		switch {
		case tag == 1<<3|wireBytes && size <= headLimit:
			data, err := l.take(size)
			if err != nil {
				return err
			}
			l.kind = kindOf(data)
		case tag == 2<<3|wireBytes:
			l.left = size
			if l.kind == "Status" {
				return l.status()
			}
			return nil
		default:
			return fmt.Errorf("%w: no list", ErrWire)
		}
	}
}

func kindOf(typeMeta []byte) (kind string) {
	if each(typeMeta, func(number, _ uint64, b []byte) {
		if number == 2 {
			kind = string(b)
		}
	}) != nil {
		return ""
	}
	return kind
}

func (l *ProtoList) status() error {
	if l.left > headLimit {
		return fmt.Errorf("%w: no list", ErrWire)
	}
	data, err := l.take(l.left)
	if err != nil {
		return err
	}
	return protoStatus(data)
}

func protoStatus(data []byte) error {
	s := &StatusError{}
	err := each(data, func(number, n uint64, b []byte) {
		switch number {
		case 3:
			s.Message = string(b)
		case 4:
			s.Reason = string(b)
		case 6:
			s.Code = int(int32(n))
		}
	})
	if err != nil {
		return err
	}
	return s
}

func (l *ProtoList) metadata(size uint64) error {
	if size > headLimit {
		return fmt.Errorf("%w: metadata of %d bytes", ErrWire, size)
	}
	data, err := l.take(size)
	if err != nil {
		return err
	}
	return each(data, func(number, _ uint64, b []byte) {
		if number == 3 {
			l.token = string(b)
		}
	})
}

func (l *ProtoList) varint() (uint64, error) {
	v, err := binary.ReadUvarint(counting{l})
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return v, err
}

// counting reads bytes of the raw list one by one.
type counting struct{ l *ProtoList }

func (c counting) ReadByte() (byte, error) {
	if c.l.left == 0 {
		return 0, ErrWire
	}
	b, err := c.l.r.ReadByte()
	if err == nil {
		c.l.left--
	}
	return b, err
}

// take returns the next bytes, valid until the next call.
func (l *ProtoList) take(n uint64) ([]byte, error) {
	l.left -= n
	if n <= uint64(l.r.Size()) {
		data, err := l.r.Peek(int(n))
		if err == nil {
			_, err = l.r.Discard(int(n))
		}
		return data, cut(err)
	}
	if uint64(cap(l.buf)) < n {
		l.buf = make([]byte, n)
	}
	_, err := io.ReadFull(l.r, l.buf[:n])
	return l.buf[:n], cut(err)
}

func (l *ProtoList) skip(n uint64) error {
	l.left -= n
	_, err := io.CopyN(io.Discard, l.r, int64(n))
	return cut(err)
}

// cut names an end that comes too early.
func cut(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Status reads a Status object in JSON or protobuf; nil when data is none.
func Status(data []byte) *StatusError {
	var s *StatusError
	if rest, ok := cutPrefix(data, protobufMagic); ok {
		var raw []byte
		if each(rest, func(number, _ uint64, b []byte) {
			if number == 2 {
				raw = b
			}
		}) == nil && raw != nil && errors.As(protoStatus(raw), &s) {
			return s
		}
		return nil
	}
	var j struct {
		Kind, Reason, Message string
		Code                  int
	}
	if json.Unmarshal(data, &j) != nil || j.Kind != "Status" && j.Message == "" {
		return nil
	}
	return &StatusError{Code: j.Code, Reason: j.Reason, Message: j.Message}
}

func cutPrefix(b []byte, prefix string) ([]byte, bool) {
	if len(b) < len(prefix) || string(b[:len(prefix)]) != prefix {
		return b, false
	}
	return b[len(prefix):], true
}
