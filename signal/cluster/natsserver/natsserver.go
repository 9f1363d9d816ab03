// Package natsserver runs a NATS server with JetStream in this process.
package natsserver

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// Options configure a Server.
type Options struct {
	// Address is HOST:PORT for clients; port 0 is any.
	Address string
	// Dir keeps the data. Default: a temporary folder that Close removes.
	Dir string
	// Name, Cluster, ClusterAddress and Routes make the server one of several: its name, that of
	// the cluster, HOST:PORT for the other servers, and their nats-route URLs. Default: none.
	Name, Cluster, ClusterAddress string
	Routes                        []string
	// NoAdvertise keeps the addresses of the other servers of the cluster from clients.
	NoAdvertise bool
	// User and Password are wanted of clients. Default: none.
	User, Password string
	// NoJetStream leaves JetStream out.
	NoJetStream bool
	// MaxStore bounds the data in bytes. Default: what NATS finds appropriate for the disk.
	MaxStore int64
}

// readyTimeout bounds the start of a server.
const readyTimeout = 10 * time.Second

// Server is a NATS server.
type Server struct {
	server    *server.Server
	temporary string // folder to remove, "" for none
}

// Start starts a server.
func Start(o Options) (*Server, error) {
	host, port, err := splitAddress(o.Address)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", o.Address)
	if err != nil { // which the server would not report, but try again for readyTimeout
		return nil, fmt.Errorf("NATS server: %w", err)
	}
	_ = l.Close()
	opts := &server.Options{
		ServerName: o.Name, Host: host, Port: port, JetStream: !o.NoJetStream, StoreDir: o.Dir, NoSigs: true, NoLog: true,
		Username: o.User, Password: o.Password, JetStreamMaxStore: o.MaxStore,
	}
	if opts.Port == 0 {
		opts.Port = server.RANDOM_PORT
	}
	if o.Cluster != "" {
		opts.Cluster.Name, opts.Cluster.NoAdvertise = o.Cluster, o.NoAdvertise
		if opts.Cluster.Host, opts.Cluster.Port, err = splitAddress(o.ClusterAddress); err != nil {
			return nil, err
		}
		for _, r := range o.Routes {
			u, err := url.Parse(r)
			if err != nil {
				return nil, fmt.Errorf("route %q: %w", r, err)
			}
			opts.Routes = append(opts.Routes, u)
		}
	}
	s := &Server{}
	if o.Dir == "" && !o.NoJetStream {
		if s.temporary, err = os.MkdirTemp("", "parley-nats-"); err != nil {
			return nil, err
		}
		opts.StoreDir = s.temporary
	}
	if s.server, err = server.NewServer(opts); err != nil {
		return nil, errors.Join(fmt.Errorf("NATS server: %w", err), s.clean())
	}
	s.server.Start()
	if !s.server.ReadyForConnections(readyTimeout) {
		s.server.Shutdown()
		s.server.WaitForShutdown()
		return nil, errors.Join(fmt.Errorf("NATS server: not ready on %s within %s", o.Address, readyTimeout), s.clean())
	}
	return s, nil
}

// CheckAddress returns an error if an address is not valid in Options.Address.
func CheckAddress(address string) error {
	_, _, err := splitAddress(address)
	return err
}

func splitAddress(address string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(address)
	if err == nil {
		port, err = strconv.Atoi(text)
	}
	if err != nil || port < 0 || port > 65535 {
		return "", 0, fmt.Errorf("invalid address %q: want HOST:PORT", address)
	}
	return host, port, nil
}

// Addr returns the address for clients.
func (s *Server) Addr() net.Addr { return s.server.Addr() }

// URL returns the URL for clients on this machine.
func (s *Server) URL() string { return s.server.ClientURL() }

// Close ends the server.
func (s *Server) Close() error {
	s.server.Shutdown()
	s.server.WaitForShutdown()
	return s.clean()
}

func (s *Server) clean() error {
	if s.temporary == "" {
		return nil
	}
	return os.RemoveAll(s.temporary)
}
