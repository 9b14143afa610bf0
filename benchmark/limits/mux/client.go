package main

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"

	"github.com/sinew-rpc/sinew/benchmark/internal/load"
)

// client gives each caller a slot, so that finding who waits for a reply
// costs an index and no lock: callers have one call in flight each.
type client struct {
	conn   net.Conn
	w      writer
	ended  chan struct{} // closed when the reader has ended; err is set before
	err    error
	adding sync.Mutex              // held while slots is replaced
	slots  atomic.Pointer[[]*slot] // never changed in place
}

// slot is where one caller waits. Its buffer is the reader's from the request
// on, and the caller's from the reply to its next request.
type slot struct {
	reply chan frame
	buf   []byte
}

func dial(addr string) (load.Client, error) {
	conn, err := net.Dial("tcp4", addr)
	if err != nil {
		return nil, fmt.Errorf("dial: %w", err)
	}
	c := &client{conn: conn, w: writer{conn: conn}, ended: make(chan struct{})}
	c.slots.Store(&[]*slot{})
	go c.read()
	return c, nil
}

// read hands every reply to its caller, until Close.
func (c *client) read() {
	defer close(c.ended)
	room := func(number uint32, n int) ([]byte, error) {
		slots := *c.slots.Load()
		if int(number) >= len(slots) || len(slots[number].reply) > 0 {
			return nil, fmt.Errorf("a reply for slot %d, where nobody waits", number)
		}
		s := slots[number]
		s.buf = resized(s.buf, n)
		return s.buf, nil
	}
	c.err = readFrames(c.conn, room, func(f frame) { (*c.slots.Load())[f.slot].reply <- f })
}

func (c *client) Caller() (load.Call, error) {
	number, s := c.addSlot()
	return func(_ context.Context, id int64, body []byte) (int64, []byte, error) {
		if err := c.w.write(frame{slot: number, id: id, body: body}); err != nil {
			return 0, nil, err
		}
		select {
		case f := <-s.reply:
			return f.id, f.body, nil
		case <-c.ended:
			return 0, nil, c.err
		}
	}, nil
}

func (c *client) addSlot() (uint32, *slot) {
	c.adding.Lock()
	defer c.adding.Unlock()
	old := *c.slots.Load()
	s := &slot{reply: make(chan frame, 1)}
	slots := append(old[:len(old):len(old)], s)
	c.slots.Store(&slots)
	return uint32(len(old)), s
}

func (c *client) Close() error {
	err := c.conn.Close()
	<-c.ended
	return err
}
