// Package client calls what package server serves.
//
// [NewRPCClient] makes a client of one provider, [NewSGClient] one of an
// application, whose providers a registry lists. Both call methods by name:
//
//	err := c.Call(ctx, "ArithService.Add", &req, &resp)
//	resp, err := client.Invoke[AddResponse](ctx, c, "ArithService.Add", &req)
//	call := c.Go(ctx, "ArithService.Add", &req, &resp, nil)
//	err = c.Notify(ctx, "Log.Write", &req)
//
// # Errors
//
// Every error of a call is a *protocol.Error. Its Code says what happened, and
// protocol.OutcomeOf the one thing that decides whether calling again can do
// harm: NotSent, Refused, MaybeRun or Ran. A call never returns after its
// deadline, which is the earlier of its context's and Option.RequestTimeout;
// the text says which it was.
//
// # Trying again
//
// [FailMode] says what an SGClient does about an attempt that failed, [SGOption]
// how often, how soon and how much of it all calls together may do. What may have
// run is tried again only where the method is idempotent (SGOption.Idempotent,
// [Idempotent]), and may then be hedged: a second provider is asked when the
// first is slow (SGOption.Hedged, [Hedge]). The outcome of an error is that of
// all attempts together, and [Explain] returns the story of a call that failed.
// Broadcast and Fork call several providers at one time.
//
// # Connections
//
// A provider is dialled by the first call that needs it, on a goroutine of the
// client, and all callers share the connection. A lost one is made again when a
// call needs it, after a pause that doubles with each failure; calls in that
// pause fail at once with the last failure as cause. A provider that says goaway
// gets nothing new on that connection, and its pending answers are waited for; for
// a second an SGClient chooses others where there are any, since it is about to
// end, as a rule.
// One that the registry lists no more is let go; where the registry does not know
// that it left, it is called on for as long as its connection answers heartbeats.
// Providers may call back what is registered with Register or [Handle].
//
// # Who is called
//
// An SGClient leaves out who does not answer heartbeats ([Degraded]) or cannot be
// reached ([Failing]) while anybody else is there, and tries them again in the
// background; where nobody else is there it calls them all the same. With
// SGOption.CircuitBreakerThreshold it also leaves out, for a while and without
// exception, who fails its calls; see [BreakerError]. Option.OnStateChange and
// Providers tell of it. Among the rest SGOption.Selector chooses.
//
// # The chain
//
// [Wrapper] puts something round every call, [AttemptWrapper] round every
// attempt. Both are composed once, when the client is made; first in the list
// is outermost. [With] says something about single calls.
//
// # Where things are
//
//   - client.go: the interfaces; call.go: what they do with a call
//   - option.go, sgoption.go: settings; wrapper.go, percall.go, handle.go
//   - core.go: what both clients share; gate.go: which calls are under way;
//     rpcclient.go, sgclient.go: what they do not
//   - failmode.go: when a call is tried again; pursuit.go: one call on its way
//     through its attempts; attempt.go: one of them; budget.go: what all calls
//     may spend on that; methods.go: which methods; failsafe.go
//   - race.go: attempts side by side; hedge.go, fork.go, broadcast.go: what they
//     are for; latency.go: when a hedge is due
//   - explain.go, story.go: what a call that failed tells; stats.go, counters.go
//   - connection.go: one provider's sessions; dial.go, heartbeat.go, hello.go,
//     shutdown.go: how one begins, stays and ends; health.go, breaker.go: whether
//     calls should go there; state.go: who is told
//   - watch.go, unlisted.go, view.go, rebuild.go, pick.go: from a registry's list
//     to a choice; attempt.go: what it teaches
//   - stats.go, traffic.go: what metrics read
//   - errors.go: the one way out for errors
package client
