package resources

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"runtime"
	"time"

	"github.com/pion/webrtc/v4"

	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/sanitize"
)

// identityYears is how long a key file is good for. A peer compares the
// fingerprint and not the date (RFC 8827 §5.6.4); a stricter one would.
const identityYears = 20

// OpenIdentity reads the key of this side from a PEM file, and makes the file
// when it is not there.
func OpenIdentity(path string) (*webrtc.Certificate, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		text, err = makeIdentity(path)
	}
	if err != nil {
		return nil, exit.Errorf(exit.Device, "--identity: %w", err)
	}
	certificate, err := webrtc.CertificateFromPEM(string(text))
	if err != nil {
		return nil, exit.Errorf(exit.Device, "--identity %s: %w; delete it and a new one is made", sanitize.Text(path), err)
	}
	if time.Now().After(certificate.Expires()) {
		return nil, exit.Errorf(exit.Device, "--identity %s: it expired on %s; delete it and a new one is made",
			sanitize.Text(path), certificate.Expires().Format(time.DateOnly))
	}
	return certificate, nil
}

// WarnIdentity warns about a key file that other users of this machine can read. The call goes on:
// a container may have no other way to mount a secret.
func WarnIdentity(path string, report *event.Reporter) {
	info, err := os.Stat(path)
	if err != nil || runtime.GOOS == "windows" || !info.Mode().IsRegular() || info.Mode().Perm()&0o077 == 0 {
		return
	}
	path = sanitize.Text(path)
	report.Warnf("--identity %s: other users of this machine can read the key (mode %04o); run chmod 600 %s", path, info.Mode().Perm(), path)
}

// makeIdentity writes a new key, which nobody else may read.
func makeIdentity(path string) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("failed to make a key: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 128))
	if err != nil {
		return nil, fmt.Errorf("failed to make a serial number: %w", err)
	}
	template := x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "WebRTC"},
		NotBefore: time.Now().AddDate(0, 0, -1), NotAfter: time.Now().AddDate(identityYears, 0, 0),
	}
	certificate, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("failed to make a certificate: %w", err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("failed to write the key: %w", err)
	}
	text := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})...)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	_, err = f.Write(text)
	return text, errors.Join(err, f.Close())
}
