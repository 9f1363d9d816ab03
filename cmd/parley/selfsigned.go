package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"
)

// ownCertificateLife is below the 825 days that Apple's systems take at most (support.apple.com/103769).
const ownCertificateLife = 800 * 24 * time.Hour

// selfSigned makes a certificate for all names and addresses of this machine. It stays for the run, so that what a person has
// accepted in the browser goes on to be good.
func selfSigned(now time.Time) (*certificates, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "parley"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(ownCertificateLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true,
		DNSNames: append([]string{"localhost"}, machineNames()...),
	}
	for _, a := range machineAddresses() {
		template.IPAddresses = append(template.IPAddresses, a.AsSlice())
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("failed to make a certificate: %w", err)
	}
	certificate := &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	return &certificates{
		config:      serverTLS(func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return certificate, nil }),
		fingerprint: fingerprint(der),
	}, nil
}

// machineNames returns the names of this machine in lower case, also that of mDNS.
func machineNames() []string {
	host, err := os.Hostname()
	if err != nil || host == "localhost" || !validHost(host) {
		return nil
	}
	host = strings.ToLower(host)
	if strings.Contains(host, ".") {
		return []string{host}
	}
	return []string{host, host + ".local"}
}

func validHost(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '.'
	})
}

// fingerprint is as browsers show it.
func fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	return strings.ReplaceAll(fmt.Sprintf("% X", sum[:]), " ", ":")
}

// machineAddresses are the addresses of this machine without their zones.
func machineAddresses() []netip.Addr {
	var addresses []netip.Addr
	list, err := net.InterfaceAddrs()
	if err != nil {
		return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}
	}
	for _, a := range list {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			addresses = append(addresses, p.Addr().Unmap().WithZone(""))
		}
	}
	return addresses
}

// phoneURLs are where others in the network find the page that is served at a.
func (srv *parleyServer) phoneURLs(a net.Addr) []string {
	at, err := netip.ParseAddrPort(a.String())
	if err != nil || at.Addr().IsLoopback() {
		return nil
	}
	var urls []string
	for _, address := range machineAddresses() {
		mine := at.Addr().IsUnspecified() || at.Addr().Unmap() == address
		if mine && !address.IsLoopback() && !address.IsLinkLocalUnicast() {
			urls = append(urls, "https://"+netip.AddrPortFrom(address, at.Port()).String()+"/")
		}
	}
	return urls
}
