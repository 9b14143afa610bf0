//go:build !linux

package transport

import "net"

func newSocket(conn net.Conn) socket { return plainSocket(conn) }
