package config

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/urfave/cli/v3"
	"golang.org/x/net/http/httpguts"

	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/sanitize"
	"parley/signal"
)

// Signaling says where and how to log in.
type Signaling struct {
	Server  string // names the program if there is one
	Program string // command of --signaling that takes the place of the server, "" for none
	Manual  bool   // people take the place of the server, by copy and paste
	Name    string // --as, "" for the default of the command
	Dialect signal.Dialect
	Header  http.Header
	Token   func() (string, error) // reads the file of --token-file again
	TLS     *tls.Config            // of the signaling server and of TURN servers
}

// SignalingFlags are the flags of Signaling. The default of --as is as.
func SignalingFlags(as string) []cli.Flag {
	return Category("SIGNALING", []cli.Flag{
		String("server", "ws://localhost:9090", "signaling server, a ws:// or wss:// `URL`"),
		String("signaling", "", "`exec:COMMAND` in place of --server: a program that connects calls to another signaling system, see parley help adapters"),
		String("as", as, "my `NAME` there. A name that is taken is tried again until --timeout, if that is given; otherwise for 10s, "+
			"unless the server has found its client connected"),
		String("dialect", "call", "`WIRE`: call, or relay (the hello-world sample's)"),
		Strings("header", "`'NAME: VALUE'` for the signaling server, or @FILE with one on each line; repeatable"),
		String("ca", "", "PEM `FILE` with certificates to trust for wss and turns, beside those of the system"),
		String("token", "", "`TOKEN` for the login, where the server wants one; other users of this machine can see it, so prefer --token-file or $PARLEY_TOKEN"),
		String("token-file", "", "`FILE` with the token, read again for every login and before the token expires"),
		Bool("insecure", "do not check the certificates of wss and turns servers"),
	})
}

// ManualFlags are the flags of commands that can do without a server.
func ManualFlags() []cli.Flag {
	return Category("SIGNALING", []cli.Flag{
		Bool("manual", "exchange one line with the peer by copy and paste, in place of --server, see parley help adapters"),
	})
}

// ReadSignaling reads the flags of SignalingFlags and ManualFlags.
func ReadSignaling(cmd *cli.Command) (s Signaling, err error) {
	s.Server, s.Name = cmd.String("server"), cmd.String("as")
	if s.Token, err = readToken(cmd); err != nil {
		return s, err
	}
	if err := s.readProgram(cmd); err != nil {
		return s, err
	}
	if s.Dialect, err = signal.ParseDialect(cmd.String("dialect")); err != nil {
		return s, exit.Usagef("--dialect: %v", err)
	}
	if s.Header, err = Headers("header", cmd.StringSlice("header")); err != nil {
		return s, err
	}
	s.TLS, err = readTLS(cmd)
	return s, err
}

// readProgram reads --signaling and --manual.
func (s *Signaling) readProgram(cmd *cli.Command) error {
	value := cmd.String("signaling")
	switch s.Manual = cmd.Bool("manual"); {
	case s.Manual && value != "":
		return exit.Usagef("--manual and --signaling exclude each other")
	case s.Manual && cmd.String("dialect") != "call":
		return exit.Usagef("--manual and --dialect exclude each other: there is no server")
	case s.Manual:
		s.Server = "the line"
		return nil
	case value == "":
		return nil
	}
	command, ok := strings.CutPrefix(value, "exec:")
	switch {
	case !ok || strings.TrimSpace(command) == "":
		return exit.Usagef("invalid --signaling %q: want exec:COMMAND, such as 'exec:python3 mqtt.py'", sanitize.Text(value))
	case cmd.String("dialect") != "call":
		return exit.Usagef("--signaling and --dialect exclude each other: a program has a protocol of its own")
	}
	s.Server, s.Program = value, command
	return nil
}

func readTLS(cmd *cli.Command) (*tls.Config, error) {
	c := &tls.Config{InsecureSkipVerify: cmd.Bool("insecure")}
	file := cmd.String("ca")
	if file == "" {
		return c, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, exit.Errorf(exit.Device, "--ca: %w", err)
	}
	if c.RootCAs, err = x509.SystemCertPool(); err != nil { // as on a system without certificates
		c.RootCAs = x509.NewCertPool()
	}
	if !c.RootCAs.AppendCertsFromPEM(pem) {
		return nil, exit.Errorf(exit.Device, "--ca %s: contains no certificate; want a PEM file", sanitize.Text(file))
	}
	return c, nil
}

// maxSecretFile bounds a file with a token, a secret or headers, in bytes.
const maxSecretFile = 64 << 10

// readSecretFile returns the content of a file without the white space around it.
func readSecretFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxSecretFile+1))
	content = bytes.TrimSpace(content)
	switch {
	case err != nil:
		return "", err
	case len(content) > maxSecretFile:
		return "", fmt.Errorf("%s: got more than %d bytes", sanitize.Text(path), maxSecretFile)
	case len(content) == 0:
		return "", fmt.Errorf("%s is empty", sanitize.Text(path))
	}
	return string(content), nil
}

// Secret returns the value of a flag, or the content of the file that the flag with -file names.
func Secret(cmd *cli.Command, name string) (string, error) {
	value, file := cmd.String(name), cmd.String(name+"-file")
	switch {
	case file == "":
		return value, nil
	case value != "":
		return "", exit.Usagef("--%s and --%s-file: give one of them, not both", name, name)
	}
	value, err := readSecretFile(file)
	if err != nil {
		return "", exit.Errorf(exit.Device, "--%s-file: %w", name, err)
	}
	return value, nil
}

// readToken returns a function that returns the token of --token or --token-file, whose file it
// reads every time.
func readToken(cmd *cli.Command) (func() (string, error), error) {
	token, err := Secret(cmd, "token")
	if err != nil {
		return nil, err
	}
	if file := cmd.String("token-file"); file != "" {
		return func() (string, error) { return readSecretFile(file) }, nil
	}
	return func() (string, error) { return token, nil }, nil
}

// Expand replaces each value @FILE of a repeatable flag by the lines of the file.
func Expand(flag string, values []string) ([]string, error) {
	var expanded []string
	for _, value := range values {
		file, ok := strings.CutPrefix(value, "@")
		if !ok {
			expanded = append(expanded, value)
			continue
		}
		content, err := readSecretFile(file)
		if err != nil {
			return nil, exit.Errorf(exit.Device, "--%s: %w", flag, err)
		}
		for line := range strings.Lines(content) {
			if line = strings.TrimSpace(line); line != "" {
				expanded = append(expanded, line)
			}
		}
	}
	return expanded, nil
}

// Headers parses the values of a flag: 'NAME: VALUE', or @FILE. Errors do not show values, which
// may be secrets.
func Headers(flag string, values []string) (http.Header, error) {
	lines, err := Expand(flag, values)
	if err != nil {
		return nil, err
	}
	header := http.Header{}
	for _, line := range lines {
		name, value, ok := strings.Cut(line, ":")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if !ok || !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
			return nil, exit.Usagef("invalid --%s: want 'NAME: VALUE'", flag)
		}
		header.Add(name, value)
	}
	return header, nil
}
