package rpm

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Sizes and numbers of SQLite's write-ahead log, from "The Database File Format" at sqlite.org, section 4.
const (
	walHeader  = 32
	walFrame   = 24
	walMagic   = 0x377f0682 // the last bit says that check sums are big-endian
	walVersion = 3007000
)

// wal is what a write-ahead log adds to a database.
type wal struct {
	frames map[uint32][]byte // newest committed content of a page
	pages  uint32            // size of the database after the last commit; 0 when there was none
}

// readWAL reads the committed part of a write-ahead log. It ends where SQLite's own recovery ends: at the first frame of
// another generation (salts) or with a wrong check sum. The error tells of damage; what was read before it holds.
func readWAL(data []byte, size int) (wal, error) {
	var w wal
	if len(data) == 0 {
		return w, nil
	}
	if len(data) < walHeader {
		return w, errors.New("write-ahead log: cut within its header")
	}
	magic := binary.BigEndian.Uint32(data)
	if magic&^1 != walMagic || binary.BigEndian.Uint32(data[4:]) != walVersion {
		return w, errors.New("write-ahead log: offset 0: not a log of a known version")
	}
	var order binary.ByteOrder = binary.LittleEndian
	if magic&1 != 0 {
		order = binary.BigEndian
	}
	if n := binary.BigEndian.Uint32(data[8:]); int64(n) != int64(size) {
		return w, fmt.Errorf("write-ahead log: offset 8: pages of %d bytes, the database has %d", n, size)
	}
	s0, s1 := walSum(order, 0, 0, data[:24])
	if s0 != binary.BigEndian.Uint32(data[24:]) || s1 != binary.BigEndian.Uint32(data[28:]) {
		return w, errors.New("write-ahead log: offset 24: wrong check sum of the header")
	}
	w.frames = map[uint32][]byte{}
	type change struct {
		page uint32
		data []byte
	}
	var open []change // frames of a transaction that is not committed yet
	for at := walHeader; at+walFrame+size <= len(data); at += walFrame + size {
		frame, page := data[at:at+walFrame], data[at+walFrame:][:size]
		if string(frame[8:16]) != string(data[16:24]) {
			break // left over from before the log was begun anew
		}
		s0, s1 = walSum(order, s0, s1, frame[:8])
		s0, s1 = walSum(order, s0, s1, page)
		if s0 != binary.BigEndian.Uint32(frame[16:]) || s1 != binary.BigEndian.Uint32(frame[20:]) {
			// SQLite leaves wrong sums behind a transaction that was never committed; a commit further on is a loss.
			for next := at; next+walFrame+size <= len(data); next += walFrame + size {
				frame := data[next : next+walFrame]
				if string(frame[8:16]) == string(data[16:24]) && binary.BigEndian.Uint32(frame[4:]) != 0 {
					return w, fmt.Errorf("write-ahead log: offset %d: wrong check sum; later changes are not read", at)
				}
			}
			break
		}
		open = append(open, change{binary.BigEndian.Uint32(frame), page})
		if pages := binary.BigEndian.Uint32(frame[4:]); pages != 0 {
			for _, c := range open {
				w.frames[c.page] = c.data
			}
			w.pages, open = pages, open[:0]
		}
	}
	return w, nil
}

// walSum goes on with the check sum over data, whose length is a multiple of 8.
func walSum(order binary.ByteOrder, s0, s1 uint32, data []byte) (uint32, uint32) {
	if order == binary.ByteOrder(binary.LittleEndian) {
		for ; len(data) >= 8; data = data[8:] { // the usual order, without a call a word
			s0 += binary.LittleEndian.Uint32(data) + s1
			s1 += binary.LittleEndian.Uint32(data[4:]) + s0
		}
		return s0, s1
	}
	for ; len(data) >= 8; data = data[8:] {
		s0 += binary.BigEndian.Uint32(data) + s1
		s1 += binary.BigEndian.Uint32(data[4:]) + s0
	}
	return s0, s1
}
