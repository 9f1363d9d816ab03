package signal

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// ErrAddress is wrapped by errors that tell that a server's address cannot be one, before anything was tried.
var ErrAddress = errors.New("not the address of a signaling server")

// ParseAddress returns the WebSocket URL that raw stands for: ws:// and wss:// as they are, http:// and https:// as those,
// and host or host:port as ws://.
func ParseAddress(raw string) (*url.URL, error) {
	u, err := parseAddress(raw)
	if err != nil {
		return nil, fmt.Errorf("%q is %w: %w", raw, ErrAddress, err)
	}
	return u, nil
}

func parseAddress(raw string) (*url.URL, error) {
	text := strings.TrimSpace(raw)
	if text == "" {
		return nil, errors.New("it is empty; give one like ws://localhost:9090")
	}
	if !strings.Contains(text, "://") {
		text = "ws://" + text
	}
	u, err := url.Parse(text)
	if err != nil {
		return nil, errors.Unwrap(err) // without the URL, which is quoted already
	}
	switch u.Scheme {
	case "ws", "wss":
	case "http":
		u.Scheme = "ws"
	case "https":
		u.Scheme = "wss"
	default:
		return nil, fmt.Errorf("it begins with %s://; use ws:// or wss://", u.Scheme)
	}
	switch {
	case u.Hostname() == "":
		return nil, errors.New("it names no host; give one like ws://localhost:9090")
	case u.User != nil:
		return nil, errors.New("it holds a user name; send credentials in a header instead")
	case u.Port() != "" && !portFits(u.Port()):
		return nil, fmt.Errorf("its port %s is not between 1 and 65535", u.Port())
	}
	u.Fragment, u.RawFragment = "", "" // RFC 6455, 3 forbids one
	return u, nil
}

func portFits(port string) bool {
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0
}
