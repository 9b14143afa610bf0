package client

import "github.com/sinew-rpc/sinew/protocol"

// Codes is how many codes a call can fail with, protocol.OK included.
const Codes = int(protocol.Unauthenticated) + 1

// Stats is what the calls of an SGClient have come to since it was made. What a
// wrapper refused never became a call here. Numbers of one snapshot may be a few
// calls apart from each other.
type Stats struct {
	// Calls were begun, and InFlight of them have not ended. Broadcast and Fork
	// are one call each.
	Calls, InFlight uint64
	// Failures are calls that ended with an error, by its code. Those that
	// FailSafe swallowed are among them.
	Failures [Codes]uint64
	// Swallowed are failures that FailSafe kept from the caller.
	Swallowed uint64

	// Attempts were given to a provider: first ones, Retries and Hedges. Moves
	// are not among them.
	Attempts uint64
	// Retries are further attempts after one that failed.
	Retries uint64
	// Moves are attempts that met a provider which was gone or leaving, and
	// went on to another.
	Moves uint64
	// Hedges are attempts beside one that was slow. HedgeWins of them answered
	// first.
	Hedges, HedgeWins uint64

	// BudgetRefused are retries and hedges that the budget did not allow.
	BudgetRefused uint64
	// BudgetLeft is how many retries and hedges the budget allows now, and -1
	// where there is no budget.
	BudgetLeft int64

	// Connections are open now, those included that are being drained.
	Connections int
	// BytesRead and BytesWritten are the frames that connections carried, as they
	// are inside TLS or WebSocket.
	BytesRead, BytesWritten uint64
}

// Stats implements SGClient.
func (c *sgClient) Stats() Stats {
	s := c.counts.snapshot()
	s.BudgetLeft = c.budget.left()
	connections, carried := c.traffic.sum()
	s.Connections, s.BytesRead, s.BytesWritten = connections, carried.Read, carried.Written
	return s
}
