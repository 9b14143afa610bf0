package transport

import "time"

// DefaultMemBuffer is how many bytes one direction of a mem connection holds,
// under way and unread together, unless MemPath.Buffer says otherwise.
const DefaultMemBuffer = 64 << 10

// MemPath says how one direction of a mem connection behaves. The zero value
// is a perfect line: what is written can be read in the same instant.
type MemPath struct {
	// Latency is how long a byte, an end of stream or a reset travels.
	Latency time.Duration

	// Jitter adds to Latency a random time of up to Jitter, drawn for each
	// write. Order is kept: nothing overtakes what was written before it.
	Jitter time.Duration

	// Bandwidth is in bytes a second; zero or less is unlimited. What one
	// write hands over arrives together, when its last byte does.
	Bandwidth int64

	// Buffer is how many bytes are held, under way and unread together; a
	// writer that finds it full blocks, as on a TCP connection whose peer does
	// not read. Zero or less is DefaultMemBuffer. With latency it bounds the
	// throughput to Buffer per Latency.
	Buffer int

	// CutAfter resets the connection when this many bytes have been written
	// in this direction since it began. The writer's end is reset at once; the
	// other end can read those bytes, and no more, and then sees the reset.
	// Zero or less never cuts; to cut at once there is Cut.
	CutAfter int64

	// Blackhole holds everything back, data, end of stream and reset: nothing
	// arrives, and nobody sees an error. The writer goes on until the buffer
	// is full and blocks then. When it is taken back, what was held arrives, as
	// TCP's retransmission brings it: a stream never has a hole. While either
	// direction is a black hole, dials hang until their context ends.
	Blackhole bool

	// Stall is a receiver that does not read: bytes arrive, but its Read
	// blocks, and so does the writer when the buffer is full. Unlike with
	// Blackhole, a reset gets through.
	Stall bool
}

// instant says that what is written arrives at once.
func (p *MemPath) instant() bool {
	return p.Latency <= 0 && p.Jitter <= 0 && p.Bandwidth <= 0 && !p.Blackhole
}

func (p *MemPath) buffer() int {
	if p.Buffer <= 0 {
		return DefaultMemBuffer
	}
	return p.Buffer
}

// MemFaults says what goes wrong with mem connections: with all of a network
// (MemNetwork.SetFaults), with those to one address (MemNetwork.SetFaultsAt),
// or with a single one (MemConn.SetFaults), before or while they run. The most
// specific one that was set counts, alone and as a whole; the zero value, where
// set, is a perfect network.
type MemFaults struct {
	ToListener MemPath // from who dialled to who accepted
	ToDialer   MemPath // and back

	// RefuseDials refuses new connections, as if nobody listened.
	RefuseDials bool

	// HangDials lets dials hang until their context ends, even when the fault
	// is taken back before.
	HangDials bool

	// Seed determines the jitter, together with the connection's number in
	// its network: connections made in the same order see the same one.
	Seed uint64
}

// BothWays returns faults with the same path in both directions.
func BothWays(p MemPath) MemFaults {
	return MemFaults{ToListener: p, ToDialer: p}
}

func (f *MemFaults) hangsDials() bool {
	return f.HangDials || f.ToListener.Blackhole || f.ToDialer.Blackhole
}

func (f *MemFaults) roundTrip() time.Duration {
	return max(f.ToListener.Latency, 0) + max(f.ToDialer.Latency, 0)
}
