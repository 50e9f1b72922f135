package agent

import "syscall"

// ownGroup makes a process one that ends with the agent, in a group that can be stopped as a whole.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
