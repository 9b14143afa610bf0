package main

import "syscall"

// withParent has a process end with this one, whatever ends that, and keeps the
// terminal's signals from it.
func withParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
