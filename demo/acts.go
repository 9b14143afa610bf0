package main

import (
	"context"
	"fmt"
	"time"

	"github.com/sinew-rpc/sinew/registry"
)

// act is something that happens to the providers while they are called.
type act struct {
	at float64 // part of the duration after which it happens
	do func(context.Context) error
}

// acts plays one after the other, each at its time, until ctx ends.
func (st *stage) acts(ctx context.Context) error {
	begun := time.Now()
	for _, a := range []act{
		{0.125, st.pauseThird},
		{0.4, st.resumeThird},
		{0.475, st.moveSecondAway},
		{0.55, st.moveSecondBack},
		{0.6, st.killFirst},
		{0.725, st.restartFirst},
		{0.85, st.drainSecond},
	} {
		at := time.Duration(a.at * float64(st.settings.duration))
		if !pause(ctx, at-time.Since(begun)) {
			return nil
		}
		if err := a.do(ctx); err != nil {
			return err
		}
	}
	return nil
}

// pauseThird stops the third provider in the middle of everything. Its kernel
// still takes connections and requests: only silence tells.
func (st *stage) pauseThird(context.Context) error {
	p := st.providers[2]
	p.listener.pause()
	st.setState(p.key, "paused")
	st.display.say("* paused %s: it takes requests, and answers neither those nor heartbeats", p.addr)
	return nil
}

// resumeThird lets the third provider go on where it was.
func (st *stage) resumeThird(context.Context) error {
	p := st.providers[2]
	p.listener.resume()
	st.setState(p.key, "serving")
	st.display.say("* resumed %s", p.addr)
	return nil
}

// moveSecondAway shifts traffic by the registry alone: the client calls providers
// of its own idc.
func (st *stage) moveSecondAway(ctx context.Context) error { return st.moveSecond(ctx, awayIDC) }

func (st *stage) moveSecondBack(ctx context.Context) error { return st.moveSecond(ctx, homeIDC) }

func (st *stage) moveSecond(ctx context.Context, idc string) error {
	p := st.providers[1]
	listed, _, err := st.registry.Providers(ctx)
	if err != nil {
		return fmt.Errorf("moving %s: %w", p.addr, err)
	}
	for _, entry := range listed {
		if entry.ProviderKey != p.key {
			continue
		}
		entry.Tags = map[string]string{idcTag: idc}
		if err := st.registry.Register(ctx, registry.RegisterOption{AppKey: defaultApp}, entry); err != nil {
			return fmt.Errorf("moving %s: %w", p.addr, err)
		}
	}
	st.display.say("* moved %s to idc %s; the client calls idc %s", p.addr, idc, homeIDC)
	return nil
}

// killFirst kills the first provider. The registry goes on listing it: nobody
// told it.
func (st *stage) killFirst(context.Context) error {
	p := st.providers[0]
	inFlight := st.observed.provider(p.key).inFlight.Load()
	p.listener.kill()
	st.setState(p.key, "killed")
	st.display.say("* killed %s with %d calls in flight; the registry still lists it", p.addr, inFlight)
	return nil
}

// restartFirst starts the killed provider anew at the address that it had.
func (st *stage) restartFirst(context.Context) error {
	dead := st.providers[0]
	p, err := startProvider(defaultApp, dead.addr, st.registry, &st.ran)
	if err != nil {
		return fmt.Errorf("starting %s again: %w", dead.addr, err)
	}
	st.dead = append(st.dead, dead)
	st.providers[0] = p
	st.setState(p.key, "serving")
	st.display.say("* started %s again", p.addr)
	return nil
}

// drainSecond ends the second provider as a deployment does.
func (st *stage) drainSecond(ctx context.Context) error {
	p := st.providers[1]
	st.setState(p.key, "draining")
	begun := time.Now()
	if err := p.server.Shutdown(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("draining %s: %w", p.addr, err)
	}
	st.setState(p.key, "drained")
	st.display.say("* drained %s in %s: every call that it had is answered", p.addr, brief(time.Since(begun)))
	return nil
}
