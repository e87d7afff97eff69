package child_test

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/rekey-go/rekey/internal/child"
)

func TestAProcessEndsByTheFirstSignalThatItHeeds(t *testing.T) {
	t.Parallel()
	p, err := child.Start(exec.Command("sleep", "600"), nil, syscall.SIGTERM)
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.Done():
		t.Fatal("it ended by itself")
	default:
	}
	if err := p.Stop(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-p.Done()
	if err := p.Stop(os.Interrupt); err != nil {
		t.Errorf("stopping it again: %v", err)
	}
	if err := (*child.Process)(nil).Stop(); err != nil {
		t.Errorf("stopping none: %v", err)
	}
}

func TestTheCertificateIsForTheLoopbackInterface(t *testing.T) {
	t.Parallel()
	certs, err := child.NewCertificates()
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(certs.Leaf)
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(certs.CA)
	for name, want := range map[string]bool{"localhost": true, "127.0.0.1": true, "::1": true, "db.example.com": false} {
		_, err := leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: roots, CurrentTime: time.Now()})
		if (err == nil) != want {
			t.Errorf("%s: verified: %v", name, err)
		}
	}
}

// TestAFreePortIsNotHandedOutByTheSystem keeps ports from connections, which take
// one of those above in their own time.
func TestAFreePortIsNotHandedOutByTheSystem(t *testing.T) {
	t.Parallel()
	for range 20 {
		port, err := child.FreePort(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if port < 1<<14 || port >= 1<<15 {
			t.Errorf("port %d is free, want one from 16384 to 32767", port)
		}
	}
}
