// Package registrytest is the contract of registry.Registry as a suite of
// tests, which every registry of sinew passes:
//
//	func TestContract(t *testing.T) {
//		registrytest.Run(t, func(t *testing.T) registry.Registry {
//			return memory.NewRegistry(registrytest.AppKey)
//		})
//	}
//
// It looks at a registry as servers and clients do, and allows for delivery
// that is eventual: what must come is waited for as long as [Patience] says.
package registrytest

import (
	"testing"
	"time"

	"github.com/sinew-rpc/sinew/registry"
)

// AppKey is the application that the registries under test serve.
const AppKey = "registrytest"

// Option changes how Run tests.
type Option func(*suite)

// Patience is how long a change may take from the call that made it to the
// last reader. The default is 5 s.
func Patience(d time.Duration) Option {
	return func(s *suite) { s.patience = d }
}

// Peer says how to open a second registry on the data of the first, as another
// process would. Every test then writes through the one and reads through the
// other. By default both are one value.
func Peer(open func(t *testing.T, r registry.Registry) registry.Registry) Option {
	return func(s *suite) { s.peer = open }
}

// Run tests registries that newRegistry makes: one for each test, for the
// application AppKey, empty, and sharing no data with the others. Run closes
// what it was given.
func Run(t *testing.T, newRegistry func(t *testing.T) registry.Registry, options ...Option) {
	s := suite{
		open:     newRegistry,
		peer:     func(_ *testing.T, r registry.Registry) registry.Registry { return r },
		patience: 5 * time.Second,
	}
	for _, option := range options {
		option(&s)
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { s.run(t, test.run) })
	}
}

// tests is the contract, one sentence each.
var tests = []struct {
	name string
	run  func(*fixture)
}{
	{"an empty application is a list, not an error", testEmpty},
	{"what is registered is listed as it was said", testRegister},
	{"the list is sorted by key", testSorted},
	{"registering again updates", testUpdate},
	{"each field that changes is seen", testFields},
	{"unregistering removes one and leaves the others", testUnregister},
	{"unregistering what is unknown is no error", testUnregisterUnknown},
	{"a late unregister leaves the successor", testSuccessor},
	{"a predecessor that drains leaves the successor", testDrainingPredecessor},
	{"awkward addresses survive", testAddresses},
	{"the advertised address is listed", testAdvertise},
	{"all of it is checked before any of it is written", testInvalid},
	{"another application's key is refused", testAppKey},
	{"arguments and results belong to the caller", testOwnership},
	{"a watcher begins with the current list", testWatchBegins},
	{"a watcher sees whole lists with growing revisions", testWatchWhole},
	{"a slow watcher skips to the newest", testWatchCoalesces},
	{"a slow watcher delays no other", testWatchIndependent},
	{"nothing new is no snapshot", testWatchQuiet},
	{"every wait ends with its context", testContext},
	{"a closed watcher says so and wakes who waits", testWatcherClose},
	{"a closed registry says so and wakes who waits", testRegistryClose},
	{"everything may run at once", testConcurrent},
}
