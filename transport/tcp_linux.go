package transport

import (
	"math"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// setUserTimeout sets TCP_USER_TIMEOUT (tcp(7)), which counts milliseconds in
// a C int; zero there is the system's default.
func setUserTimeout(c syscall.RawConn, d time.Duration) error {
	ms := (max(d, 0) + time.Millisecond - 1) / time.Millisecond
	ms = min(ms, math.MaxInt32)
	var err error
	if cerr := c.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(ms))
	}); cerr != nil {
		return cerr
	}
	return os.NewSyscallError("setsockopt TCP_USER_TIMEOUT", err)
}
