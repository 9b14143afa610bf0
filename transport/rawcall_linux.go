//go:build gc && (amd64 || arm64) && !sinew_purego && !race && !msan && !asan

package transport

import (
	"sync"
	"syscall"
	"unsafe"
)

// A session reads and writes by raw system calls, of which the runtime does not hear.
// It takes any other for one that may block, and has it wake the runtime's monitor
// thread where all processors were idle before: with one call at a time, that is each.
// A futex, two changes of threads and a short sleep cost more than the read itself: a
// quarter of the calls per second of one caller was measured to go into them. These
// calls never block; what the monitor is there for happens all the same, by alarm.
//
// The build tag sinew_purego, or a detector that has to hear of all that is read and
// written, puts rawcall_off_linux.go in the place of this file: nothing else changes.

// mostRaw is how many bytes a raw call may move: its processor can do nothing else
// meanwhile, and a collection that is to begin waits for it, some ten microseconds.
const mostRaw = 256 << 10

// mostVectors is how many slices a raw call may move.
const mostVectors = 16

func readBufs(fd int, bufs [][]byte) (int, error) {
	if mayBeRaw(bufs) {
		return rawRead(fd, bufs)
	}
	set := processAlarm.set()
	n, err := knownRead(fd, bufs)
	if set {
		processAlarm.heard()
	}
	return n, err
}

func writeBufs(fd int, bufs [][]byte) (int, error) {
	if mayBeRaw(bufs) {
		return rawWrite(fd, bufs)
	}
	return knownWrite(fd, bufs)
}

func mayBeRaw(bufs [][]byte) bool {
	if len(bufs) > mostVectors {
		return false
	}
	size := 0
	for _, b := range bufs {
		size += len(b)
	}
	return size <= mostRaw && processAlarm.covers()
}

func rawRead(fd int, bufs [][]byte) (int, error) {
	return rawCall(syscall.SYS_RECVFROM, syscall.SYS_RECVMSG, fd, bufs, syscall.MSG_DONTWAIT)
}

func rawWrite(fd int, bufs [][]byte) (int, error) {
	return rawCall(syscall.SYS_SENDTO, syscall.SYS_SENDMSG, fd, bufs, syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL)
}

// rawCall moves bytes between a socket and bufs, by one of two system calls. A flag
// says that it must not block: package net has its descriptors so, but one whose File
// has been asked for its Fd blocks from then on.
func rawCall(one, several uintptr, fd int, bufs [][]byte, flags uintptr) (int, error) {
	if len(bufs) == 1 {
		b := bufs[0]
		return result(syscall.RawSyscall6(one, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), flags, 0, 0))
	}
	return rawVectors(several, fd, bufs, flags)
}

// vectors is what a system call over several slices takes. It is lent: on the stack it
// would double that of a reader, which is most of what an idle connection costs.
type vectors struct {
	message syscall.Msghdr
	list    [mostVectors]syscall.Iovec
}

var lentVectors = sync.Pool{New: func() any { return new(vectors) }}

func rawVectors(call uintptr, fd int, bufs [][]byte, flags uintptr) (int, error) {
	v := lentVectors.Get().(*vectors)
	for i, b := range bufs {
		v.list[i].Base = unsafe.SliceData(b)
		v.list[i].SetLen(len(b))
	}
	v.message.Iov, v.message.Iovlen = &v.list[0], uint64(len(bufs))
	n, err := result(syscall.RawSyscall(call, uintptr(fd), uintptr(unsafe.Pointer(&v.message)), flags))
	clear(v.list[:len(bufs)])
	lentVectors.Put(v)
	return n, err
}

func result(n, _ uintptr, errno syscall.Errno) (int, error) {
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
