package decode

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"
)

// ErrWire is in every error about bytes that are no protobuf of the type asked for.
var ErrWire = errors.New("not valid protobuf")

// Message decodes the protobuf form of an object to what Object gives for its JSON form. It leaves out what Object
// leaves out, and fields that the schema does not know.
func (d *Decoder) Message(s *Schema, data []byte) (map[string]any, error) {
	d.depth, d.keys, d.vals = 0, d.keys[:0], d.vals[:0]
	defer d.forget()
	return d.message(s.root, data, levelTop)
}

// wire is what is left of a message.
type wire []byte

func (w *wire) varint() (uint64, bool) {
	// Most are one byte long.
	if len(*w) > 0 && (*w)[0] < 0x80 {
		v := uint64((*w)[0])
		*w = (*w)[1:]
		return v, true
	}
	v, n := binary.Uvarint(*w)
	if n <= 0 {
		return 0, false
	}
	*w = (*w)[n:]
	return v, true
}

func (w *wire) bytes() ([]byte, bool) {
	n, ok := w.varint()
	if !ok || n > uint64(len(*w)) {
		return nil, false
	}
	b := (*w)[:n]
	*w = (*w)[n:]
	return b, true
}

// Wire types of protobuf.
const (
	wireVarint  = 0
	wireFixed64 = 1
	wireBytes   = 2
	wireFixed32 = 5
)

// value reads the next value of a wire type: its number, or its bytes.
func (w *wire) value(wireType uint64) (n uint64, b []byte, ok bool) {
	switch wireType {
	case wireVarint:
		n, ok = w.varint()
	case wireBytes:
		b, ok = w.bytes()
	case wireFixed64:
		if ok = len(*w) >= 8; ok {
			n = binary.LittleEndian.Uint64(*w)
			*w = (*w)[8:]
		}
	case wireFixed32:
		if ok = len(*w) >= 4; ok {
			n = uint64(binary.LittleEndian.Uint32(*w))
			*w = (*w)[4:]
		}
	}
	return n, b, ok
}

func (d *Decoder) message(m *message, data []byte, at level) (map[string]any, error) {
	mark := len(d.vals)
	if err := d.fields(m, data, at); err != nil {
		return nil, err
	}
	out := make(map[string]any, len(d.vals)-mark)
	keys := d.keys[len(d.keys)-(len(d.vals)-mark):]
	for i, v := range d.vals[mark:] {
		out[keys[i]] = v
	}
	d.vals, d.keys = d.vals[:mark], d.keys[:len(d.keys)-len(keys)]
	return out, nil
}

// fields pushes the fields of a message.
func (d *Decoder) fields(m *message, data []byte, at level) error {
	if d.depth++; d.depth > maxDepth {
		return fmt.Errorf("%w: nested too deeply", ErrWire)
	}
	mark := len(d.vals)
	var seen seenSet
	for w := wire(data); len(w) > 0; {
		tag, ok := w.varint()
		if !ok {
			return ErrWire
		}
		number, wireType := tag>>3, tag&7
		if number >= uint64(len(m.fields)) || !m.fields[number].known {
			if _, _, ok := w.value(wireType); !ok {
				return ErrWire
			}
			continue
		}
		f := &m.fields[number]
		again := seen.add(f.index)
		var err error
		switch {
		case f.isMap:
			err = d.mapField(f, &w, tag, mark, again, at)
		case f.repeated:
			err = d.listField(f, &w, tag, mark, again)
		default:
			err = d.single(f, &w, wireType, mark, again, at)
		}
		if err != nil {
			return err
		}
	}
	for i := range m.absent {
		if f := &m.absent[i]; f.known && !seen.has(f.index) {
			d.keys, d.vals = append(d.keys, f.name), append(d.vals, nil)
		}
	}
	d.depth--
	return nil
}

// seenSet is a set of small numbers.
type seenSet [4]uint64

func (s *seenSet) add(i int) (again bool) {
	bit := uint64(1) << (i & 63)
	word := &s[i>>6&3]
	again = *word&bit != 0
	*word |= bit
	return again
}

func (s *seenSet) has(i int) bool { return s[i>>6&3]&(1<<(i&63)) != 0 }

// find returns the place of a field that was pushed before, above mark; -1 when it was left out.
func (d *Decoder) find(name string, mark int) int {
	offset := len(d.keys) - len(d.vals)
	for i := mark; i < len(d.vals); i++ {
		if d.keys[offset+i] == name {
			return i
		}
	}
	return -1
}

func (d *Decoder) put(name string, v any, mark int, again bool) {
	if again {
		if i := d.find(name, mark); i >= 0 {
			d.vals[i] = v
			return
		}
	}
	d.keys, d.vals = append(d.keys, name), append(d.vals, v)
}

func (d *Decoder) single(f *field, w *wire, wireType uint64, mark int, again bool, at level) error {
	n, b, ok := w.value(wireType)
	if !ok {
		return ErrWire
	}
	if f.inline {
		return d.fields(f.sub, b, levelOther)
	}
	next := levelOther
	if at == levelTop && f.name == "metadata" {
		next = levelMeta
	}
	v, zero, err := d.decodeValue(f, wireType, n, b, next)
	if err != nil || zero && f.omitZero {
		return err
	}
	d.put(f.name, v, mark, again)
	return nil
}

// listField reads the elements of a list, which come one after the other.
func (d *Decoder) listField(f *field, w *wire, tag uint64, mark int, again bool) error {
	// Elements wait on the stack of values; the stack of keys must keep step, see message.
	start := len(d.vals)
	for {
		n, b, ok := w.value(tag & 7)
		if !ok {
			return ErrWire
		}
		if err := d.element(f, tag&7, n, b); err != nil {
			return err
		}
		rest := *w
		if next, ok := rest.varint(); !ok || next != tag {
			break
		}
		*w = rest
	}
	list := make([]any, len(d.vals)-start)
	copy(list, d.vals[start:])
	d.vals, d.keys = d.vals[:start], d.keys[:len(d.keys)-len(list)]
	if again {
		if i := d.find(f.name, mark); i >= 0 {
			if before, ok := d.vals[i].([]any); ok {
				list = append(before, list...)
			}
		}
	}
	d.put(f.name, list, mark, again)
	return nil
}

// element pushes one element, or the numbers of a packed list.
func (d *Decoder) element(f *field, wireType, n uint64, b []byte) error {
	if wireType == wireBytes && (f.form == formInt || f.form == formBool) {
		for packed := wire(b); len(packed) > 0; {
			n, ok := packed.varint()
			if !ok {
				return ErrWire
			}
			v, _, err := d.decodeValue(f, wireVarint, n, nil, levelOther)
			if err != nil {
				return err
			}
			d.keys, d.vals = append(d.keys, ""), append(d.vals, v)
		}
		return nil
	}
	v, _, err := d.decodeValue(f, wireType, n, b, levelOther)
	if err != nil {
		return err
	}
	d.keys, d.vals = append(d.keys, ""), append(d.vals, v)
	return nil
}

// mapField reads the entries of a map, which come one after the other: messages of a key (1) and a value (2).
func (d *Decoder) mapField(f *field, w *wire, tag uint64, mark int, again bool, at level) error {
	drop := at == levelTop && d.DropValues && (f.name == "data" || f.name == "stringData")
	start := len(d.vals)
	for {
		_, entry, ok := w.value(tag & 7)
		if !ok {
			return ErrWire
		}
		if err := d.entry(f, entry, drop); err != nil {
			return err
		}
		rest := *w
		if next, ok := rest.varint(); !ok || next != tag {
			break
		}
		*w = rest
	}
	m := make(map[string]any, len(d.vals)-start)
	keys := d.keys[len(d.keys)-(len(d.vals)-start):]
	for i, v := range d.vals[start:] {
		m[keys[i]] = v
	}
	d.vals, d.keys = d.vals[:start], d.keys[:len(d.keys)-len(keys)]
	if again {
		if i := d.find(f.name, mark); i >= 0 {
			if before, ok := d.vals[i].(map[string]any); ok {
				for k, v := range m {
					before[k] = v
				}
				m = before
			}
		}
	}
	d.put(f.name, m, mark, again)
	return nil
}

func (d *Decoder) entry(f *field, data []byte, drop bool) error {
	var key string
	var value any
	if f.form == formString || f.form == formBytes || f.form == formQuantity {
		value = ""
	}
	for w := wire(data); len(w) > 0; {
		tag, ok := w.varint()
		if !ok {
			return ErrWire
		}
		n, b, ok := w.value(tag & 7)
		if !ok {
			return ErrWire
		}
		switch tag >> 3 {
		case 1:
			key = d.pool.key(valid(b))
		case 2:
			if drop {
				continue
			}
			v, _, err := d.decodeValue(f, tag&7, n, b, levelOther)
			if err != nil {
				return err
			}
			value = v
		}
	}
	d.keys, d.vals = append(d.keys, key), append(d.vals, value)
	return nil
}

// valid replaces what is no UTF-8, as a JSON encoder would.
func valid(b []byte) []byte {
	for _, c := range b {
		if c >= utf8.RuneSelf {
			if utf8.Valid(b) {
				return b
			}
			return []byte(strings.ToValidUTF8(string(b), "\ufffd"))
		}
	}
	return b
}

// decodeValue decodes one value and says whether it is the zero value.
func (d *Decoder) decodeValue(f *field, wireType, n uint64, b []byte, at level) (v any, zero bool, err error) {
	if want := f.form.wireType(); want != wireType {
		return nil, false, fmt.Errorf("%w: %s has wire type %d", ErrWire, f.name, wireType)
	}
	switch f.form {
	case formBool:
		return n != 0, n == 0, nil
	case formInt:
		return int64(n), n == 0, nil
	case formDouble:
		x := math.Float64frombits(n)
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return nil, false, fmt.Errorf("%w: %s is no number", ErrWire, f.name)
		}
		return x, x == 0, nil
	case formString:
		return d.pool.value(valid(b)), len(b) == 0, nil
	case formBytes:
		return base64.StdEncoding.EncodeToString(b), len(b) == 0, nil
	case formMessage:
		m, err := d.message(f.sub, b, at)
		return m, len(m) == 0, err
	case formStrings:
		v, err := d.strings(b)
		return v, false, err
	case formTime, formMicroTime:
		v, err := timestamp(b, f.form)
		return v, v == nil, err
	case formQuantity:
		s, err := fieldOne(b)
		return d.pool.value(valid(s)), len(s) == 0, err
	case formIntOrString:
		v, err := d.intOrString(b)
		return v, false, err
	case formDuration:
		v, err := duration(b)
		return v, false, err
	}
	return nil, true, nil
}

func (f form) wireType() uint64 {
	switch f {
	case formBool, formInt:
		return wireVarint
	case formDouble:
		return wireFixed64
	}
	return wireBytes
}

// each visits the fields of a small message.
func each(data []byte, visit func(number, n uint64, b []byte)) error {
	for w := wire(data); len(w) > 0; {
		tag, ok := w.varint()
		if !ok {
			return ErrWire
		}
		n, b, ok := w.value(tag & 7)
		if !ok {
			return ErrWire
		}
		visit(tag>>3, n, b)
	}
	return nil
}

func fieldOne(data []byte) (out []byte, err error) {
	err = each(data, func(number, _ uint64, b []byte) {
		if number == 1 {
			out = b
		}
	})
	return out, err
}

func (d *Decoder) strings(data []byte) ([]any, error) {
	out := []any{}
	err := each(data, func(number, _ uint64, b []byte) {
		if number == 1 {
			out = append(out, d.pool.value(valid(b)))
		}
	})
	return out, err
}

// timestamp reads {seconds = 1, nanos = 2}; the zero time is empty, and null in JSON.
func timestamp(data []byte, f form) (any, error) {
	if len(data) == 0 {
		return nil, nil
	}
	var seconds, nanos int64
	err := each(data, func(number, n uint64, _ []byte) {
		switch number {
		case 1:
			seconds = int64(n)
		case 2:
			nanos = int64(int32(n))
		}
	})
	if err != nil {
		return nil, err
	}
	if f == formMicroTime {
		return time.Unix(seconds, nanos).UTC().Format("2006-01-02T15:04:05.000000Z07:00"), nil
	}
	return time.Unix(seconds, 0).UTC().Format(time.RFC3339), nil
}

// intOrString reads {type = 1, intVal = 2, strVal = 3}, where type 1 is the text.
func (d *Decoder) intOrString(data []byte) (any, error) {
	var kind, number uint64
	var text []byte
	err := each(data, func(field, n uint64, b []byte) {
		switch field {
		case 1:
			kind = n
		case 2:
			number = n
		case 3:
			text = b
		}
	})
	if kind == 1 {
		return d.pool.value(valid(text)), err
	}
	return int64(int32(number)), err
}

func duration(data []byte) (any, error) {
	var n int64
	err := each(data, func(number, v uint64, _ []byte) {
		if number == 1 {
			n = int64(v)
		}
	})
	return time.Duration(n).String(), err
}
