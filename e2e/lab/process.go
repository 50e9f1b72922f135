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
	id   int
	log  string
	end  func()        // asks the kernel for its end
	done chan struct{} // closed when the child is gone and reaped
	err  error         // how it ended; read after done
}

// launch starts a program that dies with this process. The child's death signal
// is tied to the thread that starts it, and the Go runtime may end threads, so
// one goroutine keeps its thread until the child is gone.
func launch(log, program string, args ...string) (*process, error) {
	return launchWith(nil, log, program, args...)
}

// launchWith adds to the environment.
func launchWith(env []string, log, program string, args ...string) (*process, error) {
	attr, err := dieWithParent()
	if err != nil {
		return nil, err
	}
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(program, args...)
	cmd.Dir = filepath.Dir(log)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = attr
	p := &process{
		name: filepath.Base(program),
		log:  log,
		end:  func() { cmd.Process.Kill() }, // the only error is that it is gone already
		done: make(chan struct{}),
	}

	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer out.Close()
		err := cmd.Start()
		if err == nil {
			p.id = cmd.Process.Pid
		}
		started <- err
		if err == nil {
			p.err = cmd.Wait()
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
	return p.id
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
	p.end()
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
