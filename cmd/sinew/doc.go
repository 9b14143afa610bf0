// Sinew is the command line of the framework: it calls methods, lists who serves
// what, watches and pings providers, puts load on them and has them drain.
//
//	sinew call Arith.Add '{"A":1,"B":2}' --addr 127.0.0.1:8888
//	sinew ls --registry zk://127.0.0.1:2181
//
// docs/cli.md has what each command prints; "sinew help" has the flags.
//
// # Where things are
//
//   - main.go, root.go: the program and its flags
//   - target.go, fleet.go: whom a command is about, and how it asks them
//   - call.go, ls.go, ping.go, watch.go, bench.go, drain.go: one command each
//   - complete.go: what a shell completes
//   - advice.go: errors that say what to do
//   - table.go, screen.go, format.go: what is printed
package main
