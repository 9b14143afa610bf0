package load

import (
	"context"
	"time"
)

// What the service of the overload does: it waits for HoldTime on one of Slots,
// as a handler with a small pool of connections to a database does, so a server
// answers Slots/HoldTime calls a second and no more.
const (
	Slots    = 16
	HoldTime = 10 * time.Millisecond
)

// Capacity is the calls a second that a [Desk] works off.
const Capacity = Slots * int(time.Second/HoldTime)

// Desk is what handlers wait at in the overload. One is for one server.
type Desk struct{ slots chan struct{} }

// NewDesk makes a desk with all of its slots free.
func NewDesk() *Desk { return &Desk{slots: make(chan struct{}, Slots)} }

// Work takes a slot, in the order of arrival, and holds it. Where a framework
// tells its handlers that the caller has gone, by ctx, it gives up its place.
func (d *Desk) Work(ctx context.Context) error {
	select {
	case d.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	time.Sleep(HoldTime)
	<-d.slots
	return nil
}
