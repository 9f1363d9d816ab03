package server

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/acme"

	"parley/cmd/parley/internal/certtest"
	"parley/cmd/parley/internal/e2e/e2etest"
)

// authority is a small certificate authority that speaks ACME (RFC 8555) and checks for real that
// it speaks with the host. It does not check signatures: they are the client library's.
type authority struct {
	*httptest.Server
	host      string
	challenge string // the kind that it offers
	validate  func(token string) error
	key       *ecdsa.PrivateKey
	root      *x509.Certificate

	mu    sync.Mutex // guards what follows
	valid bool
	why   error // that it is not
	chain []byte
	made  int // certificates
}

func newAuthority(t *testing.T, host, challenge string, validate func(string) error) *authority {
	t.Helper()
	certPEM, keyPEM, err := certtest.New("authority", 1)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{host: host, challenge: challenge, validate: validate, key: pair.PrivateKey.(*ecdsa.PrivateKey), root: pair.Leaf}
	a.Server = httptest.NewServer(a)
	t.Cleanup(a.Close)
	return a
}

func (a *authority) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	w.Header().Set("Replay-Nonce", rand.Text())
	w.Header().Set("Content-Type", "application/json")
	order := map[string]any{
		"status": "pending", "identifiers": []any{map[string]string{"type": "dns", "value": a.host}},
		"authorizations": []string{a.URL + "/authorization"}, "finalize": a.URL + "/finalize",
	}
	switch {
	case a.chain != nil:
		order["status"], order["certificate"] = "valid", a.URL+"/certificate"
	case a.valid:
		order["status"] = "ready"
	}
	challenge := map[string]any{"type": a.challenge, "url": a.URL + "/challenge", "token": "the-token", "status": "pending"}
	switch r.URL.Path {
	case "/directory":
		a.say(w, 200, map[string]string{"newNonce": a.URL + "/nonce", "newAccount": a.URL + "/account", "newOrder": a.URL + "/new"})
	case "/nonce":
	case "/account":
		w.Header().Set("Location", a.URL+"/account/1")
		a.say(w, 201, map[string]string{"status": "valid"})
	case "/new":
		w.Header().Set("Location", a.URL+"/order")
		a.say(w, 201, order)
	case "/order":
		w.Header().Set("Location", a.URL+"/order")
		a.say(w, 200, order)
	case "/authorization":
		status := map[bool]string{true: "valid", false: "pending"}[a.valid]
		a.say(w, 200, map[string]any{"status": status, "identifier": order["identifiers"].([]any)[0], "challenges": []any{challenge}})
	case "/challenge":
		if a.why = a.validate("the-token"); a.why == nil {
			a.valid = true
			challenge["status"] = "valid"
		}
		a.say(w, 200, challenge)
	case "/finalize":
		a.sign(w, r, order)
	case "/certificate":
		w.Header().Set("Content-Type", "application/pem-certificate-chain")
		_, _ = w.Write(a.chain)
	default:
		http.NotFound(w, r)
	}
}

func (a *authority) say(w http.ResponseWriter, status int, v any) {
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

// sign makes the certificate that the request of an order asks for.
func (a *authority) sign(w http.ResponseWriter, r *http.Request, order map[string]any) {
	var jws, payload struct {
		Payload string `json:"payload"`
		CSR     string `json:"csr"`
	}
	body, _ := io.ReadAll(r.Body)
	_ = json.Unmarshal(body, &jws)
	text, _ := base64.RawURLEncoding.DecodeString(jws.Payload)
	_ = json.Unmarshal(text, &payload)
	der, _ := base64.RawURLEncoding.DecodeString(payload.CSR)
	request, err := x509.ParseCertificateRequest(der)
	if err != nil || !a.valid || !slices.Equal(request.DNSNames, []string{a.host}) {
		http.Error(w, fmt.Sprintf("valid %t: %v", a.valid, err), http.StatusForbidden)
		return
	}
	a.made++
	template := &x509.Certificate{SerialNumber: big.NewInt(int64(a.made) + 1), DNSNames: request.DNSNames,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(90 * 24 * time.Hour)}
	leaf, err := x509.CreateCertificate(rand.Reader, template, a.root, request.PublicKey, a.key)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	for _, der := range [][]byte{leaf, a.root.Raw} {
		a.chain = append(a.chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	order["status"], order["certificate"] = "valid", a.URL+"/certificate"
	w.Header().Set("Location", a.URL+"/order")
	a.say(w, 200, order)
}

// A server with --acme gets its certificate at the first visit, by either challenge, and keeps it
// over a restart.
func TestACME(t *testing.T) {
	const host = "call.example.org"
	for _, kind := range []string{"tls-alpn-01", "http-01"} {
		t.Run(kind, func(t *testing.T) {
			web, challenges, cache := freeAddress(t), freeAddress(t), t.TempDir()
			a := newAuthority(t, host, kind, func(token string) error {
				if kind == "http-01" {
					return validateHTTP(challenges, host, token)
				}
				return validateALPN(web, host)
			})
			args := []string{"serve", "--listen", web, "--acme", host, "--acme-http", challenges, "--acme-cache", cache,
				"--acme-directory", a.URL + "/directory"}
			for visit := range 2 {
				s := e2etest.Start(t, args...)
				s.Says(t, "signaling on wss://"+host)
				pool := x509.NewCertPool()
				pool.AddCert(a.root)
				c, err := tls.Dial("tcp", web, &tls.Config{ServerName: host, RootCAs: pool})
				a.mu.Lock()
				made, why := a.made, a.why
				a.mu.Unlock()
				if err != nil {
					t.Fatalf("visit %d: %v (%v)", visit, err, why)
				}
				_ = c.Close()
				if made != 1 {
					t.Errorf("visit %d: %d certificates were made, want 1", visit, made)
				}
				if _, err := tls.Dial("tcp", web, &tls.Config{ServerName: "other.example.org", RootCAs: pool}); err == nil {
					t.Error("there is a certificate for another host")
				}
				e2etest.Interrupt(t, s)
			}
		})
	}
}

// validateHTTP asks for the proof of RFC 8555 section 8.3.
func validateHTTP(address, host, token string) error {
	request, err := http.NewRequest(http.MethodGet, "http://"+address+"/.well-known/acme-challenge/"+token, nil)
	if err != nil {
		return err
	}
	request.Host = host
	response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && !strings.HasPrefix(string(body), token+".") {
		err = fmt.Errorf("the proof is %q", body)
	}
	return err
}

// validateALPN asks for the proof of RFC 8737.
func validateALPN(address, host string) error {
	c, err := tls.Dial("tcp", address, &tls.Config{ServerName: host, NextProtos: []string{acme.ALPNProto}, InsecureSkipVerify: true})
	if err != nil {
		return err
	}
	defer c.Close()
	leaf := c.ConnectionState().PeerCertificates[0]
	for _, e := range leaf.Extensions {
		if e.Id.Equal(asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 31}) && e.Critical && slices.Equal(leaf.DNSNames, []string{host}) {
			return nil
		}
	}
	return fmt.Errorf("the certificate for %v proves nothing", leaf.DNSNames)
}

// freeAddress is one that nobody listens on at the moment.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
