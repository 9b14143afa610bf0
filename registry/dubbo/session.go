package dubbo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/sinew-rpc/sinew/internal/log"
	"github.com/sinew-rpc/sinew/registry"
)

// errLost is why calls of a session fail whose connection broke.
var errLost = errors.New("the connection to ZooKeeper is lost")

// session is one session of ZooKeeper on one connection. The connection's
// goroutines end with close, which waits for them.
type session struct {
	conn   *zk.Conn
	socket *socket
	events <-chan zk.Event // closed when the last goroutine has ended
	begun  chan struct{}   // closed when the server gave the session
	ended  chan struct{}   // closed when the connection is lost
}

// openSession connects to one of servers, and waits as long as a session may be
// silent.
func openSession(ctx context.Context, servers []string, timeout time.Duration) (*session, error) {
	s := &session{socket: new(socket), begun: make(chan struct{}), ended: make(chan struct{})}
	var begin, end sync.Once
	watch := func(e zk.Event) {
		switch e.State {
		case zk.StateHasSession:
			begin.Do(func() { close(s.begun) })
		case zk.StateDisconnected, zk.StateExpired, zk.StateAuthFailed:
			end.Do(func() { close(s.ended) })
		}
	}
	var err error
	s.conn, s.events, err = zk.Connect(servers, timeout, zk.WithDialer(s.socket.dial), zk.WithEventCallback(watch),
		zk.WithLogger(logger{}), zk.WithLogInfo(false), zk.WithMaxBufferSize(maxAnswer), zk.WithMaxConnBufferSize(maxRequest))
	if err != nil {
		return nil, fmt.Errorf("registry/dubbo: %w", err)
	}
	limit := time.NewTimer(timeout)
	defer limit.Stop()
	select {
	case <-s.begun:
		return s, nil
	case <-s.ended:
		err = errLost
	case <-limit.C:
		err = s.socket.failure(fmt.Errorf("no session within %v", timeout))
	case <-ctx.Done():
		err = ctx.Err()
	}
	s.close()
	return nil, fmt.Errorf("registry/dubbo: ZooKeeper at %s: %w", strings.Join(servers, ", "), err)
}

const (
	// maxAnswer bounds what a server may send at once, in bytes.
	maxAnswer = 64 << 20
	// maxRequest is what a transaction may take: ZooKeeper's own bound is 1 MiB.
	maxRequest = 1 << 20
)

// close ends the session: what is ephemeral in it goes at once, where the server
// can still be told.
func (s *session) close() {
	select {
	case <-s.ended:
		s.socket.close()
	default:
	}
	s.conn.Close() // tells the server, for a second at most
	s.socket.close()
	for range s.events { // until the goroutines have ended
	}
}

// errContended says that others wrote to the same place again and again.
var errContended = errors.New("others came between each time")

// answers are the errors that a server sends, or what it sent leads to. Every other
// error of a call, such as those of package net, says that the connection is lost.
var answers = []error{
	zk.ErrNoNode, zk.ErrNodeExists, zk.ErrNoAuth, zk.ErrBadVersion, zk.ErrNotEmpty, zk.ErrNoChildrenForEphemerals,
	zk.ErrInvalidACL, zk.ErrAuthFailed, zk.ErrBadArguments, zk.ErrAPIError, errContended, registry.ErrSuperseded,
}

// answered reports whether err is the server's answer, rather than the lack of one.
func answered(err error) bool {
	return slices.ContainsFunc(answers, func(answer error) bool { return errors.Is(err, answer) })
}

// makePath creates a node and those above it, to stay, where they are missing. It asks
// first: to create what is there is refused where others may create nothing, as below
// a root that an operator has closed.
func (s *session) makePath(path string) error {
	exists, _, err := s.conn.Exists(path)
	if err != nil {
		return fmt.Errorf("looking for %s: %w", path, err)
	}
	if exists {
		return nil
	}
	if above := path[:strings.LastIndexByte(path, '/')]; above != "" {
		if err := s.makePath(above); err != nil {
			return err
		}
	}
	if _, err := s.conn.Create(path, nil, 0, zk.WorldACL(zk.PermAll)); err != nil && !errors.Is(err, zk.ErrNodeExists) {
		return fmt.Errorf("creating %s: %w", path, err)
	}
	return nil
}

// swapTries is how often a swap is tried that others come between.
const swapTries = 10

// swap makes node an ephemeral child of dir that this session owns, and removes
// those children of dir that stale names, all in one transaction. An empty node
// only removes. An error of stale ends it before anything is written.
func (s *session) swap(dir, node string, stale func(child string) (bool, error)) error {
	var err error
	for range swapTries {
		var ops []any
		if ops, err = s.swapOps(dir, node, stale); err == nil {
			if len(ops) == 0 {
				return nil
			}
			_, err = s.conn.Multi(ops...)
		}
		switch {
		case err == nil:
			return nil
		case errors.Is(err, zk.ErrNoNode) && node != "":
			if err := s.makePath(dir); err != nil {
				return err
			}
		case errors.Is(err, zk.ErrNoNode):
			// Somebody else removed it, or there was never anything: look again.
			if exists, _, gone := s.conn.Exists(dir); gone == nil && !exists {
				return nil
			}
		case !errors.Is(err, zk.ErrNodeExists):
			return fmt.Errorf("writing to %s: %w", dir, err)
		}
	}
	return fmt.Errorf("writing to %s, %d times: %w", dir, swapTries, errContended)
}

func (s *session) swapOps(dir, node string, stale func(string) (bool, error)) (ops []any, err error) {
	children, _, err := s.conn.Children(dir)
	if err != nil {
		return nil, err
	}
	create := node != ""
	for _, child := range children {
		owned, old := false, false
		if child == node {
			owned, err = s.owns(dir + "/" + child)
			old = !owned
		} else {
			old, err = stale(child)
		}
		if err != nil {
			return nil, err
		}
		create = create && !owned
		if old {
			ops = append(ops, &zk.DeleteRequest{Path: dir + "/" + child, Version: -1})
		}
	}
	if create {
		ops = append(ops, &zk.CreateRequest{Path: dir + "/" + node, Acl: zk.WorldACL(zk.PermAll), Flags: zk.FlagEphemeral})
	}
	return ops, nil
}

// owns reports whether a node ends with this session: one that a session before
// it left behind will go when the server ends that.
func (s *session) owns(path string) (bool, error) {
	_, stat, err := s.conn.Exists(path)
	return err == nil && stat.EphemeralOwner == s.conn.SessionID(), err
}

// removeOwn removes the node at path, should this session own it.
func (s *session) removeOwn(path string) error {
	owned, err := s.owns(path)
	if err != nil || !owned {
		return err
	}
	if err := s.conn.Delete(path, -1); err != nil && !errors.Is(err, zk.ErrNoNode) {
		return fmt.Errorf("removing %s: %w", path, err)
	}
	return nil
}

// socket dials, until it has made one connection: the driver would take up a
// session again on another, and loses changes then.
type socket struct {
	mu sync.Mutex
	// Guarded by mu.
	conn   net.Conn
	closed bool
	err    error // of the last dial
}

func (s *socket) dial(network, addr string, timeout time.Duration) (net.Conn, error) {
	s.mu.Lock()
	spent := s.conn != nil || s.closed
	s.mu.Unlock()
	if spent {
		return nil, errLost
	}
	conn, err := net.DialTimeout(network, addr, timeout)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err = err; err != nil {
		return nil, err
	}
	if s.closed {
		_ = conn.Close() // nothing was sent
		return nil, errLost
	}
	s.conn = conn
	return conn, nil
}

// failure returns why no connection was made, or err.
func (s *socket) failure(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	return err
}

func (s *socket) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.conn != nil {
		_ = s.conn.Close() // the driver may have done so
	}
}

// logger sends what the driver says to sinew's log.
type logger struct{}

// Printf implements zk.Logger.
func (logger) Printf(format string, args ...any) {
	log.V(1).Infof("registry/dubbo: zookeeper: "+format, args...)
}
