package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/gorilla/websocket"
)

const (
	host       = "call.example.org" // of certificates
	tokenKey   = "the key of the tokens that the server takes, 32 bytes or more"
	turnSecret = "the-secret-of-turn-credentials"
)

// server is `parley serve` in a process of its own.
type server struct {
	dir        string // of its files, and its working directory
	address    string // of pages and signaling
	turn       string
	admin      string
	challenges string // of ACME over HTTP
	secure     bool
	tokens     bool
	parley     string // the binary
	cmd        *exec.Cmd
	ended      chan struct{} // closed when the process has ended
	said       *bytes.Buffer
}

// startServer starts a server as an attack needs it. In its flags, {turn}, {admin}, {challenges}
// and {dir} stand for what they are there.
func startServer(ctx context.Context, parley string, a attack) (*server, error) {
	parley, err := filepath.Abs(parley)
	if err != nil {
		return nil, err
	}
	s := &server{parley: parley, said: new(bytes.Buffer)}
	if s.dir, err = os.MkdirTemp("", "attacks"); err != nil {
		return nil, err
	}
	if err := s.start(ctx, parley, a.flags); err != nil {
		s.stop()
		said, _, _ := strings.Cut(s.said.String(), "\n")
		return nil, fmt.Errorf("serve does not start: %w: %s", err, said)
	}
	return s, nil
}

func (s *server) start(ctx context.Context, parley string, flags []string) error {
	var ports [4]string
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		defer l.Close()
		ports[i] = l.Addr().String()
		_ = l.Close()
	}
	s.address, s.turn, s.admin, s.challenges = ports[0], ports[1], ports[2], ports[3]
	if err := s.writeFiles(); err != nil {
		return err
	}
	args := []string{"serve", "--listen", s.address}
	for _, f := range flags {
		s.secure = s.secure || f == "--acme" || f == "--tls-cert"
		s.tokens = s.tokens || f == "--auth-jwt"
		args = append(args, strings.NewReplacer("{turn}", s.turn, "{admin}", s.admin, "{challenges}", s.challenges, "{dir}", s.dir).Replace(f))
	}
	s.cmd = exec.Command(parley, args...)
	s.cmd.Dir, s.cmd.Stderr = s.dir, s.said
	s.cmd.Env = append(os.Environ(), "PARLEY_SERVER=")
	if err := s.cmd.Start(); err != nil {
		return fmt.Errorf("%w (build the binary with make)", err)
	}
	s.ended = make(chan struct{})
	go func() {
		_ = s.cmd.Wait()
		close(s.ended)
	}()
	for {
		select {
		case <-s.ended:
			return fmt.Errorf("exit status %d", s.cmd.ProcessState.ExitCode())
		default:
		}
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", s.address)
		if err == nil {
			return conn.Close()
		}
		if pause(ctx, 20*time.Millisecond) != nil {
			return fmt.Errorf("it does not listen: %w", err)
		}
	}
}

// writeFiles writes the key of the tokens, the secret of TURN, and a certificate, also to where an
// ACME client finds the one that it has.
func (s *server) writeFiles() error {
	certificate, key, err := newCertificate()
	if err != nil {
		return err
	}
	files := map[string][]byte{
		"token.key": []byte(tokenKey), "turn.secret": []byte(turnSecret), "cert.pem": certificate, "key.pem": key,
		"acme/" + host: append(bytes.Clone(key), certificate...),
	}
	if err := os.Mkdir(filepath.Join(s.dir, "acme"), 0o700); err != nil {
		return err
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(s.dir, name), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// newCertificate makes a certificate of host, as PEM.
func newCertificate() (certificate, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{host}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return nil, nil, err
	}
	keyDER, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER}), nil
}

// refuses reports whether a server does not start with these flags.
func (s *server) refuses(ctx context.Context, flags ...string) bool {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	err := exec.CommandContext(ctx, s.parley, append([]string{"serve", "--listen", "127.0.0.1:0"}, flags...)...).Run()
	return err != nil && ctx.Err() == nil
}

func (s *server) stop() {
	if s.ended != nil {
		_ = s.cmd.Process.Kill()
		<-s.ended
	}
	_ = os.RemoveAll(s.dir)
}

// token is a token of a name, "" if the server wants none.
func (s *server) token(name string, life time.Duration) string {
	if !s.tokens {
		return ""
	}
	claims := jwt.MapClaims{"sub": name, "exp": float64(time.Now().Add(life).UnixMilli()) / 1000}
	signed, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(tokenKey))
	if err != nil {
		panic(err) // a key of bytes signs
	}
	return signed
}

// dial opens the signaling from an address.
func (s *server) dial(ctx context.Context, from net.IP, header http.Header) (*websocket.Conn, error) {
	dialer := websocket.Dialer{
		NetDialContext: dialerFrom(from).DialContext, HandshakeTimeout: patience, ReadBufferSize: 1 << 10, WriteBufferSize: 1 << 10,
		TLSClientConfig: s.tls(),
	}
	scheme := "ws://"
	if s.secure {
		scheme = "wss://"
	}
	ws, resp, err := dialer.DialContext(ctx, scheme+s.address, header)
	if err != nil && resp != nil {
		return nil, errors.New("connection refused: " + resp.Status)
	}
	return ws, cause(err)
}

// tls is how clients check the certificate: not at all, as it is this program's own.
func (s *server) tls() *tls.Config { return &tls.Config{ServerName: host, InsecureSkipVerify: true} }

// dialerFrom connects from an address.
func dialerFrom(from net.IP) *net.Dialer {
	return &net.Dialer{LocalAddr: &net.TCPAddr{IP: from}, Timeout: patience}
}

// memory is what the process has in memory, in MiB (VmRSS).
func (s *server) memory() (int, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	text, _, ok := strings.Cut(strings.TrimSpace(rest), " kB")
	if !ok {
		return 0, errors.New("no VmRSS in /proc")
	}
	kib, err := strconv.Atoi(text)
	return kib >> 10, err
}
