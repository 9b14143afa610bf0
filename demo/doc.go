// Command demo shows sinew at work: the whole system in one process, or one
// role per process. See its -h.
//
//   - main.go, settings.go, usage.go: the command line
//   - arith.go, text.go: the services, plain structs
//   - book.go: the text whose words are counted
//   - show.go, stage.go, acts.go, provider.go: everything in one process: a
//     registry, three providers that come and go, a client
//   - web.go, view.go: the gateway, and what is to be seen there
//   - role_server.go, role_client.go: one role per process
//   - onecall.go: one call whose bodies are JSON
//   - load.go: what the client calls, and how it checks the replies
//   - observer.go, failures.go: measuring, as a wrapper
//   - standing.go: how a provider stands
//   - report.go, screen.go, table.go, summary.go: what is printed
//   - advice.go: errors that say what to do
package main
