//go:build !linux

package registryserver

import "syscall"

func childOfTest() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
