package fakestore_test

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docker/libkv/store"

	"github.com/sinew-rpc/sinew/internal/testutil"
	"github.com/sinew-rpc/sinew/registry/libkv/internal/fakestore"
)

func TestMain(m *testing.M) { testutil.Main(m) }

// run runs test in a bubble with one connection, and lets go of what hangs.
func run(t *testing.T, f fakestore.Faults, test func(*testing.T, *fakestore.Server, *fakestore.Store)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := new(fakestore.Server)
		s.Fail(f)
		test(t, s, s.Open())
		s.Fail(fakestore.Faults{})
	})
}

func TestDownFailsAtOnce(t *testing.T) {
	run(t, fakestore.Faults{Down: true}, func(t *testing.T, s *fakestore.Server, c *fakestore.Store) {
		if err := c.Put("a", nil, nil); !errors.Is(err, fakestore.ErrDown) {
			t.Errorf("Put: %v", err)
		}
		if _, err := c.Exists("a"); !errors.Is(err, fakestore.ErrDown) {
			t.Errorf("Exists: %v", err)
		}
		other := s.Open()
		other.Fail(&fakestore.Faults{})
		if err := other.Put("a", []byte("1"), nil); err != nil {
			t.Errorf("a connection with no faults of its own: %v", err)
		}
		if s.Reads() != 1 || s.Writes() != 2 {
			t.Errorf("%d reads, %d writes; want 1, 2", s.Reads(), s.Writes())
		}
	})
}

func TestUnconfirmedWritesTakeEffect(t *testing.T) {
	run(t, fakestore.Faults{Unconfirmed: true}, func(t *testing.T, s *fakestore.Server, c *fakestore.Store) {
		for name, write := range map[string]func() error{
			"Put":       func() error { return c.Put("a", []byte("1"), nil) },
			"AtomicPut": func() error { _, _, err := c.AtomicPut("b", []byte("1"), nil, nil); return err },
		} {
			if err := write(); !errors.Is(err, fakestore.ErrUnconfirmed) {
				t.Errorf("%s: %v", name, err)
			}
		}
		a, errA := c.Get("a")
		_, errB := c.Get("b")
		if errA != nil || errB != nil {
			t.Fatalf("what was put: %v, %v", errA, errB)
		}
		if _, err := c.AtomicDelete("a", a); !errors.Is(err, fakestore.ErrUnconfirmed) {
			t.Errorf("AtomicDelete: %v", err)
		}
		if err := c.Delete("b"); !errors.Is(err, fakestore.ErrUnconfirmed) {
			t.Errorf("Delete: %v", err)
		}
		for _, key := range []string{"a", "b"} {
			if _, there := s.Value(key); there {
				t.Errorf("%s was deleted, and is there", key)
			}
		}
	})
}

func TestHangLastsUntilTakenBack(t *testing.T) {
	run(t, fakestore.Faults{Hang: true}, func(t *testing.T, s *fakestore.Server, c *fakestore.Store) {
		began := time.Now()
		returned := make(chan time.Duration, 3)
		go func() { _, _ = c.Get("a"); returned <- time.Since(began) }()
		go func() { _, _ = c.Watch("a", nil); returned <- time.Since(began) }()
		other := s.Open()
		go func() { other.Close(); returned <- time.Since(began) }()
		time.Sleep(time.Hour)
		if s.Hanging() != 3 {
			t.Errorf("%d calls hang, want 3", s.Hanging())
		}
		c.Fail(&fakestore.Faults{Latency: time.Second})
		synctest.Wait()
		if s.Hanging() != 1 {
			t.Errorf("%d calls hang after one connection was let go, want 1", s.Hanging())
		}
		time.Sleep(time.Minute)
		s.Fail(fakestore.Faults{})
		for _, want := range []time.Duration{time.Hour + time.Second, time.Hour + time.Second, time.Hour + time.Minute} {
			if got := <-returned; got != want {
				t.Errorf("a call returned after %v, want %v", got, want)
			}
		}
	})
}

func TestClose(t *testing.T) {
	run(t, fakestore.Faults{}, func(t *testing.T, s *fakestore.Server, c *fakestore.Store) {
		s.Set("a", "1")
		events, err := c.Watch("a", make(chan struct{}))
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		for range events { // what was queued
		}
		if _, err := c.Get("a"); !errors.Is(err, fakestore.ErrClosed) {
			t.Errorf("Get after Close: %v", err)
		}
		s.Fail(fakestore.Faults{HangClosed: true})
		go func() { _, _ = c.Get("a") }()
		synctest.Wait()
		if s.Hanging() != 1 {
			t.Error("a call after Close does not hang")
		}
		defer func() {
			if recover() == nil {
				t.Error("a second Close does not panic")
			}
			if opened, closed := s.Connections(); opened != 1 || closed != 1 {
				t.Errorf("%d opened, %d closed; want 1, 1", opened, closed)
			}
		}()
		c.Close()
	})
}

func TestPanics(t *testing.T) {
	run(t, fakestore.Faults{Panic: true, PanicClose: true}, func(t *testing.T, s *fakestore.Server, c *fakestore.Store) {
		for name, call := range map[string]func(){"Get": func() { _, _ = c.Get("a") }, "Close": c.Close} {
			func() {
				defer func() {
					if recover() == nil {
						t.Errorf("%s does not panic", name)
					}
				}()
				call()
			}()
		}
	})
}

func TestListForms(t *testing.T) {
	for name, test := range map[string]struct {
		faults fakestore.Faults
		want   []string
		empty  error // of a directory that is missing
		bare   error // of one with no children
	}{
		"ZooKeeper":        {fakestore.Faults{}, []string{"x", "y"}, store.ErrKeyNotFound, nil},
		"etcd v2":          {fakestore.Faults{Form: fakestore.AbsoluteKeys}, []string{"/a/S/x", "/a/S/y"}, store.ErrKeyNotFound, nil},
		"BoltDB":           {fakestore.Faults{Form: fakestore.AllLevels}, []string{"a/S", "a/S/x", "a/S/y", "a/S/y/z"}, store.ErrKeyNotFound, nil},
		"siblings":         {fakestore.Faults{Form: fakestore.Siblings}, []string{"a/S", "a/S/x", "a/S/y", "a/S/y/z", "a/S2", "a/S2/w"}, store.ErrKeyNotFound, nil},
		"nothing is right": {fakestore.Faults{EmptyMissing: true}, []string{"x", "y"}, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, test.faults, func(t *testing.T, s *fakestore.Server, c *fakestore.Store) {
				for _, key := range []string{"a/S", "a/S/x", "a/S/y", "a/S/y/z", "a/S2", "a/S2/w", "a/bare"} {
					s.Set(key, "v")
				}
				var got []string
				pairs, err := c.List("a/S/")
				for _, p := range pairs {
					got = append(got, p.Key)
				}
				if slices.Sort(got); err != nil || !slices.Equal(got, test.want) {
					t.Errorf("List = %q, %v, want %q", got, err, test.want)
				}
				if _, err := c.List("a/none/"); !errors.Is(err, test.empty) {
					t.Errorf("List of a missing directory: %v, want %v", err, test.empty)
				}
				if _, err := c.List("a/bare/"); !errors.Is(err, test.bare) {
					t.Errorf("List of a directory with no children: %v, want %v", err, test.bare)
				}
			})
		})
	}
}

// watch returns a function that returns what a watch on key has told since it was
// last called, and whether it is still open.
func watch(t *testing.T, c *fakestore.Store, key string) func() (told []string, open bool) {
	t.Helper()
	stop := make(chan struct{})
	events, err := c.Watch(key, stop)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		close(stop)
		for range events {
		}
	})
	return func() (told []string, open bool) {
		for {
			synctest.Wait()
			select {
			case p, ok := <-events:
				if !ok {
					return told, false
				}
				told = append(told, string(p.Value))
			default:
				return told, true
			}
		}
	}
}

func TestWatches(t *testing.T) {
	burst := func(s *fakestore.Server, _ *fakestore.Store) {
		for _, v := range []string{"1", "2", "3"} {
			s.Set("a", v)
			time.Sleep(time.Millisecond)
		}
	}
	for name, test := range map[string]struct {
		faults fakestore.Faults
		do     func(*fakestore.Server, *fakestore.Store)
		want   []string
		open   bool
	}{
		"all is told":              {fakestore.Faults{}, burst, []string{"1", "2", "3"}, true},
		"the last of a burst lost": {fakestore.Faults{Blind: 2 * time.Millisecond}, burst, []string{"1", "3"}, true},
		"a long burst lost":        {fakestore.Faults{Blind: 10 * time.Millisecond}, burst, []string{"1"}, true},
		"deaf":                     {fakestore.Faults{Deaf: true}, burst, nil, true},
		"dropped":                  {fakestore.Faults{}, func(s *fakestore.Server, _ *fakestore.Store) { s.DropWatches() }, nil, false},
		"forgotten":                {fakestore.Faults{}, func(s *fakestore.Server, c *fakestore.Store) { s.ForgetWatches(); burst(s, c) }, nil, true},
		"deleted, as on ZooKeeper": {fakestore.Faults{}, func(s *fakestore.Server, _ *fakestore.Store) { s.Remove("a") }, nil, false},
		"deleted, as on Consul":    {fakestore.Faults{WatchMissing: true}, func(s *fakestore.Server, _ *fakestore.Store) { s.Remove("a") }, nil, true},
		"a fresh key is first seen empty": {fakestore.Faults{WatchMissing: true, EmptyFirst: time.Second}, func(s *fakestore.Server, c *fakestore.Store) {
			s.Remove("a")
			_ = c.Put("a", []byte("1"), nil)
		}, []string{"", "1"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, test.faults, func(t *testing.T, s *fakestore.Server, c *fakestore.Store) {
				s.Set("a", "0")
				told := watch(t, c, "a")
				if first, _ := told(); !slices.Equal(first, []string{"0"}) {
					t.Fatalf("the watch began with %q, want the current value", first)
				}
				time.Sleep(time.Minute)
				test.do(s, c)
				if got, open := told(); !slices.Equal(got, test.want) || open != test.open {
					t.Errorf("told %q, open %v; want %q, %v", got, open, test.want, test.open)
				}
			})
		})
	}
}

func TestNoWatch(t *testing.T) {
	run(t, fakestore.Faults{NoWatch: true}, func(t *testing.T, s *fakestore.Server, c *fakestore.Store) {
		if _, err := c.Watch("a", nil); !errors.Is(err, store.ErrCallNotSupported) {
			t.Errorf("as on BoltDB: %v", err)
		}
		s.Fail(fakestore.Faults{})
		if _, err := c.Watch("a", nil); !errors.Is(err, store.ErrKeyNotFound) {
			t.Errorf("on a missing key: %v", err)
		}
	})
}

func TestUnreadWatchLeaksItsPump(t *testing.T) {
	run(t, fakestore.Faults{}, func(t *testing.T, s *fakestore.Server, c *fakestore.Store) {
		s.Set("a", "0")
		stop := make(chan struct{})
		events, err := c.Watch("a", stop)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // the pump waits for its reader
		close(stop)
		synctest.Wait()
		if s.Pumps() != 1 {
			t.Fatalf("%d pumps, want 1: nobody has read", s.Pumps())
		}
		<-events
		synctest.Wait()
		if s.Pumps() != 0 || s.Watches() != 0 {
			t.Errorf("%d pumps, %d watches after the channel was read; want none", s.Pumps(), s.Watches())
		}
	})
}

func TestCompare(t *testing.T) {
	for name, test := range map[string]struct {
		faults fakestore.Faults
		want   error
	}{
		"sound":   {fakestore.Faults{}, store.ErrKeyModified},
		"unsound": {fakestore.Faults{Unsound: true}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, test.faults, func(t *testing.T, s *fakestore.Server, c *fakestore.Store) {
				_, judged, err := c.AtomicPut("a", []byte("old"), nil, nil)
				if err != nil {
					t.Fatal(err)
				}
				if _, _, err := c.AtomicPut("a", nil, nil, nil); !errors.Is(err, store.ErrKeyExists) {
					t.Errorf("creating what is there: %v", err)
				}
				if err := s.Open().Put("a", []byte("new"), nil); err != nil {
					t.Fatal(err)
				}
				if _, err := c.AtomicDelete("a", judged); !errors.Is(err, test.want) {
					t.Errorf("AtomicDelete of what another process wrote since: %v, want %v", err, test.want)
				}
				s.Remove("a")
				if _, err := c.AtomicDelete("a", judged); !errors.Is(err, store.ErrKeyNotFound) {
					t.Errorf("AtomicDelete of what is gone: %v", err)
				}
				if err := c.Delete("a"); !errors.Is(err, store.ErrKeyNotFound) {
					t.Errorf("Delete of what is gone: %v", err)
				}
			})
		})
	}
}
