package protocol

import "time"

// The methods that every server has of its own. They are called as any other,
// through the server's chain, with its auth and its limits.
const (
	// MethodStatus takes a StatusRequest and answers a ServerStatus.
	MethodStatus = "sinew.Introspect.Status"
	// MethodServices takes a ServicesRequest and answers a ServiceList.
	MethodServices = "sinew.Introspect.Services"
	// MethodDrain takes a DrainRequest and answers a DrainReply. Only a server with
	// an authoriser has it.
	MethodDrain = "sinew.Admin.Drain"
)

// StatusRequest asks what a server is doing. It has no fields yet.
type StatusRequest struct{}

// ServerStatus is what a server is doing now, and what bounds it. Of what it
// counts, numbers only grow.
type ServerStatus struct {
	Started  time.Time // when the server was made
	Draining bool      // it is leaving
	Tags     map[string]string
	Versions Versions
	Limits   ServerLimits

	Connections      int   // now
	RequestsInFlight int   // being served now
	BytesInFlight    int64 // that the bodies of those take

	ConnectionsAccepted uint64
	Requests            uint64 // admitted
	Refused             uint64 // whose method was not entered, for whatever reason
	Panics              uint64
	BytesRead           uint64
	BytesWritten        uint64
}

// Versions are those of what a server is made of.
type Versions struct {
	Sinew string // of this module, "(devel)" where it is not known
	Go    string // such as "go1.26.7"
	Main  string // module and version of the program; may be empty
}

// ServerLimits are the bounds of a server; 0 is none.
type ServerLimits struct {
	MaxConnections           int
	MaxRequestsInFlight      int
	MaxRequestsPerConnection int
	MaxBytesInFlight         int64
	MaxMessageSize           int           // bytes
	MaxElements              int           // values in one body
	MaxConnectionAge         time.Duration // in nanoseconds, as it travels
	ShutDownWait             time.Duration
}

// ServicesRequest asks what a server serves. It has no fields yet.
type ServicesRequest struct{}

// ServiceList is what a server serves, services of the framework included, sorted
// by name.
type ServiceList struct{ Services []ServiceInfo }

// DrainRequest asks a server to drain, as SGServer.Shutdown does. It has no fields
// yet.
type DrainRequest struct{}

// DrainReply tells what a server that has begun to drain still had to finish.
type DrainReply struct {
	Connections      int
	RequestsInFlight int // the request to drain included
}
