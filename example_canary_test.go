package sinew_test

import (
	"context"
	"fmt"
	"log"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/server"
	"github.com/sinew-rpc/sinew/transport"
)

// Release tells which release answers.
type Release struct{ name string }

type Question struct{}

type Version struct{ Release string }

func (r Release) Which(_ context.Context, _ *Question, v *Version) error {
	v.Release = r.name
	return nil
}

// Tags route a share of the calls to a canary: the caller says which, the client
// chooses among providers that have the tag, and the canary refuses what was not
// meant for it. Moving more traffic is a matter of the share; rolling back, of
// setting it to nought.
func Example_canary() {
	network := transport.NewMemNetwork()
	r := registry.NewPeer2PeerRegistry()
	for _, release := range []string{"stable", "canary"} {
		tags := map[string]string{"release": release}
		s, err := server.NewSGServer(&server.Option{Mem: network, Tags: tags})
		if err != nil {
			log.Fatal(err)
		}
		if err := s.Register(Release{release}); err != nil {
			log.Fatal(err)
		}
		go s.Serve("mem", release, nil)
		<-s.Listening()
		defer s.Close()
		r.WithProvider(registry.Provider{Network: "mem", Addr: release, Tags: tags})
	}

	op := client.DefaultSGOption
	op.Registry, op.Mem = r, network
	op.Tagged, op.Tags = true, map[string]string{"release": "stable"} // unless a call says otherwise
	c, err := client.NewSGClient(op)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	toCanary := client.With(context.Background(), client.Tags(map[string]string{"release": "canary"}))
	for _, percent := range []int{0, 10, 50} {
		answered := make(map[string]int)
		for user := range 100 {
			ctx := context.Background()
			if user < percent {
				ctx = toCanary
			}
			v, err := client.Invoke[Version](ctx, c, "Release.Which", &Question{})
			if err != nil {
				log.Fatal(err)
			}
			answered[v.Release]++
		}
		fmt.Printf("%d%%: %v\n", percent, answered)
	}
	// Output:
	// 0%: map[stable:100]
	// 10%: map[canary:10 stable:90]
	// 50%: map[canary:50 stable:50]
}
