package container

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestMain is also the program that runs in the containers of these tests: what their image has as /bin/payload.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[0] == "/bin/payload" {
		if err := payload(os.Args[1]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// waiter is a program that waits for ever: a whole ELF file for this architecture, or this program where that is not at hand.
func waiter() ([]byte, error) {
	if runtime.GOARCH != "amd64" {
		return os.ReadFile("/proc/self/exe")
	}
	le := func(v uint64, n int) (b []byte) {
		for range n {
			b, v = append(b, byte(v)), v>>8
		}
		return b
	}
	code := []byte{0xb8, 34, 0, 0, 0, 0x0f, 0x05, 0xeb, 0xf7} // pause(), again
	const start, headers = 0x400000, 64 + 56
	elf := append([]byte("\x7fELF\x02\x01\x01"), make([]byte, 9)...)
	for _, f := range [][]byte{le(2, 2), le(62, 2), le(1, 4), le(start+headers, 8), le(64, 8), le(0, 8), le(0, 4), le(64, 2), le(56, 2), le(1, 2), le(0, 2), le(0, 2), le(0, 2),
		le(1, 4), le(5, 4), le(0, 8), le(start, 8), le(start, 8), le(uint64(headers+len(code)), 8), le(uint64(headers+len(code)), 8), le(0x1000, 8), code} {
		elf = append(elf, f...)
	}
	return elf, nil
}

// payload does in a container what the reader has to see.
func payload(what string) error {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	if what == "busy" {
		if err := misbehave(); err != nil {
			return err
		}
	}
	if err := os.WriteFile("/ready/"+what, nil, 0o644); err != nil {
		return err
	}
	<-stop
	return nil
}

func start(path string, change func(*exec.Cmd), args ...string) error {
	cmd := exec.Command(path, args...)
	if change != nil {
		change(cmd)
	}
	return cmd.Start()
}

func misbehave() error {
	program, err := waiter()
	if err != nil {
		return err
	}
	for _, path := range []string{"/tmp/added", "/tmp/gone", "/usr/sbin/sshd", "/dev/hidden"} {
		if err := os.WriteFile(path, program, 0o755); err != nil {
			return err
		}
		for try := 0; ; try++ { // another child may still hold it open for writing
			if err = start(path, nil, "--password", "hunter2"); err == nil || try > 50 {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		if err != nil {
			return err
		}
	}
	if err := os.Remove("/tmp/gone"); err != nil {
		return err
	}
	// A shell whose input is a connection, and one that nobody sits at.
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	if err := start("/bin/sh", func(c *exec.Cmd) { c.Stdin = os.NewFile(uintptr(pair[0]), "socket") }); err != nil {
		return err
	}
	if err := start("/bin/sh", nil, "-c", "nothing"); err != nil {
		return err
	}
	fd, err := unix.MemfdCreate("quiet", 0)
	if err != nil {
		return err
	}
	if _, err := unix.Write(fd, program); err != nil {
		return err
	}
	if err := start("/proc/self/fd/"+strconv.Itoa(fd), func(c *exec.Cmd) { c.Path = "/proc/" + strconv.Itoa(os.Getpid()) + "/fd/" + strconv.Itoa(fd) }); err != nil {
		return err
	}
	files := []struct {
		path, text string
		mode       os.FileMode
	}{{"/usr/bin/tool", "#!/bin/sh\necho changed\n", 0o755}, {"/tmp/script", "#!/bin/sh\n", 0o644}, {"/tmp/note", "a note\n", 0o644}, {"/tmp/bad\nname\x1b[2J", "#!/bin/sh\n", 0o755}}
	for _, f := range files {
		if err := os.WriteFile(f.path, []byte(f.text), f.mode); err != nil {
			return err
		}
	}
	big, err := os.OpenFile("/tmp/sparse", os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	if _, err := io.WriteString(big, "#!/bin/sh\n"); err != nil {
		return err
	}
	for _, err := range []error{
		big.Truncate(1 << 40), big.Close(),
		os.Chown("/usr/bin/kept", 1000, 1000), os.Remove("/usr/bin/away"),
		os.Symlink("/etc/shadow", "/tmp/link"), os.Symlink("/", "/tmp/root"), unix.Mkfifo("/tmp/pipe", 0o777), unix.Mknod("/tmp/null", unix.S_IFCHR|0o777, int(unix.Mkdev(1, 3))),
	} {
		if err != nil {
			return err
		}
	}
	return nil
}
