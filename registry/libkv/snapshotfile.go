package libkv

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/sinew-rpc/sinew/internal/log"
	"github.com/sinew-rpc/sinew/registry"
)

const (
	snapshotVersion = 1
	// snapshotPause is the least time between two writes of the file.
	snapshotPause = 5 * time.Second
	// snapshotAge is when a file that says the right thing is written again.
	snapshotAge = time.Minute
	// maxSnapshot is what the file may have: more is not one of ours.
	maxSnapshot = 64 << 20
)

// snapshotFile keeps the last good list on disk, so that a consumer which starts
// while the registry is down has one. Nothing about it is fatal: a file that
// cannot be read or written is logged once. It belongs to the reader's loop; a
// nil one does nothing.
type snapshotFile struct {
	path, appKey, servicePath string

	owed    bool      // what is known is newer than the file
	written time.Time // the last attempt
	failed  bool      // and that was logged
}

// snapshot is the file's content.
type snapshot struct {
	Version     int
	AppKey      string
	ServicePath string
	Saved       time.Time
	Providers   []savedProvider
}

type savedProvider struct {
	registry.Provider
	Instance string
	TTL      time.Duration // nanoseconds
}

// load returns the list and when it was right; none when there is no file, or
// none of use.
func (f *snapshotFile) load() ([]savedProvider, time.Time) {
	if f == nil {
		return nil, time.Time{}
	}
	s, err := f.read()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, time.Time{}
	case err != nil:
		log.Warningf("libkv: the snapshot file %s is of no use: %v", f.path, err)
		return nil, time.Time{}
	}
	return s.Providers, s.Saved
}

func (f *snapshotFile) read() (s snapshot, err error) {
	file, err := os.Open(f.path)
	if err != nil {
		return s, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxSnapshot+1))
	if err != nil {
		return s, err
	}
	if len(data) > maxSnapshot {
		return s, fmt.Errorf("it has more than %d bytes", maxSnapshot)
	}
	if err := json.Unmarshal(data, &s); err != nil {
		return s, err
	}
	switch {
	case s.Version != snapshotVersion:
		return s, fmt.Errorf("it is of version %d; this is version %d", s.Version, snapshotVersion)
	case s.AppKey != f.appKey || s.ServicePath != f.servicePath:
		return s, fmt.Errorf("it is of %q below %q", s.AppKey, s.ServicePath)
	case s.Saved.IsZero() || s.Saved.After(time.Now().Add(time.Hour)):
		return s, fmt.Errorf("it was saved at %v", s.Saved)
	}
	for i, p := range s.Providers {
		if s.Providers[i].Provider, err = p.Complete(); err != nil {
			return s, err
		}
	}
	return s, nil
}

// changed notes that a list has come. One that says nothing new is kept now and
// then, for the time at which it was right.
func (f *snapshotFile) changed(now time.Time, news bool) {
	if f != nil && (news || now.Sub(f.written) >= snapshotAge) {
		f.owed = true
	}
}

// due returns when the file is to be written, zero for never.
func (f *snapshotFile) due() time.Time {
	if f == nil || !f.owed {
		return time.Time{}
	}
	return f.written.Add(snapshotPause)
}

// save writes what is owed, in one step: a reader sees the old file or the new.
func (f *snapshotFile) save(ps []savedProvider, at time.Time) {
	if f == nil || !f.owed {
		return
	}
	f.owed, f.written = false, time.Now()
	err := f.write(snapshot{Version: snapshotVersion, AppKey: f.appKey, ServicePath: f.servicePath, Saved: at, Providers: ps})
	if err != nil && !f.failed {
		log.Warningf("libkv: the snapshot file cannot be written: %v", err)
	}
	f.failed = err != nil
}

func (f *snapshotFile) write(s snapshot) (err error) {
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(f.path), filepath.Base(f.path)+".*") // 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(file.Name()) // the error says more
		}
	}()
	_, err = file.Write(data)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), f.path)
}
