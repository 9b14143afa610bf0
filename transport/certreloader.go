package transport

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sinew-rpc/sinew/internal/log"
)

// DefaultCertInterval is how often at most a CertReloader looks at its files.
const DefaultCertInterval = 10 * time.Second

// CertReloader is a certificate in two files that are replaced while the program
// runs. Connections made after that get the new one; those there are keep theirs.
// Its methods are for tls.Config, of servers and of clients:
//
//	r, err := transport.NewCertReloader("tls.crt", "tls.key", 0)
//	config := &tls.Config{GetCertificate: r.GetCertificate}             // a server
//	config := &tls.Config{GetClientCertificate: r.GetClientCertificate} // a client
//
// It has no goroutine: the files are looked at when somebody shakes hands, at most
// once an interval, and read when their size or time has changed. A new pair that
// cannot be used is logged once, and the old one kept. All methods may run
// concurrently; a handshake never waits for the files while another reads them.
type CertReloader struct {
	certFile, keyFile string
	interval          time.Duration // negative: only Reload looks
	current           atomic.Pointer[tls.Certificate]

	mu sync.Mutex
	// Guarded by mu:
	looked time.Time
	seen   [2]fileMark // of the files when they were read last, used or not
}

// fileMark tells one content of a file from the next.
type fileMark struct {
	modified time.Time
	size     int64
}

// NewCertReloader reads a PEM encoded certificate, with what leads to its
// authority, and its key. interval is how often at most the files are looked at;
// zero is DefaultCertInterval, negative leaves that to Reload. It fails when the
// pair cannot be used.
func NewCertReloader(certFile, keyFile string, interval time.Duration) (*CertReloader, error) {
	r := &CertReloader{certFile: certFile, keyFile: keyFile, interval: cmp.Or(interval, DefaultCertInterval)}
	if err := r.Reload(); err != nil {
		return nil, err
	}
	return r, nil
}

// Reload reads the files now. With an error the old certificate stays in use.
func (r *CertReloader) Reload() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.readLocked(r.marks())
}

// GetCertificate is for tls.Config.GetCertificate. The error is always nil.
func (r *CertReloader) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	r.look()
	return r.current.Load(), nil
}

// GetClientCertificate is for tls.Config.GetClientCertificate. The error is always
// nil.
func (r *CertReloader) GetClientCertificate(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	r.look()
	return r.current.Load(), nil
}

// look reads the files if they have changed and it is time to look.
func (r *CertReloader) look() {
	if r.interval < 0 || !r.mu.TryLock() { // who holds it is looking
		return
	}
	defer r.mu.Unlock()
	if time.Since(r.looked) < r.interval {
		return
	}
	r.looked = time.Now()
	marks, err := r.marks()
	if marks == r.seen {
		return // also where it is no better than when that was logged
	}
	if err = r.readLocked(marks, err); err != nil {
		log.Errorf("transport: the new certificate is not used, the old one stays: %v", err)
		return
	}
	log.Infof("transport: the certificate in %s was replaced", r.certFile)
}

// readLocked puts what the files hold into use, unless looking at them failed.
func (r *CertReloader) readLocked(marks [2]fileMark, err error) error {
	r.looked, r.seen = time.Now(), marks
	if err != nil {
		return err
	}
	pair, err := tls.LoadX509KeyPair(r.certFile, r.keyFile)
	if err != nil {
		return fmt.Errorf("transport: certificate %s with key %s: %w", r.certFile, r.keyFile, err)
	}
	r.current.Store(&pair)
	return nil
}

// marks tells what the files are now, zero from the first on that is not there.
func (r *CertReloader) marks() (marks [2]fileMark, err error) {
	for i, name := range []string{r.certFile, r.keyFile} {
		info, err := os.Stat(name)
		if err != nil {
			return marks, fmt.Errorf("transport: %w", err)
		}
		marks[i] = fileMark{info.ModTime(), info.Size()}
	}
	return marks, nil
}
