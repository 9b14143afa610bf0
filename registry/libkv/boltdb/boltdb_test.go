package boltdb_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/docker/libkv/store"

	"github.com/sinew-rpc/sinew/internal/testutil"
	"github.com/sinew-rpc/sinew/registry/libkv/boltdb"
	"github.com/sinew-rpc/sinew/registry/libkv/internal/drivertest"
)

func TestMain(m *testing.M) { testutil.Main(m) }

func TestContract(t *testing.T) {
	drivertest.Run(t, boltdb.Backend, filepath.Join(t.TempDir(), "made", "providers.db"), 200*time.Millisecond, drivertest.Patience)
}

func TestSettingsThatCannotBe(t *testing.T) {
	file := filepath.Join(t.TempDir(), "providers.db")
	for name, open := range map[string]func() (store.Store, error){
		"no file":           func() (store.Store, error) { return boltdb.New(nil, nil) },
		"two files":         func() (store.Store, error) { return boltdb.New([]string{file, file}, nil) },
		"a lock for itself": func() (store.Store, error) { return boltdb.New([]string{file}, &store.Config{PersistConnection: true}) },
	} {
		if kv, err := open(); err == nil {
			kv.Close()
			t.Errorf("%s: no error", name)
		}
	}
}

func TestFileInTheCurrentFolder(t *testing.T) {
	t.Chdir(t.TempDir())
	kv, err := boltdb.New([]string{"providers.db"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer kv.Close()
	if err := kv.Put("k", []byte("v"), nil); err != nil {
		t.Error(err)
	}
}
