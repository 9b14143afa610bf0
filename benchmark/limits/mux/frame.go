package main

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"runtime"
	"slices"
	"sync"
)

// A frame is: length of the body, 4 bytes; slot, 4; identifier, 8; the body.
const (
	headerSize = 16
	// largeBody is the size from which a body is written from where it lies
	// instead of being copied next to its header.
	largeBody = 16 << 10
	readSize  = 64 << 10
)

// frame is one message. The slot tells the client which of its callers waits.
type frame struct {
	slot uint32
	id   int64
	body []byte
}

// readFrames reads every frame into the buffer that room returns for its slot
// and length, and hands it to handle, until reading or handle fails.
func readFrames(conn net.Conn, room func(slot uint32, n int) ([]byte, error), handle func(frame)) error {
	in := bufio.NewReaderSize(conn, readSize)
	var header [headerSize]byte
	for {
		if _, err := io.ReadFull(in, header[:]); err != nil {
			return err
		}
		f := frame{
			slot: binary.BigEndian.Uint32(header[4:]),
			id:   int64(binary.BigEndian.Uint64(header[8:])),
		}
		var err error
		if f.body, err = room(f.slot, int(binary.BigEndian.Uint32(header[:]))); err != nil {
			return err
		}
		if _, err := io.ReadFull(in, f.body); err != nil {
			return err
		}
		handle(f)
	}
}

// writer gathers the frames of many goroutines. Whoever finds no write in
// progress yields once, so that others can add theirs, and then writes until
// nothing is pending.
type writer struct {
	conn net.Conn
	// release, where set, gets every body back once it is written or copied.
	release func(body []byte)

	mu      sync.Mutex
	small   []byte      // guarded by mu: headers and small bodies not yet in pending
	pending net.Buffers // guarded by mu
	spare   []byte      // guarded by mu: a buffer to reuse as small
	writing bool        // guarded by mu
	err     error       // guarded by mu: the first failed write; nothing is written after it
}

// write appends f and, unless another goroutine is writing, writes. The body
// of a large frame must stay as it is until the frame is answered.
func (w *writer) write(f frame) error {
	w.mu.Lock()
	w.appendLocked(f)
	if w.writing || w.err != nil {
		defer w.mu.Unlock()
		return w.err
	}
	w.writing = true
	w.mu.Unlock()
	runtime.Gosched()
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.err == nil && (len(w.small) > 0 || len(w.pending) > 0) {
		w.writeBatchLocked()
	}
	w.writing = false
	return w.err
}

func (w *writer) appendLocked(f frame) {
	w.small = binary.BigEndian.AppendUint32(w.small, uint32(len(f.body)))
	w.small = binary.BigEndian.AppendUint32(w.small, f.slot)
	w.small = binary.BigEndian.AppendUint64(w.small, uint64(f.id))
	if len(f.body) < largeBody {
		w.small = append(w.small, f.body...)
		w.done(f.body)
		return
	}
	w.pending = append(w.pending, w.small, f.body)
	w.small = nil
}

// writeBatchLocked writes what is pending, without the lock meanwhile.
func (w *writer) writeBatchLocked() {
	last := w.small
	batch := w.pending
	if len(last) > 0 {
		batch = append(batch, last)
	}
	w.small, w.pending, w.spare = w.spare, nil, nil
	w.mu.Unlock()
	err := w.send(batch)
	w.mu.Lock()
	if err != nil {
		w.err = err
	}
	if w.spare == nil {
		w.spare = last[:0]
	}
}

// send writes a batch and gives the large bodies in it back.
func (w *writer) send(batch net.Buffers) error {
	// WriteTo empties the slice that it is called on, hence the copy.
	unsent := slices.Clone(batch)
	if _, err := unsent.WriteTo(w.conn); err != nil {
		return err
	}
	// Bodies stand after their headers; a last buffer has no body after it.
	for i := 1; i < len(batch); i += 2 {
		w.done(batch[i])
	}
	return nil
}

func (w *writer) done(body []byte) {
	if w.release != nil {
		w.release(body)
	}
}
