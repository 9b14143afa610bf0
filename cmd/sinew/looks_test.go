package main

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sinew-rpc/sinew/internal/registryurl"
	"github.com/sinew-rpc/sinew/internal/testutil/registryserver"
)

// Who only looks makes no application, whatever he calls it by mistake.
func TestATypoMakesNoApplication(t *testing.T) {
	for name, place := range map[string]func(*testing.T) string{
		"bolt": func(t *testing.T) string { return "bolt://" + filepath.Join(t.TempDir(), "typo.db") },
		"etcd": func(t *testing.T) string { return "etcd://" + registryserver.Etcd(t).Addr() },
	} {
		t.Run(name, func(t *testing.T) {
			r := place(t)
			startProvider(t, setup{Registry: r, App: "shop"})
			awaitListed(t, []string{"SINEW_REGISTRY=" + r}, "shop", 1)
			for _, args := range [][]string{
				{"ls", "shpo"}, {"ls", "shop", "shpo"}, {"ls", "--app", "shpo"}, {"watch", "-n", "1", "--app", "shpo"},
				{"ping", "--app", "shpo"}, {"drain", "--app", "shpo"}, {"call", "Arith.Add", "--app", "shpo"},
			} {
				code, out, errs := play(t, nil, "", append(args, "--registry", r)...)
				if code != exitUsage || out != "" {
					t.Errorf("%v: exit %d, %s", args, code, out)
				}
				wantText(t, strings.Join(args, " "), errs, `no application "shpo".*: shop`)
			}
			location, err := registryurl.Parse(r)
			if err != nil {
				t.Fatal(err)
			}
			if apps, err := location.Applications(t.Context(), "/sinew/service"); err != nil || !slices.Equal(apps, []string{"shop"}) {
				t.Errorf("the registry has %q, %v", apps, err)
			}
		})
	}
}

// Who only looks makes no file either.
func TestAFileThatIsNotThereIsNotMade(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "wrong")
	r := "bolt://" + filepath.Join(folder, "x.db")
	for _, args := range [][]string{{"ls"}, {"ls", "shop"}, {"drain", "--app", "shop"}} {
		code, _, errs := play(t, nil, "", append(args, "--registry", r)...)
		if code != exitFailed {
			t.Errorf("%v: exit %d", args, code)
		}
		wantText(t, strings.Join(args, " "), errs, `(?s)x\.db: no such file.*start one`)
	}
	if _, err := os.Stat(folder); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder: %v", err)
	}
}

// A list that the registry no longer vouches for is said to be old.
func TestWatchTellsOfAnOutage(t *testing.T) {
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	etcd := registryserver.Etcd(t)
	r := "etcd://" + etcd.Addr()
	p := startProvider(t, setup{Registry: r, App: "shop"})
	awaitListed(t, []string{"SINEW_REGISTRY=" + r}, "shop", 1)
	cmd := exec.Command(path, "watch", "--interval", "50ms", "--registry", r)
	cmd.Env = cleanEnv()
	out := new(growing)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	out.await(t, `1 provider\nPROVIDER.*\ntcp@`+p.addr+` +up `)
	etcd.Kill()
	out.await(t, `1 provider\nthe registry is stale since 20.*; this is the last list\nPROVIDER.*\ntcp@`+p.addr+` +up `)
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("after Ctrl-C: %v\n%s", err, out)
	}
}
