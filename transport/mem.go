package transport

import (
	"context"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// memBacklog is how many connections wait for Accept before dials wait too.
const memBacklog = 128

// MemAddr is an address in a MemNetwork: any text.
type MemAddr string

// Network returns "mem".
func (a MemAddr) Network() string { return "mem" }

// String returns the address as it stands.
func (a MemAddr) String() string { return string(a) }

// MemNetwork is a network in memory. Its connections behave like TCP's,
// including what goes wrong with those: see [MemFaults]. The zero value is an
// empty network, ready for use. All methods may be called concurrently.
//
// It works inside a testing/synctest bubble and outside. A connection made in
// a bubble must be used in that bubble alone, so a test in a bubble makes a
// network of its own.
//
// It starts no goroutine. It keeps track of a connection until both ends are
// closed.
type MemNetwork struct {
	mu sync.Mutex
	// Guarded by mu, which is taken before a listener's or a link's.
	listeners map[string]*memListener
	links     map[*memLink]struct{}
	faults    MemFaults
	faultsAt  map[string]MemFaults
	lastAuto  uint64 // number of the last address that the network chose
	lastLink  uint64 // number of the last connection
}

// NewMemNetwork returns an empty network.
func NewMemNetwork() *MemNetwork { return &MemNetwork{} }

var defaultMemNetwork MemNetwork

// DefaultMemNetwork returns the network that "mem" means where the options
// name no other. The whole process shares it.
func DefaultMemNetwork() *MemNetwork { return &defaultMemNetwork }

func dialMem(ctx context.Context, _, addr string, o DialOptions) (net.Conn, error) {
	c, err := orDefault(o.Mem).dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	return c, nil
}

func listenMem(_, addr string, o ListenOptions) (net.Listener, error) {
	return orDefault(o.Mem).listen(addr)
}

func orDefault(n *MemNetwork) *MemNetwork {
	if n == nil {
		return DefaultMemNetwork()
	}
	return n
}

// Listen listens on addr, any text; with an empty one the network chooses an
// address, which the listener's Addr tells. Connections that Accept returns are
// of type *MemConn. An address in use is a *net.OpError that wraps
// syscall.EADDRINUSE. Closing the listener resets the connections that were not
// accepted yet; the others live on.
func (n *MemNetwork) Listen(addr string) (net.Listener, error) {
	ln, err := n.listen(addr)
	if err != nil {
		return nil, opError("listen", "mem", addr, err)
	}
	return ln, nil
}

func (n *MemNetwork) listen(addr string) (net.Listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if addr == "" {
		addr = n.freeAddrLocked()
	}
	if n.listeners[addr] != nil {
		return nil, os.NewSyscallError("bind", syscall.EADDRINUSE)
	}
	ln := &memListener{network: n, addr: MemAddr(addr)}
	ln.changed.L = &ln.mu
	if n.listeners == nil {
		n.listeners = make(map[string]*memListener)
	}
	n.listeners[addr] = ln
	return ln, nil
}

// Dial connects to addr. It takes the latency of both directions, and longer
// while the listener's backlog of 128 is full. Where nobody listens the error
// wraps syscall.ECONNREFUSED; when ctx ends first, ctx's error. Every error is a
// *net.OpError.
func (n *MemNetwork) Dial(ctx context.Context, addr string) (*MemConn, error) {
	c, err := n.dial(ctx, addr)
	if err != nil {
		return nil, opError("dial", "mem", addr, err)
	}
	return c, nil
}

func (n *MemNetwork) dial(ctx context.Context, addr string) (*MemConn, error) {
	faults := n.faultsFor(addr)
	if faults.hangsDials() {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if err := sleep(ctx, faults.roundTrip()); err != nil {
		return nil, err
	}
	link, ln := n.connect(addr)
	if link == nil {
		return nil, os.NewSyscallError("connect", syscall.ECONNREFUSED)
	}
	if err := ln.push(ctx, link); err != nil {
		link.abandon()
		return nil, err
	}
	return &MemConn{link: link, side: dialerSide}, nil
}

// connect makes the connection to whoever listens on addr, or returns nil when
// nobody does.
func (n *MemNetwork) connect(addr string) (*memLink, *memListener) {
	n.mu.Lock()
	defer n.mu.Unlock()
	faults := n.faultsForLocked(addr)
	ln := n.listeners[addr]
	if ln == nil || faults.RefuseDials {
		return nil, nil
	}
	n.lastLink++
	link := newMemLink(n, addr, n.lastLink, faults)
	if n.links == nil {
		n.links = make(map[*memLink]struct{})
	}
	n.links[link] = struct{}{}
	return link, ln
}

// SetFaults sets how connections and dials behave from now on, those that
// exist included, except where SetFaultsAt or MemConn.SetFaults said otherwise.
// What is under way already arrives when it was going to.
func (n *MemNetwork) SetFaults(f MemFaults) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.faults = f
	for link := range n.links {
		if _, special := n.faultsAt[link.addr]; !special {
			link.inheritFaults(f)
		}
	}
}

// SetFaultsAt is SetFaults for the dials and connections to one address, on
// which somebody may or may not listen yet.
func (n *MemNetwork) SetFaultsAt(addr string, f MemFaults) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.faultsAt == nil {
		n.faultsAt = make(map[string]MemFaults)
	}
	n.faultsAt[addr] = f
	for link := range n.links {
		if link.addr == addr {
			link.inheritFaults(f)
		}
	}
}

// Cut resets every connection to addr, as [MemConn.Cut] does, and returns how
// many there were. Listeners stay.
func (n *MemNetwork) Cut(addr string) int {
	return n.cut(func(l *memLink) bool { return l.addr == addr })
}

// CutAll resets every connection of the network, as [MemConn.Cut] does, and
// returns how many there were. Listeners stay.
func (n *MemNetwork) CutAll() int {
	return n.cut(func(*memLink) bool { return true })
}

func (n *MemNetwork) cut(which func(*memLink) bool) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	count := 0
	for link := range n.links {
		if which(link) {
			link.cut()
			count++
		}
	}
	return count
}

func (n *MemNetwork) faultsFor(addr string) MemFaults {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.faultsForLocked(addr)
}

func (n *MemNetwork) faultsForLocked(addr string) MemFaults {
	if f, ok := n.faultsAt[addr]; ok {
		return f
	}
	return n.faults
}

// freeAddrLocked chooses the address of a listener that asked for none.
func (n *MemNetwork) freeAddrLocked() string {
	for {
		n.lastAuto++
		addr := fmt.Sprintf("mem-%d", n.lastAuto)
		if n.listeners[addr] == nil {
			return addr
		}
	}
}

func (n *MemNetwork) forgetLink(l *memLink) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.links, l)
}

func (n *MemNetwork) forgetListener(ln *memListener) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.listeners[string(ln.addr)] == ln {
		delete(n.listeners, string(ln.addr))
	}
}

// memListener is a listener of a MemNetwork.
type memListener struct {
	network *MemNetwork
	addr    MemAddr

	mu sync.Mutex
	// Guarded by mu.
	changed sync.Cond // queue or closed changed, or a dialer's context ended
	queue   []*memLink
	closed  bool
}

var _ net.Listener = (*memListener)(nil)

// push puts a connection into the backlog, waiting for room in it.
func (ln *memListener) push(ctx context.Context, link *memLink) error {
	ln.mu.Lock()
	defer ln.mu.Unlock()
	if len(ln.queue) >= memBacklog {
		stop := context.AfterFunc(ctx, func() {
			ln.mu.Lock()
			defer ln.mu.Unlock()
			ln.changed.Broadcast()
		})
		defer stop()
	}
	for len(ln.queue) >= memBacklog && !ln.closed && ctx.Err() == nil {
		ln.changed.Wait()
	}
	if ln.closed {
		return os.NewSyscallError("connect", syscall.ECONNREFUSED)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	ln.queue = append(ln.queue, link)
	ln.changed.Broadcast()
	return nil
}

// Accept waits for the next connection.
func (ln *memListener) Accept() (net.Conn, error) {
	ln.mu.Lock()
	defer ln.mu.Unlock()
	for len(ln.queue) == 0 && !ln.closed {
		ln.changed.Wait()
	}
	if ln.closed {
		return nil, opError("accept", "mem", string(ln.addr), net.ErrClosed)
	}
	link := ln.queue[0]
	ln.queue[0] = nil
	ln.queue = ln.queue[1:]
	ln.changed.Broadcast()
	return &MemConn{link: link, side: listenerSide}, nil
}

// Close frees the address and resets what was not accepted.
func (ln *memListener) Close() error {
	ln.mu.Lock()
	if ln.closed {
		ln.mu.Unlock()
		return opError("close", "mem", string(ln.addr), net.ErrClosed)
	}
	ln.closed = true
	rest := ln.queue
	ln.queue = nil
	ln.changed.Broadcast()
	ln.mu.Unlock()

	ln.network.forgetListener(ln)
	for _, link := range rest {
		link.close(listenerSide, true)
	}
	return nil
}

// Addr returns the address listened on, a MemAddr.
func (ln *memListener) Addr() net.Addr { return ln.addr }

// sleep waits for d or until ctx ends, whose error it returns.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}
