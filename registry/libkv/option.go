package libkv

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	libkvstore "github.com/docker/libkv"
	"github.com/docker/libkv/store"
)

const (
	// defaultUpdateInterval is the time between two polls of a consumer.
	defaultUpdateInterval = 10 * time.Second
	// defaultConnectionTimeout is that of a store.Config: for ZooKeeper it is
	// the session's, for BoltDB how long the file's lock is waited for.
	defaultConnectionTimeout = 3 * time.Second
	// defaultBucket is where BoltDB keeps everything.
	defaultBucket = "sinew"
)

// Option is what a registry is made of. Zero stands for the default of each
// field; AppKey has none.
type Option struct {
	// AppKey names the application. It is one element of the key, escaped.
	AppKey string
	// ServicePath is below which key applications stand, such as
	// "/sinew/service". Slashes at its ends make no difference.
	ServicePath string
	// UpdateInterval is the time between two polls, more or less a fifth. A poll
	// reads one key and writes nothing. Default 10 s. Stores without watches
	// (BoltDB) learn of changes by polls alone. It must not be negative.
	UpdateInterval time.Duration
	// Open opens the store on first use, where none was handed over, and another
	// when one does not answer any more. The registry closes what it opened.
	// Without it a store that hangs stays.
	Open func() (store.Store, error)
	// CallLimit is how long a call of the store may take; a list has 20 ms more
	// for each provider, a thousand where that is not known yet, and twice the
	// time after one that was late, up to 2 min. Default 3 s. It must not be
	// negative.
	CallLimit time.Duration
	// SnapshotFile is where the last good list is kept, for a start while the
	// registry is down: that list is served then, as Stale since it was saved.
	// A list that is doubted or empty does not replace it. Its folder must exist.
	// Empty: nothing is kept.
	SnapshotFile string
	// Addrs says where the store's servers are, host:port. It is how a server
	// finds out which of its interfaces routes there; nothing is dialled.
	Addrs []string
}

// Opener returns an Option.Open that opens backend, whose driver package must
// be imported, at addrs. A nil cfg, and what is zero in it, gets defaults: a
// ConnectionTimeout of 3 s, and "sinew" as BoltDB's bucket. cfg is copied.
func Opener(backend store.Backend, addrs []string, cfg *store.Config) func() (store.Store, error) {
	var config store.Config
	if cfg != nil {
		config = *cfg
	}
	config.ConnectionTimeout = cmp.Or(config.ConnectionTimeout, defaultConnectionTimeout)
	config.Bucket = cmp.Or(config.Bucket, defaultBucket)
	addrs = slices.Clone(addrs)
	return func() (store.Store, error) {
		own := config
		return libkvstore.NewStore(backend, slices.Clone(addrs), &own)
	}
}

// complete returns o with its defaults, and the parent's key.
func (o Option) complete(kv store.Store) (Option, string, error) {
	parent, err := parentKey(o.ServicePath, o.AppKey)
	switch {
	case err != nil:
		return o, "", err
	case kv == nil && o.Open == nil:
		return o, "", &OptionError{Field: "Open", Reason: "is nil, and so is the store: give one of them"}
	case o.UpdateInterval < 0:
		return o, "", &OptionError{Field: "UpdateInterval", Reason: "is negative: without polls a watch that is lost in silence would never be noticed"}
	case o.CallLimit < 0:
		return o, "", &OptionError{Field: "CallLimit", Reason: "is negative: a call that may hang for ever cannot be used"}
	}
	if o.SnapshotFile != "" {
		if info, err := os.Stat(filepath.Dir(o.SnapshotFile)); err != nil || !info.IsDir() {
			return o, "", &OptionError{Field: "SnapshotFile", Reason: fmt.Sprintf("is in no folder that exists: %s", filepath.Dir(o.SnapshotFile))}
		}
	}
	o.UpdateInterval = cmp.Or(o.UpdateInterval, defaultUpdateInterval)
	o.CallLimit = cmp.Or(o.CallLimit, defaultCallLimit)
	o.Addrs = slices.Clone(o.Addrs)
	return o, parent, nil
}
