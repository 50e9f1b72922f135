package proc

import (
	"net"
	"testing"

	"stockade.dev/stockade/internal/collect/node/host"
)

var port int

func listen(t *testing.T) *Table {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	port = l.Addr().(*net.TCPAddr).Port
	root, err := host.OpenRoot("/proc")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	table, err := Read(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	return table
}
