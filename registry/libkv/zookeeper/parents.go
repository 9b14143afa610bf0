package zookeeper

import (
	"errors"
	"strings"

	"github.com/samuel/go-zookeeper/zk"
)

// makeParents creates the directories of key that are missing.
func (l *lister) makeParents(key string) error {
	l.open.RLock()
	defer l.open.RUnlock()
	path := pathOf(key)
	if err := l.catchUp(path); err != nil {
		return err
	}
	return l.makeAbove(path)
}

// makeAbove creates what is missing above path. It asks for each before it creates it:
// a server that is to create what is there refuses that where nothing may be created.
func (l *lister) makeAbove(path string) error {
	above := path[:max(0, strings.LastIndexByte(path, '/'))]
	if above == "" {
		return nil
	}
	exists, _, err := l.conn.Exists(above)
	if err != nil || exists {
		return err
	}
	if err := l.makeAbove(above); err != nil {
		return err
	}
	if _, err := l.conn.Create(above, []byte{}, 0, zk.WorldACL(zk.PermAll)); err != nil && !errors.Is(err, zk.ErrNodeExists) {
		return err
	}
	return nil
}
