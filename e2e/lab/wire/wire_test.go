//go:build linux

package wire

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func pair(t *testing.T) (a, b *Conn) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "s"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	one, err := net.DialUnix("unix", nil, l.Addr().(*net.UnixAddr))
	if err != nil {
		t.Fatal(err)
	}
	two, err := l.AcceptUnix()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		one.Close()
		two.Close()
	})
	return &Conn{UnixConn: one}, &Conn{UnixConn: two}
}

// Lines keep their bounds, long ones too, and a file comes along with its own.
func TestLines(t *testing.T) {
	a, b := pair(t)
	file, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteString("the file"); err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("x", 100<<10)
	sent := make(chan error, 1)
	go func() {
		for _, e := range []string{"first", long} {
			if err := a.Send(Answer{Error: e}, nil); err != nil {
				sent <- err
				return
			}
		}
		sent <- a.Send(Answer{PID: 7}, file)
	}()
	for _, want := range []string{"first", long} {
		var got Answer
		if f, err := b.Receive(&got); err != nil || f != nil || got.Error != want {
			t.Fatalf("%.20s: %v %v", got.Error, f, err)
		}
	}
	var got Answer
	f, err := b.Receive(&got)
	if err != nil || f == nil || got.PID != 7 {
		t.Fatalf("%+v %v %v", got, f, err)
	}
	defer f.Close()
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(io.NewSectionReader(f, 0, 100)); string(text) != "the file" {
		t.Errorf("%q %v", text, err)
	}
}

func TestEndAndNoise(t *testing.T) {
	a, b := pair(t)
	if _, err := a.Write([]byte("no JSON\n")); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Receive(&Answer{}); err == nil {
		t.Error("noise is read as an answer")
	}
	a.Close()
	if _, err := b.Receive(&Answer{}); err == nil {
		t.Error("the end of the connection is no error")
	}
}
