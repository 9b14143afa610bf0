package main

import (
	"errors"
	"io/fs"
	"os"
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
