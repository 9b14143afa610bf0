package selector_test

import (
	"context"
	"fmt"

	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/selector"
)

// canary gives a provider of another version only the calls that ask for it.
// Who is on no version at all gets none: that does not depend on the call, so
// it is decided when the list changes.
type canary struct{ stable string }

func (canary) Static(n *selector.Node) bool { return n.Provider.Version != "" }

func (c canary) PerCall(_ context.Context, info selector.PickInfo, n *selector.Node) bool {
	want := info.Tags["version"]
	if want == "" {
		want = c.stable
	}
	return n.Provider.Version == want
}

func ExampleFilter() {
	var f selector.Filter = canary{stable: "v1"}
	for _, version := range []string{"", "v1", "v2"} {
		n := selector.NewNode(registry.Provider{Version: version})
		if !f.Static(n) {
			fmt.Printf("%q: never\n", version)
			continue
		}
		plain := selector.PickInfo{ServiceMethod: "Arith.Add"}
		tagged := selector.PickInfo{ServiceMethod: "Arith.Add", Tags: map[string]string{"version": "v2"}}
		ctx := context.Background()
		fmt.Printf("%q: plain call %v, tagged call %v\n", version, f.PerCall(ctx, plain, n), f.PerCall(ctx, tagged, n))
	}
	// Output:
	// "": never
	// "v1": plain call true, tagged call false
	// "v2": plain call false, tagged call true
}

// sameZone embeds BaseFilter and writes only the half that it needs.
type sameZone struct {
	selector.BaseFilter
	zone string
}

func (f sameZone) Static(n *selector.Node) bool { return n.Provider.Tags["zone"] == f.zone }

func ExampleBaseFilter() {
	f := sameZone{zone: "eu"}
	near := selector.NewNode(registry.Provider{Tags: map[string]string{"zone": "eu"}})
	far := selector.NewNode(registry.Provider{Tags: map[string]string{"zone": "us"}})
	fmt.Println(f.Static(near), f.Static(far))
	// Output: true false
}

// Keys stay where they are when another provider comes, unless it is now theirs.
func ExampleNewConsistentHashSelector() {
	s := selector.NewConsistentHashSelector(0)
	var nodes []*selector.Node
	for _, key := range []string{"tcp@a:1", "tcp@b:1", "tcp@c:1", "tcp@d:1"} {
		nodes = append(nodes, selector.NewNode(registry.Provider{ProviderKey: key}))
	}
	for _, list := range [][]*selector.Node{nodes[:3], nodes} { // d comes later
		s.(selector.Updater).Update(list) // the client does this
		fmt.Print("of ", len(list))
		for _, key := range []string{"ann", "bob", "eve"} {
			n := s.Pick(context.Background(), selector.PickInfo{Key: key}, list)
			fmt.Print(", ", key, " at ", n.Provider.ProviderKey)
		}
		fmt.Println()
	}
	// Output:
	// of 3, ann at tcp@b:1, bob at tcp@c:1, eve at tcp@a:1
	// of 4, ann at tcp@d:1, bob at tcp@c:1, eve at tcp@a:1
}
