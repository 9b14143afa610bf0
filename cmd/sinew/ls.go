package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/registry"
)

func newLs(t *target) *cobra.Command {
	all := false
	c := &cobra.Command{
		Use:   "ls [application]...",
		Short: "List applications, their providers, and their methods with types",
		Long: `Lists the providers of each application in the registry, or those of --addr, with
what each says of itself, and the methods that they serve.

States: up; draining, it is leaving; degraded, it is connected and does not answer in
time; down, it cannot be reached; denied, it wants another --auth; unasked, it was not
called, for the reason behind it.`,
		Example:           "  sinew ls --registry zk://127.0.0.1:2181\n  sinew ls --addr 127.0.0.1:8888,127.0.0.1:8889",
		ValidArgsFunction: completeApp(t),
		RunE: func(c *cobra.Command, args []string) error {
			apps, err := t.chosen(c.Context(), args)
			if err != nil {
				return err
			}
			for i, app := range apps {
				if i > 0 {
					fmt.Fprintln(c.OutOrStdout())
				}
				if err := list(c.Context(), t, app, all, c.OutOrStdout()); err != nil {
					return err
				}
			}
			return nil
		},
	}
	c.Flags().BoolVar(&all, "all", false, "the framework's own services too")
	return c
}

// chosen returns the applications to list: those named, else all. Of addresses it
// is one without a name.
func (t *target) chosen(ctx context.Context, named []string) ([]string, error) {
	switch {
	case len(t.addrs) > 0 && len(named) > 0:
		return nil, misused("--addr says whom to list: leave %q out, or --addr", named[0])
	case len(t.addrs) > 0:
		return []string{""}, nil
	}
	location, err := t.location()
	if err != nil {
		return nil, err
	}
	apps, err := t.apps(ctx, location)
	switch {
	case err != nil:
		return nil, err
	case len(named) > 0:
		return named, t.check(apps, named...)
	case t.app != "":
		return []string{t.app}, t.check(apps, t.app)
	}
	return apps, nil
}

// list prints one application.
func list(ctx context.Context, t *target, app string, all bool, out io.Writer) error {
	r, err := t.open(ctx, app)
	if err != nil {
		return err
	}
	defer r.Close()
	providers, state, err := t.providers(ctx, r)
	if err != nil {
		return err
	}
	f, err := t.fleet()
	if err != nil {
		return err
	}
	defer f.Close()
	probes := f.probe(ctx, providers)
	if app != "" {
		fmt.Fprintf(out, "%s: %s in %s\n\n", app, plural(len(providers), "provider"), t.registry)
	}
	if caution := caveat(state); caution != "" {
		fmt.Fprintln(out, caution)
	}
	lines := providerTable(probes).lines()
	lines = append(lines, methodLines(f.services(ctx, probes, all), len(probes))...)
	_, err = fmt.Fprintln(out, strings.Join(lines, "\n"))
	return err
}

// providerTable is one row for each provider, with what is wrong behind it.
func providerTable(probes []probe) table {
	rows := table{{"PROVIDER", "STATE", "TAGS", "VERSION", "UP FOR", "CONNS", "IN FLIGHT", "CALLS"}}
	for _, p := range probes {
		row := []string{p.provider.ProviderKey, p.state(), pairs(p.provider.Tags), cmp.Or(p.provider.Version, "-")}
		if p.err != nil {
			rows = append(rows, append(row, since(p.provider.Started), "-", "-", "-", cut(brief(p.err), 60)))
			continue
		}
		rows = append(rows, append(row, since(p.status.Started), grouped(p.status.Connections), grouped(p.status.RequestsInFlight), grouped(p.status.Requests)))
	}
	return rows
}

// offer is a method, and how many providers have it.
type offer struct {
	protocol.MethodInfo
	providers int
}

// services asks who answers what he serves, and takes the registry's word for the
// rest. By service and method.
func (f *fleet) services(ctx context.Context, probes []probe, all bool) map[string]map[string]*offer {
	offers := make(map[string]map[string]*offer)
	for _, p := range probes {
		for _, s := range f.servicesOf(ctx, p) {
			if strings.HasPrefix(s.Name, "sinew.") && !all {
				continue
			}
			if offers[s.Name] == nil {
				offers[s.Name] = make(map[string]*offer)
			}
			for _, m := range s.Methods {
				if offers[s.Name][m.Name] == nil {
					offers[s.Name][m.Name] = &offer{MethodInfo: m}
				}
				offers[s.Name][m.Name].providers++
			}
		}
	}
	return offers
}

func (f *fleet) servicesOf(ctx context.Context, p probe) []protocol.ServiceInfo {
	if p.err == nil {
		var list protocol.ServiceList
		c, err := f.client(p.provider)
		if err == nil {
			err = f.ask(ctx, c, protocol.MethodServices, &protocol.ServicesRequest{}, &list)
		}
		if err == nil {
			return list.Services
		}
	}
	return listed(p.provider)
}

// listed is what the registry says that p serves.
func listed(p registry.Provider) []protocol.ServiceInfo {
	infos := make([]protocol.ServiceInfo, len(p.Services))
	for i, s := range p.Services {
		infos[i].Name = s.Name
		for _, m := range s.Methods {
			infos[i].Methods = append(infos[i].Methods, protocol.MethodInfo(m))
		}
	}
	return infos
}

// methodLines is each service with its methods, and of how many of the providers
// one is that not all have.
func methodLines(services map[string]map[string]*offer, providers int) (lines []string) {
	for _, service := range sortedKeys(services) {
		lines = append(lines, "", oneLine(service))
		var rows table
		for _, method := range sortedKeys(services[service]) {
			o := services[service][method]
			row := []string{"  ." + method, o.Request, "-> " + o.Response}
			if o.providers < providers {
				row = append(row, fmt.Sprintf("(%d of %d providers)", o.providers, providers))
			}
			rows = append(rows, row)
		}
		lines = append(lines, rows.lines()...)
	}
	return lines
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
