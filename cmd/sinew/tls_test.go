package main

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"

	"github.com/sinew-rpc/sinew/internal/testutil"
	"github.com/sinew-rpc/sinew/server"
)

// serveTLS serves Arith by mutual TLS, and returns where, and the flags that it takes to
// call it.
func serveTLS(t *testing.T) (addr string, flags []string) {
	t.Helper()
	config, caller := testutil.Certificates(t)
	s, err := server.NewSGServer(&server.Option{TLSConfig: config})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Register(Arith{}); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve("tls", "127.0.0.1:0", nil) }()
	t.Cleanup(func() {
		_ = s.Close() // returns nil
		<-ended
	})
	<-s.Listening()
	key, err := x509.MarshalPKCS8PrivateKey(caller.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return s.Addr().String(), []string{
		"--ca", writePEM(t, "CERTIFICATE", config.Certificates[0].Certificate[0]), // trusted as it is
		"--cert", writePEM(t, "CERTIFICATE", caller.Certificates[0].Certificate[0]),
		"--key", writePEM(t, "PRIVATE KEY", key),
	}
}

func writePEM(t *testing.T, kind string, der []byte) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Who names certificates means TLS, and an address alone says nothing else.
func TestFlagsOfTLSMeanTLS(t *testing.T) {
	addr, flags := serveTLS(t)
	for _, whom := range []string{addr, "tls@" + addr} {
		for _, c := range []struct {
			args []string
			says string
		}{
			{[]string{"call", "Arith.Add", `{"A":1,"B":2}`}, `"C": 3`},
			{[]string{"ls"}, `tls@` + addr + ` +up `},
			{[]string{"ping", "-n", "1"}, `tls@` + addr + `: heartbeat 1 answered`},
		} {
			code, out, errs := play(t, nil, "", append(append(c.args, "--addr", whom), flags...)...)
			if code != exitOK {
				t.Errorf("%q of %s: exit %d, %s", c.args, whom, code, errs)
			}
			wantText(t, c.args[0], out, c.says)
		}
	}
}

// A plain network is not used where TLS was asked for, and who asked is told so.
func TestFlagsOfTLSRefusePlainNetworks(t *testing.T) {
	_, flags := serveTLS(t)
	r := "bolt://" + filepath.Join(t.TempDir(), "tls.db")
	p := startProvider(t, setup{Registry: r, App: "shop", Orders: true})
	awaitListed(t, []string{"SINEW_REGISTRY=" + r}, "shop", 1)
	const why = `network "tcp" is plain, and --ca, --cert, --key and --server-name ask for TLS`
	for _, args := range [][]string{{"call", "Arith.Add"}, {"ls"}, {"ping"}, {"drain"}} {
		code, _, errs := play(t, nil, "", append(append(args, "--addr", "tcp@"+p.addr), flags...)...)
		if code != exitUsage {
			t.Errorf("%q: exit %d", args, code)
		}
		wantText(t, args[0], errs, why+`: write tls@`+p.addr)
	}

	_, out, _ := play(t, nil, "", append([]string{"ls", "--registry", r}, flags...)...)
	wantText(t, "ls", out, `tcp@`+p.addr+` +unasked .*network "tcp" is plain`)
	code, out, _ := play(t, nil, "", append([]string{"ping", "--registry", r}, flags...)...)
	if code != exitFailed {
		t.Errorf("ping: exit %d", code)
	}
	wantText(t, "ping", out, why)
	for _, args := range [][]string{{"drain"}, {"call", "Arith.Add"}, {"bench", "Arith.Add", "--calls", "1"}} {
		code, _, errs := play(t, nil, "", append(append(args, "--registry", r), flags...)...)
		if code != exitFailed {
			t.Errorf("%q: exit %d", args, code)
		}
		wantText(t, args[0], errs, `network "tcp" is plain`, `--ca, --cert, --key and --server-name`)
	}
}
