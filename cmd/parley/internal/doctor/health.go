package doctor

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/sanitize"
	"parley/signal"
)

// healthTimeout bounds a request for the health of a server.
const healthTimeout = 5 * time.Second

// CheckHealth reports whether a server is ready, by the address of its --admin option, with or
// without the path /readyz. The error has the exit code Signaling if it is not.
func CheckHealth(ctx context.Context, admin string, report func(Finding)) error {
	u, err := url.Parse(admin)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return exit.Usagef("invalid --health %q: want the URL of an --admin address, such as http://127.0.0.1:9091", signal.PrintableURL(admin))
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/readyz"
	}
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return exit.Usagef("--health: %w", err)
	}
	state, err := health(request)
	if err != nil {
		report(Finding{Check: "health", Result: Bad, Text: sanitize.Text(err.Error())})
		return &exit.ReportedError{Err: exit.Errorf(exit.Signaling, "%w", err)}
	}
	report(Finding{Check: "health", Result: OK, Text: state})
	return nil
}

// health returns the state in the response to a request.
func health(request *http.Request) (string, error) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 256))
	if err != nil {
		return "", err
	}
	state := sanitize.Text(strings.TrimSpace(string(body)))
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s: %s", request.URL.Redacted(), response.Status, state)
	}
	return state, nil
}
