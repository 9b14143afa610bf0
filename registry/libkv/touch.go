package libkv

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/docker/libkv/store"
)

// maxLeft is how many of those who left last stand in the parent's value.
const maxLeft = 16

// lastUpdate is the parent's value: written anew, and never the same twice,
// whenever a child was registered, changed or removed. It names those who left
// of their own accord, so that readers can tell a leave from an accident of the
// registry; a name that concurrent writers lose there costs readers some
// seconds of doubt.
type lastUpdate struct {
	stamp string
	left  []string // leaver, oldest first
}

// leaver names one instance of a provider.
func leaver(name, instance string) string { return name + " " + instance }

// names reports whether any instance of the child called name left.
func (u lastUpdate) names(name string) bool {
	return slices.ContainsFunc(u.left, func(l string) bool {
		of, _, _ := strings.Cut(l, " ")
		return of == name
	})
}

func (u lastUpdate) encode() []byte {
	return []byte(url.Values{keyStamp: {u.stamp}, "left": u.left}.Encode())
}

// parseLastUpdate reads what it can: a foreign value is as good a hint as any.
func parseLastUpdate(value []byte) lastUpdate {
	q, err := url.ParseQuery(string(value))
	if err != nil {
		return lastUpdate{}
	}
	return lastUpdate{stamp: q.Get(keyStamp), left: q["left"]}
}

// touch tells consumers that something changed, and who left. It creates the
// parent where it is missing.
func touch(ctx context.Context, g *guard, parent string, left ...string) error {
	pair, err := g.get(ctx, parent)
	if err != nil && !errors.Is(err, store.ErrKeyNotFound) {
		return err
	}
	update := lastUpdate{stamp: newStamp(), left: left}
	if pair != nil {
		update.left = append(parseLastUpdate(pair.Value).left, left...)
	}
	if more := len(update.left) - maxLeft; more > 0 {
		update.left = update.left[more:]
	}
	if pair == nil {
		if err := g.create(ctx, parent, update.encode()); !errors.Is(err, store.ErrKeyExists) {
			return err
		}
	}
	return g.put(ctx, parent, update.encode())
}

var stamps atomic.Uint64

// newStamp returns what nobody has written before: the time, a count within the
// process, and chance.
func newStamp() string {
	const base = 36
	return strconv.FormatInt(time.Now().UnixNano(), base) + "-" +
		strconv.FormatUint(stamps.Add(1), base) + "-" +
		strconv.FormatUint(uint64(rand.Uint32()), base)
}
