package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sinew-rpc/sinew/protocol"
)

// Defaults of SessionConfig.
const (
	DefaultFrameTimeout = 10 * time.Second
	DefaultWriteTimeout = 10 * time.Second
	DefaultReadPause    = 20 * time.Millisecond
	DefaultMaxQueued    = 1 << 20
)

// ErrSessionClosed is the cause of the errors of a session that was closed on
// this side.
var ErrSessionClosed = errors.New("transport: session closed")

// errDrained is how a session ends that had nothing left to do after a goaway.
var errDrained = errors.New("transport: session drained")

// Handler is what a session asks about the requests that its peer sends.
type Handler interface {
	// Admit is asked on the reader when the header is there and the body is
	// not. An error refuses the call: it is answered with NotRun and its body
	// is skipped. ctx is the session's own; h and its MetaData are valid until
	// Admit returns, and its MetaData may be written to after h.OwnMeta. It must
	// not wait. A panic refuses that call as Internal. What it found out is
	// handed to Accept as ticket.
	Admit(ctx context.Context, h *protocol.Header, bodyLen int) (ticket any, err error)
	// Accept makes the task of an admitted request or oneway, on the reader. h
	// is valid until it returns, its body is the task's, and its MetaData to be
	// read; after h.OwnMeta it is the task's too. Deadline is zero when there is
	// none. It must not wait.
	Accept(s *Session, h *protocol.Header, ticket any, body *Buffer, deadline time.Time) Task
	// Hello is told on a worker what the peer's hello said.
	Hello(s *Session, h *protocol.Header)
}

// Task is one request or oneway that is being served.
type Task interface {
	// Run serves it and ends with exactly one Session.Reply or Session.Finish. It
	// runs on a worker, or on the reader where its Pace says that it is quick.
	Run()
	// Cancel tells it that its caller has gone, or that the session has ended.
	// It may come before, during and after Run, more than once, on any
	// goroutine.
	Cancel(cause error)
	// Oneway reports whether nobody waits for its answer.
	Oneway() bool
	// Pace returns what is known of the time that tasks of this kind take, nil when
	// nothing is. Run has to tell it.
	Pace() *Pace
}

// SessionConfig is what the sessions of one client or server have in common. It
// must not be changed once a session uses it.
type SessionConfig struct {
	// Handler serves the peer's requests; nil refuses them as Unimplemented.
	Handler Handler
	// Workers runs tasks. It must be set.
	Workers *Workers
	// Room bounds what is taken in; nil is no bound.
	Room *Room
	// MaxRequests bounds the peer's requests that are served at one time on one
	// session, so that none takes all of Room; 0 or less is no bound.
	MaxRequests int
	// Intern makes strings of names, see protocol.ParseHeader. May be nil.
	Intern func([]byte) string
	// MaxMessageSize bounds a frame's header and body, in bytes. The default is
	// protocol.DefaultMaxMessageSize.
	MaxMessageSize int
	// MaxQueued bounds the bytes that wait to be written on one session. The
	// default is DefaultMaxQueued.
	MaxQueued int
	// FrameTimeout is how long prefix and header of a frame may take to arrive
	// once they have begun, and the span over which a body must bring 16 KiB/s, or
	// a sixtieth of its rest each second when others found no room for theirs in it.
	// The default is DefaultFrameTimeout.
	FrameTimeout time.Duration
	// WriteTimeout ends a session whose socket takes nothing for so long. The
	// default is DefaultWriteTimeout.
	WriteTimeout time.Duration
	// ReadPause is how long the reader may wait for room before it refuses. The
	// default is DefaultReadPause; negative is not at all.
	ReadPause time.Duration
	// Hello is the metadata of the first frame that is sent; empty sends none.
	Hello map[string]string
	// Leaving, where not empty, is the reason of a goaway that is said at once:
	// the session serves no request, whenever that arrives. See GoAway.
	Leaving string
	// OnStart is told of a new session before anything is read or written on
	// it, so that an owner can be set that the first request finds. What it has
	// written comes after the hello. It runs in NewSession, and must not Close the
	// session itself. May be nil.
	OnStart func(s *Session)
	// OnGoAway is told on the reader that the peer is going away. May be nil.
	OnGoAway func(s *Session, reason string)
	// OnEnd is told once, on the reader's goroutine, when the session has
	// ended and its socket is closed. May be nil.
	OnEnd func(s *Session, err error)
	// Stats counts what happens to frames over all sessions. May be nil.
	Stats *Stats

	calls  sync.Pool // of *call: kept per config, since a call holds a channel
	spared sparedSessions
}

// Stats counts frames that led to nothing. Its fields may be read at any time.
type Stats struct {
	UnknownType       atomic.Uint64 // frames of a type that this side does not know
	StrayResponses    atomic.Uint64 // responses nobody waited for
	StrayCancels      atomic.Uint64 // cancels of calls that are not running
	OversizedReplies  atomic.Uint64 // responses, in either direction, beyond MaxMessageSize or the bound of metadata
	RefusedOneways    atomic.Uint64 // oneways that were not served
	DroppedHeartbeats atomic.Uint64 // heartbeat answers and cancels without a place in the reserve
	Refused           atomic.Uint64 // requests answered with NotRun by the session itself

	// Why requests and oneways were refused, where the session decided it.
	RefusedSize     atomic.Uint64 // beyond MaxMessageSize
	RefusedDraining atomic.Uint64 // after this side's goaway
	RefusedRoom     atomic.Uint64 // for want of room in the Room
	PanickedAdmits  atomic.Uint64 // Handler.Admit panicked
}

var noStats Stats // counted into and never read, so that no counter needs a nil check

// began is what moments count from that are kept as a number.
var began = time.Now()

// Session is one connection, multiplexed and symmetric: both ends may call and
// serve on it. It is a context.Context that ends with the connection.
//
// It starts one goroutine, the reader, and when a write cannot be finished by
// the goroutine that began it, a writer that ends when nothing is queued. Both
// end when the session does; Close waits for them. Handlers run on the
// config's Workers; quick ones on the reader, which another goroutine becomes when
// one of them takes long after all. All methods may run concurrently.
type Session struct {
	cfg   *SessionConfig
	stats *Stats
	conn  net.Conn
	sock  socket
	work  func()         // workLoop as a func value, made once
	wg    sync.WaitGroup // reader and writer
	done  chan struct{}  // closed when the session ends
	owner atomic.Pointer[any]
	heard atomic.Int64  // when a byte last arrived, in nanoseconds from began
	read  atomic.Uint64 // bytes; only the reader adds to it

	in    inbound // the reader's own
	frame frameWatch

	queue taskQueue // what waits for a worker

	goneAway atomic.Bool   // we sent a goaway; set with mu held
	serving  atomic.Bool   // the reader has a turn
	seq      atomic.Uint64 // of the newest call of this side
	peerMax  atomic.Int64  // the largest frame the peer takes

	mu sync.Mutex
	// Guarded by mu:
	err        error           // why the session ended; nil while it lives
	pending    seqTable[*call] // calls of this side, by their Seq
	out        outbox
	tasks      seqTable[running] // requests and oneways being served, by the peer's Seq
	pausing    bool              // the reader waits for room
	peerGone   bool              // the peer sent one
	peerRenews bool              // and serves on
	answered   bool              // the peer has answered anything at all
	beats      int32             // how many of pending are heartbeats
	unpause    chan struct{}
	peerComp   string // compressors the peer accepts, comma list
	written    uint64 // bytes that the socket took
	entered    uint64 // requests and oneways that became tasks
}

// NewSession starts a session on conn, which it owns from now on. A TLS
// handshake must be over. It fails when conn is connected to itself. Where conn
// has a method PlainConn() net.Conn, what that returns is read and written in its
// place.
func NewSession(conn net.Conn, cfg *SessionConfig) (*Session, error) {
	if l, r := conn.LocalAddr(), conn.RemoteAddr(); isTCP(l) && l.String() == r.String() {
		_ = conn.Close() // nothing was said on it
		return nil, fmt.Errorf("transport: %s is connected to itself: nobody listens there", l)
	}
	s := &Session{cfg: cfg, conn: conn, done: make(chan struct{}), stats: cfg.Stats}
	s.peerMax.Store(protocol.DefaultMaxMessageSize)
	if s.stats == nil {
		s.stats = &noStats
	}
	s.sock = newSocket(conn)
	s.work = s.workLoop
	s.heard.Store(int64(time.Since(began)))
	if len(cfg.Hello) > 0 {
		s.out.appendSmall(protocol.AppendFrameHead(nil, &protocol.Header{MessageType: protocol.TypeHello, MetaData: cfg.Hello}, 0), nil)
	}
	if cfg.Leaving != "" {
		s.goneAway.Store(true)
		s.out.appendGoAway(cfg.Leaving, nil)
	}
	s.wg.Add(1)
	if cfg.OnStart != nil {
		cfg.OnStart(s) // from here on others may write on s, end it and wait for it
	}
	go s.readLoop()
	if len(cfg.Hello) > 0 || cfg.Leaving != "" {
		s.mu.Lock()
		s.unlockAndFlush(false)
	}
	return s, nil
}

func isTCP(a net.Addr) bool {
	_, ok := a.(*net.TCPAddr)
	return ok
}

// LocalAddr returns the address of this end.
func (s *Session) LocalAddr() net.Addr { return s.conn.LocalAddr() }

// RemoteAddr returns the address of the peer.
func (s *Session) RemoteAddr() net.Addr { return s.conn.RemoteAddr() }

// Conn returns the connection, for its addresses and TLS state. It must not be
// read, written or closed.
func (s *Session) Conn() net.Conn { return s.conn }

// Room returns what bounds the requests that the session takes in; nil: nothing.
func (s *Session) Room() *Room { return s.cfg.Room }

// SetOwner attaches a value of the session's user; Owner returns it.
func (s *Session) SetOwner(v any) { s.owner.Store(&v) }

// Owner returns what SetOwner attached, or nil.
func (s *Session) Owner() any {
	if v := s.owner.Load(); v != nil {
		return *v
	}
	return nil
}

// Deadline, Done, Err and Value make a Session a context.Context that ends with
// the connection.
func (s *Session) Deadline() (deadline time.Time, ok bool) { return time.Time{}, false }

// Done returns a channel that is closed when the session ends.
func (s *Session) Done() <-chan struct{} { return s.done }

// Err returns context.Canceled once the session has ended, nil before.
func (s *Session) Err() error {
	select {
	case <-s.done:
		return context.Canceled
	default:
		return nil
	}
}

// sessionKey is the context key of the session itself.
type sessionKey struct{}

// Value returns the session itself under the key of FromContext.
func (s *Session) Value(key any) any {
	if _, ok := key.(sessionKey); ok {
		return s
	}
	return nil
}

// FromContext returns the session on which the request of ctx arrived, or nil.
func FromContext(ctx context.Context) *Session {
	s, _ := ctx.Value(sessionKey{}).(*Session)
	return s
}

// Cause returns why the session ended, nil while it lives.
func (s *Session) Cause() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Usable reports whether calls may be opened: the session lives, and neither
// side has said that it goes away.
func (s *Session) Usable() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err == nil && !s.peerGone && !s.goneAway.Load()
}

// PeerLeft reports whether the peer said goaway, and whether it had answered
// anything on this session before it did.
func (s *Session) PeerLeft() (left, answered bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.peerGone, s.answered
}

// PeerRenews reports whether the peer said goaway for the connection alone: it
// serves on, and may be connected to again at once.
func (s *Session) PeerRenews() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.peerRenews
}

// LastHeard returns when a byte last arrived from the peer. A clock that is set
// meanwhile does not change how long that is ago.
func (s *Session) LastHeard() time.Time { return began.Add(time.Duration(s.heard.Load())) }

// Traffic is what a session has carried since it began.
type Traffic struct {
	Read, Written uint64 // bytes of frames, as they are inside TLS or WebSocket
	Requests      uint64 // of the peer that were admitted, oneways included
}

// Plus returns the sum of both.
func (t Traffic) Plus(o Traffic) Traffic {
	return Traffic{Read: t.Read + o.Read, Written: t.Written + o.Written, Requests: t.Requests + o.Requests}
}

// Traffic returns what the session has carried until now.
func (s *Session) Traffic() Traffic {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Traffic{Read: s.read.Load(), Written: s.written, Requests: s.entered}
}

// Load returns the calls of this side that wait for an answer, or to be written,
// oneways included and heartbeats not, and the peer's requests that are being served.
func (s *Session) Load() (calls, tasks int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pending.len() - int(s.beats) + s.out.unwritten(), s.tasks.len()
}

// Close ends the session now and waits until its goroutines have ended. Calls
// that wait get an error with their outcome. Oneways that an orderly end had
// spared go on: see SessionConfig.CancelSpared. It returns nil.
func (s *Session) Close() error {
	s.fail(ErrSessionClosed)
	s.wg.Wait()
	return nil
}

// Fail ends the session now, for the reason err, which Cause returns and the
// errors of waiting calls name. It does not wait for the session's goroutines:
// Close does. On a session that has ended it does nothing.
func (s *Session) Fail(err error) { s.fail(err) }

// fail ends the session with err; the first error wins.
func (s *Session) fail(err error) {
	s.mu.Lock()
	s.failLocked(err, allGiven)
}

// failLocked ends the session and unlocks. unsent is how many bytes of the
// batch in progress the socket took; frames beyond are NotSent.
func (s *Session) failLocked(err error, unsent int) {
	if s.err != nil {
		s.mu.Unlock()
		return
	}
	s.err = err
	s.frame.stop()
	pending, tasks := s.pending.all(), s.tasks.all()
	s.pending, s.beats = seqTable[*call]{}, 0
	drained := errors.Is(err, errDrained)
	ended := make([]*call, 0, len(pending))
	for _, c := range pending {
		c.err = s.lost(err, s.out.outcome(c, unsent))
		ended = append(ended, c)
	}
	cancels := make([]Task, 0, len(tasks))
	for _, r := range tasks {
		if !drained || !r.task.Oneway() {
			cancels = append(cancels, r.task)
		}
	}
	if len(cancels) < len(tasks) {
		s.cfg.spared.add(s)
	}
	ended = append(ended, s.out.failNotifies(s, err, unsent)...)
	s.out.failWaiters()
	close(s.done)
	s.mu.Unlock()

	_ = s.conn.Close() // what it could say is less than err
	for _, c := range ended {
		c.finish()
	}
	for _, t := range cancels {
		t.Cancel(err)
	}
}

// lost is the error of a call whose session ended before its answer.
func (s *Session) lost(cause error, o protocol.Outcome) *protocol.Error {
	text := "the connection to " + s.RemoteAddr().String() + " was lost"
	switch {
	case errors.Is(cause, errDrained):
		e := protocol.Draining("the connection to " + s.RemoteAddr().String() + " has been drained")
		return e.WithCause(cause).WithOutcome(o)
	case errors.Is(cause, io.EOF):
		text += ": closed by the peer"
	default:
		text += ": " + cause.Error()
	}
	e := &protocol.Error{Code: protocol.Unavailable, Message: text, Elsewhere: true}
	return e.WithCause(cause).WithOutcome(o)
}
