package lab

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// process is a child whose output goes to a file.
type process struct {
	name string
	cmd  *exec.Cmd
	log  string
	done chan struct{} // closed when the child is gone and reaped
	err  error         // how it ended; read after done
}

// launch starts a program that dies with this process. The child's death signal
// is tied to the thread that starts it, and the Go runtime may end threads, so
// one goroutine keeps its thread until the child is gone.
func launch(log, program string, args ...string) (*process, error) {
	attr, err := dieWithParent()
	if err != nil {
		return nil, err
	}
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	p := &process{
		name: filepath.Base(program),
		cmd:  exec.Command(program, args...),
		log:  log,
		done: make(chan struct{}),
	}
	p.cmd.Dir = filepath.Dir(log)
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.SysProcAttr = attr

	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer out.Close()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			p.err = p.cmd.Wait()
		}
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", p.name, err)
	}
	return p, nil
}

// pid is 0 when there is no such process.
func (p *process) pid() int {
	if p == nil || p.gone() {
		return 0
	}
	return p.cmd.Process.Pid
}

func (p *process) gone() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// kill returns when the process is reaped. Killing a dead or absent one is fine.
func (p *process) kill() {
	if p == nil {
		return
	}
	p.cmd.Process.Kill() // the only error is that it is gone already
	<-p.done
}

// died is the error for a process that ended by itself.
func (p *process) died() error {
	return fmt.Errorf("%s ended (%v); the end of its log:\n%s", p.name, p.err, tail(p.log))
}

// tail is the end of a file, what a person needs to see of a log.
func tail(path string) string {
	const most = 4 << 10
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > most {
		f.Seek(-most, io.SeekEnd)
	}
	text, _ := io.ReadAll(io.LimitReader(f, most))
	return string(text)
}
