//go:build !gc || !(amd64 || arm64) || sinew_purego || race || msan || asan

package transport

func writeBufs(fd int, bufs [][]byte) (int, error) { return knownWrite(fd, bufs) }

func readBufs(fd int, bufs [][]byte) (int, error) { return knownRead(fd, bufs) }
