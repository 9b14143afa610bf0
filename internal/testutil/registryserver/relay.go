package registryserver

import (
	"net"
	"sync"
	"testing"
)

// Relay stands between clients and a server, and can do what networks do.
type Relay struct {
	ln     net.Listener
	target string
	wg     sync.WaitGroup

	mu sync.Mutex
	// Guarded by mu.
	conns  map[net.Conn]struct{}
	hole   chan struct{} // closed by Heal; nil: bytes pass
	closed bool
}

// NewRelay begins to relay to target, until the test ends.
func NewRelay(t testing.TB, target string) *Relay {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &Relay{ln: ln, target: target, conns: make(map[net.Conn]struct{})}
	r.wg.Go(r.accept)
	t.Cleanup(r.close)
	return r
}

// Addr returns host:port for clients.
func (r *Relay) Addr() string { return r.ln.Addr().String() }

// BlackHole lets connections stand, and be made, and passes nothing on.
func (r *Relay) BlackHole() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.hole == nil {
		r.hole = make(chan struct{})
	}
}

// Heal ends BlackHole. What was sent meanwhile arrives.
func (r *Relay) Heal() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.hole != nil {
		close(r.hole)
		r.hole = nil
	}
}

// Cut ends every connection that stands.
func (r *Relay) Cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := range r.conns {
		_ = c.Close() // both sides notice
	}
}

func (r *Relay) close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.Heal()
	_ = r.ln.Close()
	r.Cut()
	r.wg.Wait()
}

func (r *Relay) accept() {
	for {
		client, err := r.ln.Accept()
		if err != nil {
			return
		}
		r.wg.Go(func() {
			r.pass()
			server, err := net.Dial("tcp", r.target)
			if err != nil {
				_ = client.Close() // the server is down, which is what a client sees then
				return
			}
			if r.hold(client) && r.hold(server) {
				r.wg.Go(func() { r.pump(server, client) })
				r.pump(client, server)
			}
			r.drop(client)
			r.drop(server)
		})
	}
}

// pump copies one direction until either side ends.
func (r *Relay) pump(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		r.pass()
		if n > 0 {
			if _, werr := to.Write(buf[:n]); werr != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// pass waits while there is a black hole.
func (r *Relay) pass() {
	r.mu.Lock()
	hole := r.hole
	r.mu.Unlock()
	if hole != nil {
		<-hole
	}
}

func (r *Relay) hold(c net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		_ = c.Close()
		return false
	}
	r.conns[c] = struct{}{}
	return true
}

func (r *Relay) drop(c net.Conn) {
	_ = c.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.conns, c)
}
