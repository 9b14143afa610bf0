package registryserver

import "syscall"

// childOfTest has the server end with the test's process, whatever ends that.
func childOfTest() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
