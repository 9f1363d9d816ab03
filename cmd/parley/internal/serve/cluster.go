package serve

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"

	"parley/cmd/parley/internal/exit"
	"parley/signal/cluster/nats"
	"parley/signal/cluster/natsserver"
)

// ClusterOptions are the choices of the cluster that the server is a node of. The zero value means
// none.
type ClusterOptions struct {
	NATS        string // URLs separated by commas, or embedded[:HOST:PORT] for a NATS server in this process
	Credentials string // file with the credentials of a NATS user, "" for none
	Prefix      string // of the cluster's subjects and buckets, "" for the default
}

// NATSListening reports the NATS server in this process.
type NATSListening struct{ Address, URL string }

const embedded = "embedded"

// embeddedAddress is where a NATS server in this process listens, unless the option has an address.
const embeddedAddress = "127.0.0.1:4222"

// clusterNode is this server's place in a cluster.
type clusterNode struct {
	options nats.Options
	listen  string // address of the NATS server in this process, "" for none

	*nats.Node                    // nil until it is started
	server     *natsserver.Server // nil without one
}

// checkCluster checks the options of the cluster.
func (s *service) checkCluster() error {
	o := s.Cluster
	if o.NATS == "" {
		for option, value := range map[string]string{"nats-creds": o.Credentials, "nats-prefix": o.Prefix} {
			if value != "" {
				return exit.Usagef("--%s is of use with --nats only", option)
			}
		}
		return nil
	}
	host, _ := os.Hostname() // "" is fine
	c := &clusterNode{options: nats.Options{
		Credentials: o.Credentials, Prefix: o.Prefix, Host: host, Settings: s.sharedSettings(), Logger: s.Logger,
	}}
	if address, ok := strings.CutPrefix(o.NATS, embedded); ok {
		if c.listen = strings.TrimPrefix(address, ":"); c.listen == "" {
			c.listen = embeddedAddress
		}
		if address != "" && address[0] != ':' || natsserver.CheckAddress(c.listen) != nil {
			return errServers(o.NATS, o.NATS, 1)
		}
		if o.Credentials != "" {
			return exit.Usagef("--nats-creds is for NATS servers that run elsewhere: it cannot be used with --nats embedded")
		}
	} else {
		for i, server := range strings.Split(o.NATS, ",") {
			server = strings.TrimSpace(server)
			if !isServer(server) {
				return errServers(o.NATS, server, i+1)
			}
			c.options.Servers = append(c.options.Servers, server)
		}
	}
	if o.Credentials != "" {
		if err := nats.CheckCredentials(o.Credentials); err != nil {
			return exit.Errorf(exit.Device, "--nats-creds: %w", err)
		}
	}
	if err := nats.CheckPrefix(o.Prefix); o.Prefix != "" && err != nil {
		return exit.Usagef("--nats-prefix: %v", err)
	}
	s.cluster = c
	return nil
}

// isServer reports whether text is the URL of a NATS server.
func isServer(text string) bool {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.Scheme != "nats" && u.Scheme != "tls" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return false
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	return u.Port() == "" || err == nil && port > 0
}

// errServers returns the error of a value of --nats with an invalid URL, the one with this number.
// The URL is left out if the value may have a password, which may have commas.
func errServers(value, server string, number int) error {
	what := fmt.Sprintf("invalid --nats %q", server)
	if strings.Contains(value, "@") || server == "" {
		what = fmt.Sprintf("invalid URL %d of --nats", number)
	}
	return exit.Usagef("%s: want nats://HOST:PORT or tls://HOST:PORT, several separated by commas, or embedded[:HOST:PORT]", what)
}

// sharedSettings returns a hash of the options that all nodes should have the same of.
func (s *service) sharedSettings() string {
	hash := sha256.Sum256(fmt.Appendf(nil, "%q %q %q %q", s.Login.JWT, s.Login.JWTAudience, s.Login.JWTIssuer, s.Login.Webhook))
	return hex.EncodeToString(hash[:8])
}

// startCluster starts the NATS server of this process, if there is one, and joins the cluster.
func (s *service) startCluster(ctx context.Context) (err error) {
	c := s.cluster
	if c == nil {
		return nil
	}
	if c.listen != "" {
		if c.server, err = natsserver.Start(natsserver.Options{Address: c.listen}); err != nil {
			return exit.Errorf(exit.Failure, "--nats %s: %w", s.Cluster.NATS, err)
		}
		c.options.Servers = []string{c.server.URL()}
		s.Report(NATSListening{c.server.Addr().String(), c.server.URL()})
		if !isLoopback(c.server.Addr().String()) {
			s.warnf("--nats %s can be reached from other machines without a password: keep it in a private network", s.Cluster.NATS)
		}
	}
	if c.Node, err = nats.Start(ctx, c.options); err != nil {
		return errors.Join(exit.Errorf(exit.Signaling, "--nats: %w", err), c.close())
	}
	s.signaling.Cluster, s.signaling.NodeName = c.Node, c.Name()
	if err := c.Ready(); err != nil {
		s.warnf("--nats: %v; users cannot sign in until it can", err)
	}
	return nil
}

// close leaves the cluster. The sessions must have ended.
func (c *clusterNode) close() (err error) {
	if c == nil {
		return nil
	}
	if c.Node != nil {
		err = c.Close()
	}
	if c.server != nil {
		err = errors.Join(err, c.server.Close())
	}
	return err
}
