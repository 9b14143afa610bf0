package server

// Stats is what a server does now, and has done since it was made: plain numbers,
// for metrics. Those that count only grow.
type Stats struct {
	// Connections are being served now.
	Connections int
	// RequestsInFlight are being served now, and BytesInFlight is what their
	// bodies take: what MaxRequestsInFlight and MaxBytesInFlight bound.
	RequestsInFlight int
	BytesInFlight    int64

	// ConnectionsAccepted counts all, ConnectionsRefused those beyond
	// MaxConnections.
	ConnectionsAccepted, ConnectionsRefused uint64
	// Requests counts those that were admitted, oneways and a gateway's included.
	Requests uint64
	// BytesRead and BytesWritten are the frames that connections carried, as they
	// are inside TLS or WebSocket.
	BytesRead, BytesWritten uint64
	// Refused counts requests and oneways whose method was not entered.
	Refused Refusals
	// RefusedOneways are the oneways among those that were refused before they
	// were admitted: nobody was told of them.
	RefusedOneways uint64
	// Panics counts panics of methods and wrappers that the server contained. One
	// that a Recover wrapper caught is counted there.
	Panics uint64
}

// Refusals counts, by reason, requests whose method was not entered.
type Refusals struct {
	Unknown    uint64 // no such service or method
	Unreadable uint64 // a serializer, compressor, metadata or body that cannot be used
	Tags       uint64 // other tags than the server's
	Admission  uint64 // a wrapper's Admit said no, or panicked
	Size       uint64 // beyond MaxMessageSize
	Room       uint64 // too many requests or bytes in flight
	Draining   uint64 // the server was leaving
	Expired    uint64 // their time was up, or their caller gone, before they ran
}

// Stats returns the numbers of this moment. They are read one after the other,
// so a request that is under way may be in one and not yet in another.
func (s *SGServer) Stats() Stats {
	stats := Stats{
		RequestsInFlight: s.room.InFlight(),
		BytesInFlight:    s.room.Bytes(),
		RefusedOneways:   s.stats.RefusedOneways.Load(),
		Panics:           s.dispatcher.Stats.Panics.Load(),
		Refused:          s.refusals(),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	carried := s.carried
	for session := range s.peers {
		carried = carried.Plus(session.Traffic())
	}
	stats.Connections = s.connections
	stats.ConnectionsAccepted, stats.ConnectionsRefused = s.taken, s.beyond
	stats.Requests = carried.Requests + s.local.Load()
	stats.BytesRead, stats.BytesWritten = carried.Read, carried.Written
	return stats
}

func (s *SGServer) refusals() Refusals {
	d := &s.dispatcher.Stats
	return Refusals{
		Unknown:    d.Unknown.Load(),
		Unreadable: d.Unreadable.Load(),
		Tags:       s.admission.untagged.Load(),
		Admission:  s.admission.denied.Load() + d.PanickedAdmits.Load() + s.stats.PanickedAdmits.Load(),
		Size:       s.stats.RefusedSize.Load(),
		Room:       s.stats.RefusedRoom.Load() + d.NoRoom.Load(),
		Draining:   s.stats.RefusedDraining.Load(),
		Expired:    d.Expired.Load(),
	}
}
