package image

import (
	"io"

	"stockade.dev/stockade/internal/collect/image/binary"
	"stockade.dev/stockade/internal/collect/image/malware"
	"stockade.dev/stockade/internal/inventory"
)

// stream gives a file's bytes to those who take them as they come: programs, hashes, the ClamAV daemon. head is its beginning,
// already read, or all of it; r gives the rest.
func (w *walker) stream(f *file, r io.Reader, head []byte, program, hash, clamd bool, out *fileResult) {
	first := head[:min(headSize, len(head))]
	suspicious := (clamd || hash) && malware.Suspicious(first)
	var sinks []io.Writer
	var scanner *binary.Scanner
	if program && binary.Wants(f.path, f.mode, f.size, first) {
		scanner = binary.New(f.path, f.size)
		sinks = append(sinks, scanner)
	}
	if hash = hash && (w.hashAll || suspicious); hash {
		sinks = append(sinks, w.hasher)
	}
	clamd = clamd && suspicious
	if len(sinks) == 0 && !clamd {
		return
	}
	w.guard(f, out, "stream", func() error {
		all := io.MultiWriter(sinks...)
		body := io.Reader(&content{head: head, r: r, left: w.o.Limits.FileBytes})
		if clamd {
			hit, ok, err := w.o.Clamd.Test(w.ctx, f.path, io.TeeReader(body, all))
			if err != nil {
				out.Gaps = append(out.Gaps, inventory.Gap{What: f.path, Code: "unreachable", Reason: err.Error()})
				w.res.passing = true
			} else if ok {
				out.Hits = append(out.Hits, hit)
			}
		}
		var err error
		if l, ok := r.(*lazy); ok && len(sinks) == 1 && scanner != nil && !clamd {
			err = w.sparse(l, head, scanner)
		} else {
			_, err = io.CopyBuffer(plainWriter{all}, body, w.scratch.copy)
		}
		if scanner != nil {
			found, gaps := scanner.Packages()
			out.Packages, out.Gaps = append(out.Packages, found...), append(out.Gaps, gaps...)
		}
		if hash {
			if hit, ok := w.hasher.Hit(f.path); ok {
				out.Hits = append(out.Hits, hit)
			}
		}
		if f.size > w.o.Limits.FileBytes {
			return tooLarge(f.size, w.o.Limits.FileBytes)
		}
		return err
	})
}

// sparse gives a program what it wants of a file whose head is read already, and passes over the rest: machine code is most of it.
func (w *walker) sparse(l *lazy, head []byte, s *binary.Scanner) error {
	_, _ = s.Write(head)
	for left := min(l.size, w.o.Limits.FileBytes) - int64(len(head)); left > 0; {
		if n := s.Ahead(); n > 0 {
			if n = min(n, left); n == left {
				return nil
			}
			if err := l.skip(n); err != nil {
				return err
			}
			s.Skip(n)
			left -= n
			continue
		}
		n, err := l.Read(w.scratch.copy[:min(int64(len(w.scratch.copy)), left)])
		_, _ = s.Write(w.scratch.copy[:n])
		left -= int64(n)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if w.ctx.Err() != nil {
			return nil // nobody wants it any more
		}
	}
	return nil
}

// plainWriter hides ReadFrom, so that the buffer is used.
type plainWriter struct{ io.Writer }

// content is head and then r, at most left bytes.
type content struct {
	head []byte
	r    io.Reader
	left int64
}

func (c *content) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), c.left)]
	if len(c.head) > 0 {
		n := copy(p, c.head)
		c.head, c.left = c.head[n:], c.left-int64(n)
		return n, nil
	}
	n, err := c.r.Read(p)
	c.left -= int64(n)
	return n, err
}
