package transport

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sinew-rpc/sinew/internal/log"
	"github.com/sinew-rpc/sinew/internal/testutil"
)

// certFiles are a certificate and its key on disk.
type certFiles struct {
	t         *testing.T
	cert, key string
	written   int
}

func newCertFiles(t *testing.T) *certFiles {
	dir := t.TempDir()
	return &certFiles{t: t, cert: filepath.Join(dir, "tls.crt"), key: filepath.Join(dir, "tls.key")}
}

// write puts c there. Files written in one moment have different times all the
// same.
func (f *certFiles) write(c tls.Certificate) {
	f.t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		f.t.Fatal(err)
	}
	f.writeBytes(f.cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]}))
	f.writeBytes(f.key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))
}

func (f *certFiles) writeBytes(name string, b []byte) {
	f.t.Helper()
	f.written++
	at := time.Date(2001, 1, 1, 0, 0, f.written, 0, time.UTC)
	if err := errors.Join(os.WriteFile(name, b, 0o600), os.Chtimes(name, at, at)); err != nil {
		f.t.Fatal(err)
	}
}

// wantCert checks which certificate a handshake would get.
func wantCert(t *testing.T, r *CertReloader, want tls.Certificate) {
	t.Helper()
	got, err := r.GetCertificate(nil)
	if err != nil || !bytes.Equal(got.Certificate[0], want.Certificate[0]) {
		t.Errorf("another certificate is in use, %v", err)
	}
	if client, err := r.GetClientCertificate(nil); client != got || err != nil {
		t.Errorf("a client gets another one, %v", err)
	}
}

// logged collects what is logged until the test ends.
func logged(t *testing.T) *bytes.Buffer {
	var b bytes.Buffer
	log.SetHandler(slog.NewTextHandler(&b, nil))
	t.Cleanup(func() { log.SetHandler(nil) })
	return &b
}

func TestCertReloaderLooksOnceAnInterval(t *testing.T) {
	a, b := testutil.Certificates(t)
	files, said := newCertFiles(t), logged(t)
	synctest.Test(t, func(t *testing.T) {
		files.write(a.Certificates[0])
		r, err := NewCertReloader(files.cert, files.key, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		files.write(b.Certificates[0])
		time.Sleep(time.Minute - time.Nanosecond)
		wantCert(t, r, a.Certificates[0])
		time.Sleep(time.Nanosecond)
		wantCert(t, r, b.Certificates[0])
		if strings.Count(said.String(), "was replaced") != 1 {
			t.Errorf("logged:\n%s", said)
		}
		files.write(a.Certificates[0])
		if err := r.Reload(); err != nil {
			t.Fatal(err)
		}
		wantCert(t, r, a.Certificates[0])
	})
}

func TestCertReloaderKeepsTheOldOneOverABadOne(t *testing.T) {
	a, b := testutil.Certificates(t)
	files, said := newCertFiles(t), logged(t)
	synctest.Test(t, func(t *testing.T) {
		files.write(a.Certificates[0])
		r, err := NewCertReloader(files.cert, files.key, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		for _, spoil := range []func(){
			func() { files.writeBytes(files.cert, []byte("half a certifi")) },
			func() { // a certificate whose key is not there yet
				files.write(b.Certificates[0])
				key, err := x509.MarshalPKCS8PrivateKey(a.Certificates[0].PrivateKey)
				if err != nil {
					t.Fatal(err)
				}
				files.writeBytes(files.key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))
			},
			func() { os.Remove(files.key) },
		} {
			spoil()
			said.Reset()
			for range 3 {
				time.Sleep(time.Minute)
				wantCert(t, r, a.Certificates[0])
			}
			if n := strings.Count(said.String(), "the old one stays"); n != 1 {
				t.Errorf("logged %d times:\n%s", n, said)
			}
		}
		if err := r.Reload(); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Reload: %v", err)
		}
		files.write(b.Certificates[0])
		time.Sleep(time.Minute)
		wantCert(t, r, b.Certificates[0])
	})
}

func TestCertReloaderThatOnlyReloads(t *testing.T) {
	a, b := testutil.Certificates(t)
	files := newCertFiles(t)
	if _, err := NewCertReloader(files.cert, files.key, 0); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without files: %v", err)
	}
	synctest.Test(t, func(t *testing.T) {
		files.write(a.Certificates[0])
		r, err := NewCertReloader(files.cert, files.key, -1)
		if err != nil {
			t.Fatal(err)
		}
		files.write(b.Certificates[0])
		time.Sleep(24 * time.Hour)
		wantCert(t, r, a.Certificates[0])
		if err := r.Reload(); err != nil {
			t.Fatal(err)
		}
		wantCert(t, r, b.Certificates[0])
	})
}

// Connections made while the files change over and over are all good ones, and
// those made after a change are made with it.
func TestCertificatesReplacedUnderHandshakes(t *testing.T) {
	server, client := testutil.Certificates(t)
	files := newCertFiles(t)
	files.write(server.Certificates[0])
	r, err := NewCertReloader(files.cert, files.key, time.Nanosecond)
	if err != nil {
		t.Fatal(err)
	}
	served := server.Clone()
	served.Certificates, served.GetCertificate = nil, r.GetCertificate
	ln := listening(t, "tls", "127.0.0.1:0", ListenOptions{TLSConfig: served})
	var serving sync.WaitGroup
	defer serving.Wait()
	defer ln.Close()
	serving.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer c.Close()
				_ = Handshake(t.Context(), c) // the client says what is wrong
			})
		}
	})
	dialled := func() tls.ConnectionState {
		c, err := Dial(testContext(t), "tls", ln.Addr().String(), DialOptions{TLSConfig: client})
		if err != nil {
			t.Error(err)
			return tls.ConnectionState{}
		}
		defer c.Close()
		return c.(*tls.Conn).ConnectionState()
	}
	var dialling sync.WaitGroup
	for range 4 {
		dialling.Go(func() {
			for range 25 {
				dialled()
			}
		})
	}
	for range 20 {
		files.write(server.Certificates[0])
	}
	dialling.Wait()

	// Another authority's: whoever trusts the first one refuses it.
	other, trusting := testutil.Certificates(t)
	files.write(other.Certificates[0])
	_, err = Dial(testContext(t), "tls", ln.Addr().String(), DialOptions{TLSConfig: client})
	if !errors.As(err, new(x509.UnknownAuthorityError)) {
		t.Errorf("who trusts the old authority: %v", err)
	}
	trusting = trusting.Clone()
	trusting.Certificates = client.Certificates
	var c net.Conn
	if c, err = Dial(testContext(t), "tls", ln.Addr().String(), DialOptions{TLSConfig: trusting}); err != nil {
		t.Fatalf("who trusts the new authority: %v", err)
	}
	c.Close()
}
