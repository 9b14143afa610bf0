package protocol

import (
	"errors"
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"
)

// sentinels is the table of RegisterError: copied on write, read without a lock.
var sentinels struct {
	mu    sync.Mutex // serialises RegisterError
	table atomic.Pointer[sentinelTable]
}

type sentinelTable struct {
	byID  map[string]error
	order []string // of registration, so that a search is deterministic
}

// RegisterError lets err keep its identity across the wire: where a handler
// returns an error for which errors.Is(returned, err) holds, errors.Is holds on
// the caller's side too, if both registered err under the same id. It is meant
// for program start and may run concurrently with calls. It fails when id is
// empty, longer than 64 bytes or not metadata text, when err is nil or cannot be
// compared, and when id already stands for another error.
func RegisterError(id string, err error) error {
	if id == "" || len(id) > 64 || checkMetaValue(id) != nil {
		return fmt.Errorf("protocol: RegisterError: id %.64q must be 1 to 64 bytes without CR, LF or NUL", id)
	}
	if err == nil {
		return fmt.Errorf("protocol: RegisterError(%q): the error is nil", id)
	}
	if !reflect.ValueOf(err).Comparable() {
		return fmt.Errorf("protocol: RegisterError(%q): a %T cannot be compared; register a pointer", id, err)
	}
	sentinels.mu.Lock()
	defer sentinels.mu.Unlock()
	next := &sentinelTable{byID: map[string]error{}}
	if old := sentinels.table.Load(); old != nil {
		if known, ok := old.byID[id]; ok {
			if known == err {
				return nil
			}
			return fmt.Errorf("protocol: RegisterError(%q): the id already stands for %q; choose another", id, known)
		}
		for k, v := range old.byID {
			next.byID[k] = v
		}
		next.order = append(next.order, old.order...)
	}
	next.byID[id] = err
	next.order = append(next.order, id)
	sentinels.table.Store(next)
	return nil
}

// registeredID returns the id of the first registered sentinel that err is, or "".
func registeredID(err error) string {
	t := sentinels.table.Load()
	if t == nil {
		return ""
	}
	for _, id := range t.order {
		if errors.Is(err, t.byID[id]) {
			return id
		}
	}
	return ""
}

func registeredError(id string) error {
	if t := sentinels.table.Load(); t != nil {
		return t.byID[id]
	}
	return nil
}
