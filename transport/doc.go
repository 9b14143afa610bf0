// Package transport makes the connections that sinew speaks over, and speaks
// over them.
//
// Dial and Listen turn a network's name and an address into a [net.Conn] or a
// [net.Listener]: tcp, tcp4, tcp6, tls, unix, ws, wss and mem. Nothing else in
// sinew opens a socket, and nothing here knows what is said over one, with a
// single exception: Session is one multiplexed, symmetric connection over any
// net.Conn, and works the same over all of them.
//
// # The in-memory network
//
// [MemNetwork] is a network inside the process, made for tests: of sinew and of
// programs that use it. It behaves as TCP does towards its users (bounded
// buffers, half-close, orderly close and reset, deadlines) and misbehaves on
// request ([MemFaults]): latency, a narrow line, a partition, a reader that
// stalls, a cut after so many bytes, a dial that is refused or hangs. It starts
// no goroutine and waits only in ways that testing/synctest counts as durably
// blocked, so that inside a bubble every fault happens at its exact instant of
// the fake clock and takes no real time.
//
// # Where things are
//
//   - network.go: the table of networks, Dial, Listen, NetworkOf
//   - tcp.go, tls.go, unix.go: the networks of the operating system
//   - websocket.go, websocketlistener.go, websocketconn.go: ws and wss
//   - mem.go, memfaults.go: the in-memory network and what can go wrong in it
//   - memconn.go, memlink.go, mempipe.go: one of its connections: the two ends
//     as users see them, what passes between them, one direction of it
package transport
