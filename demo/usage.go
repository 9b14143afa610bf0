package main

// usage is the help of each role; its flags follow.
var usage = map[role]string{
	roleShow: `Shows sinew at work, all in this process: a registry, three providers of an
arithmetic and a text service on loopback TCP, and a client that calls them from
many goroutines and checks every reply. One provider is paused for a while, one
moved to another idc and back by its tag in the registry, one killed and started
again, one drained; no call may fail. A gateway takes HTTP meanwhile: the lines
to paste into another terminal are printed.

  go run ./demo                  the whole show
  go run ./demo server -h        one server in this process
  go run ./demo client -h        one client, or a single call

Flags:`,

	roleServer: `Serves ArithService (Add, Multiply, Divide: {"A":1,"B":2}) and TextService
(Count: {"Text":"..."}) until Ctrl-C, which drains: calls that run are answered.
It registers where clients look for it. A gateway beside it takes HTTP.

  go run ./demo server
  go run ./demo server -addr 127.0.0.1:0                  another one
  go run ./demo server -registry zk://127.0.0.1:2181
  go run ./demo server -registry zk://10.0.0.7:2181 -addr :8888 -advertise 10.0.0.9

Flags:`,

	roleClient: `Calls servers for a while and shows what comes back; or makes one call and
prints the reply, both as JSON. The registry says whom to call, or -addr does.

  go run ./demo client
  go run ./demo client -registry zk://127.0.0.1:2181
  go run ./demo client -addr 127.0.0.1:8888,127.0.0.1:8889 -duration 0
  go run ./demo client ArithService.Add '{"A":1,"B":2}'
  go run ./demo client TextService.Count '{"Text":"to be or not to be"}'

Flags:`,
}

// helpCommand is what prints the help of the role.
func (s *settings) helpCommand() string {
	switch s.role {
	case roleServer:
		return "go run ./demo server -h"
	case roleClient, roleCall:
		return "go run ./demo client -h"
	}
	return "go run ./demo -h"
}
