//go:build !linux

package lab

import (
	"errors"
	"os"
	"syscall"
)

var errNotLinux = errors.New("the lab runs on Linux only: elsewhere nothing ends its processes when the tests die")

func dieWithParent() (*syscall.SysProcAttr, error) { return nil, errNotLinux }

func tryLock(*os.File) (bool, error) { return false, errNotLinux }
