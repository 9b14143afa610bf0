package wrapper

import (
	"crypto/sha256"
	"sync"
	"time"
	"weak"

	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/server"
)

// verdict is what was found out about a token: a principal, or a refusal.
type verdict struct {
	principal *Principal
	refusal   *protocol.Error
	until     time.Time
	version   uint64 // of the Verifier when it was asked
}

// verdictKey is a token on a connection. It holds neither: a digest, and a
// pointer that keeps no connection alive which has ended.
type verdictKey struct {
	peer   weak.Pointer[server.Peer]
	digest [sha256.Size]byte
}

// verdicts remember a bounded number of verdicts: at most the bound, at least
// half of it, and those asked for lately stay. The zero value is empty. A hit
// allocates nothing.
type verdicts struct {
	shards [verdictShards]verdictShard
}

// verdictShards keep the readers of many connections out of each other's way.
const verdictShards = 16

type verdictShard struct {
	mu sync.Mutex
	// Guarded by mu. When young is full it becomes old, and old is forgotten.
	young, old map[verdictKey]*verdict
}

// shard is chosen by the digest, which nobody can aim.
func (s *verdicts) shard(k *verdictKey) *verdictShard { return &s.shards[k.digest[0]%verdictShards] }

// get returns the verdict of k among at most max, nil when it is not known any
// more.
func (s *verdicts) get(k verdictKey, now time.Time, version uint64, max int) *verdict {
	shard := s.shard(&k)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	v, young := shard.young[k]
	if !young {
		v = shard.old[k]
	}
	switch {
	case v == nil:
		return nil
	case v.version != version || !now.Before(v.until):
		delete(shard.young, k)
		delete(shard.old, k)
		return nil
	case !young && len(shard.young) < generation(max):
		delete(shard.old, k)
		shard.young[k] = v
	}
	return v
}

// put remembers a verdict among at most max.
func (s *verdicts) put(k verdictKey, v *verdict, max int) {
	shard := s.shard(&k)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	if shard.young == nil || len(shard.young) >= generation(max) {
		shard.old, shard.young = shard.young, make(map[verdictKey]*verdict)
	}
	shard.young[k] = v
}

// generation is how many a shard holds in one of its two maps.
func generation(max int) int {
	const maps = 2 * verdictShards
	return (max + maps - 1) / maps
}
