package lab

import (
	"os"
	"syscall"
)

// dieWithParent makes the kernel kill the child when the thread that started it
// ends; see [launch], which keeps that thread.
func dieWithParent() (*syscall.SysProcAttr, error) {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}, nil
}

// tryLock takes the file's lock, or reports that somebody else has it. The kernel
// drops the lock when the file is closed or its process dies.
func tryLock(f *os.File) (bool, error) {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch err {
		case nil:
			return true, nil
		case syscall.EINTR:
		case syscall.EWOULDBLOCK:
			return false, nil
		default:
			return false, &os.PathError{Op: "lock", Path: f.Name(), Err: err}
		}
	}
}
