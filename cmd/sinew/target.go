package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/docker/libkv/store"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/internal/registryurl"
	"github.com/sinew-rpc/sinew/registry"
)

// registryPoll is how often a registry without watches is looked at.
const registryPoll = time.Second

// target is whom a command is about, as its flags say.
type target struct {
	addrs    []string
	registry string
	app      string
	path     string
	auth     string
	authSet  bool // by its flag, to nothing perhaps
	tags     map[string]string
	timeout  time.Duration
	tls      tlsFiles
}

// settle checks the flags, and takes from those that were given who is meant. One that was given
// counts for more than what stands in the environment, where it was perhaps put
// for another fleet; of the environment itself, addresses do.
func (t *target) settle(given func(flag string) bool) error {
	switch byAddr, byRegistry := given("addr"), given("registry"); {
	case byAddr && byRegistry:
		return misused("--addr and --registry each say whom: give one of them")
	case byAddr && len(t.addrs) == 0:
		return misused("--addr is empty: name providers by host:port")
	case t.timeout <= 0:
		return misused("--timeout must be positive")
	case byRegistry:
		t.addrs = nil
	}
	t.authSet = given("auth")
	return nil
}

// tlsFiles is where the parts of a tls.Config are.
type tlsFiles struct{ ca, cert, key, serverName string }

// environList is a list in the environment.
func environList(name string) []string {
	if v := os.Getenv(name); v != "" {
		return strings.Split(v, ",")
	}
	return nil
}

// open returns the registry that says who the providers are: that of the flags, or
// a list of the addresses given. app is whose, and one that the registry has; empty is
// that of the flags, or the only one there is.
func (t *target) open(ctx context.Context, app string) (registry.Registry, error) {
	if len(t.addrs) > 0 {
		return t.fixed()
	}
	location, err := t.location()
	if err != nil {
		return nil, err
	}
	if app == "" {
		if app, err = t.onlyApp(ctx, location); err != nil {
			return nil, err
		}
	}
	r, err := location.Open(app, t.path, registryPoll)
	if err != nil {
		return nil, fmt.Errorf("--registry %s: %w", t.registry, err)
	}
	return r, nil
}

// location is where --registry points.
func (t *target) location() (registryurl.Location, error) {
	if t.registry == "" {
		return registryurl.Location{}, misused("whom? Name providers by --addr host:port, or where they are listed by --registry, which is one of %s", registryurl.Forms)
	}
	location, err := registryurl.Parse(t.registry)
	if err != nil {
		return location, misused("--registry: %w", err)
	}
	if location.Backend != store.BOLTDB {
		return location, nil
	}
	if _, err := os.Stat(location.Addrs[0]); err != nil { // opening it would make one
		return location, advise(fmt.Errorf("--registry %s: %w", t.registry, err),
			"The first server that registers there makes the file: start one, or correct the path.")
	}
	return location, nil
}

// apps lists the applications that the registry has, one at least, waiting no longer
// than a call may take.
func (t *target) apps(ctx context.Context, location registryurl.Location) ([]string, error) {
	if strings.Trim(t.path, "/") == "" {
		return nil, misused("--path is the root of the registry, whose children are not applications alone: name one by --app")
	}
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	apps, err := location.Applications(ctx, t.path)
	if err != nil {
		return nil, advise(fmt.Errorf("the registry %s does not answer: %w", t.registry, err),
			"Is it there, and does it listen? --timeout, now %v, is how long it may take.", t.timeout)
	}
	if len(apps) == 0 {
		return nil, advise(fmt.Errorf("no application was ever registered in %s under %s", t.registry, t.path),
			"Start a server with that registry, or say by --path where it registers.")
	}
	return apps, nil
}

// check refuses a name that is none of the registry's applications: to open the
// registry for it would make it one.
func (t *target) check(apps []string, names ...string) error {
	for _, name := range names {
		if !slices.Contains(apps, name) {
			return misused("no application %q was ever registered in %s under %s, but these were: %s", name, t.registry, t.path, strings.Join(apps, ", "))
		}
	}
	return nil
}

func (t *target) onlyApp(ctx context.Context, location registryurl.Location) (string, error) {
	apps, err := t.apps(ctx, location)
	switch {
	case err != nil:
		return "", err
	case t.app != "":
		return t.app, t.check(apps, t.app)
	case len(apps) > 1:
		return "", misused("the registry has several applications: choose one by --app, of %s", strings.Join(apps, ", "))
	}
	return apps[0], nil
}

// fixed is a registry of --addr. An address without a network is one of tls where flags
// say what TLS is made of.
func (t *target) fixed() (registry.Registry, error) {
	r := registry.NewPeer2PeerRegistry()
	for _, addr := range t.addrs {
		network := "tcp"
		if !t.tls.none() {
			network = "tls"
		}
		if strings.Contains(addr, "@") {
			var err error
			if network, addr, err = registry.SplitKey(addr); err != nil {
				return nil, misused("--addr: %w", err)
			}
			if err := t.tls.check(network); err != nil {
				return nil, misused("--addr %s@%s: %w: write tls@%s, or leave them out", network, addr, err, addr)
			}
		}
		r.WithProvider(registry.Provider{Network: network, Addr: addr, Tags: t.tags})
	}
	if _, _, err := r.Providers(context.Background()); err != nil { // never waits
		return nil, misused("--addr: %w", err)
	}
	return r, nil
}

// providers lists those of r that have all tags, and says how far that list can be
// trusted. It waits no longer than a call may take for the first one.
func (t *target) providers(ctx context.Context, r registry.Registry) ([]registry.Provider, registry.State, error) {
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	all, state, err := r.Providers(ctx)
	if err != nil {
		return nil, state, advise(fmt.Errorf("the registry %s does not answer: %w", t.registry, err),
			"Is it there, and does it listen? --timeout, now %v, is how long it may take.", t.timeout)
	}
	var list []registry.Provider
	for _, p := range all {
		if hasAll(p.Tags, t.tags) {
			list = append(list, p)
		}
	}
	return list, state, nil
}

// caveat is what to know about a list that is not fresh; empty of one that is.
func caveat(s registry.State) string {
	if s.Status == registry.Fresh {
		return ""
	}
	return "the registry is " + cut(s.String(), 100) + "; this is the last list"
}

func hasAll(have, want map[string]string) bool {
	for k, v := range want {
		if got, ok := have[k]; !ok || got != v {
			return false
		}
	}
	return true
}

// option is how connections are made.
func (t *target) option() (client.Option, error) {
	o := client.DefaultSGOption.Option
	o.RequestTimeout, o.DialTimeout = t.timeout, t.timeout
	if o.Auth = t.auth; !t.authSet {
		o.Auth = os.Getenv("SINEW_AUTH")
	}
	var err error
	o.TLSConfig, err = t.tls.config()
	return o, err
}

// governed returns a client of all providers, and what ends it.
func (t *target) governed(ctx context.Context) (c client.SGClient, end func(), err error) {
	op := client.DefaultSGOption
	if op.Option, err = t.option(); err != nil {
		return nil, nil, err
	}
	r, err := t.open(ctx, "")
	if err != nil {
		return nil, nil, err
	}
	op.Registry, op.AllowLocal = r, true
	op.Tagged, op.Tags = len(t.tags) > 0, maps.Clone(t.tags)
	if c, err = client.NewSGClient(op); err != nil {
		return nil, nil, errors.Join(err, r.Close())
	}
	return c, func() {
		_ = c.Close() // returns nil, as the registry's does
		_ = r.Close()
	}, nil
}

// none reports whether no flag says what TLS is made of.
func (f *tlsFiles) none() bool { return *f == tlsFiles{} }

// check refuses a network that is plain where TLS was asked for.
func (f *tlsFiles) check(network string) error {
	if f.none() || network == "tls" || network == "wss" {
		return nil
	}
	return fmt.Errorf("network %q is plain, and --ca, --cert, --key and --server-name ask for TLS", network)
}

// config is nil where no file is named.
func (f *tlsFiles) config() (*tls.Config, error) {
	if f.none() {
		return nil, nil
	}
	config := &tls.Config{ServerName: f.serverName}
	if f.ca != "" {
		pem, err := os.ReadFile(f.ca)
		if err != nil {
			return nil, misused("--ca: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, misused("--ca: %s holds no certificate in PEM", f.ca)
		}
	}
	if f.cert != "" || f.key != "" {
		pair, err := tls.LoadX509KeyPair(f.cert, f.key)
		if err != nil {
			return nil, misused("--cert and --key: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}
