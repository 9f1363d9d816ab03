package whip

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"parley/signal"
)

// A Problem is the body of an error (RFC 9457).
type Problem struct {
	Type   string `json:"type,omitempty"`
	Title  string `json:"title,omitempty"`
	Status int    `json:"status,omitempty"`
	Detail string `json:"detail,omitempty"`
}

// WriteProblem writes an error with problem details: the reason phrase of the status, and a detail
// that is one sentence.
func WriteProblem(w http.ResponseWriter, status int, detail string) {
	body, err := json.Marshal(Problem{Title: http.StatusText(status), Status: status, Detail: detail})
	if err != nil { // neither field can fail
		body = []byte("{}")
	}
	w.Header().Set("Content-Type", TypeProblem)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // the client may be gone
}

// ReadProblem returns the message of a server in the body of an error: the detail of problem
// details, the text of JSON as common servers write it, or the first line of plain text; "" for
// none. The message is printable and has at most 1 KiB.
func ReadProblem(contentType string, body []byte) string {
	body = body[:min(len(body), MaxProblem)]
	text := ""
	switch {
	case IsType(contentType, TypeProblem), IsType(contentType, typeJSON):
		text = readJSON(body)
	case contentType == "", IsType(contentType, typeText):
		text = string(body)
	}
	text, _, _ = strings.Cut(strings.TrimSpace(text), "\n")
	return signal.Printable(strings.TrimSpace(text))
}

// readJSON returns the most specific text of a JSON object, "" if there is none.
func readJSON(body []byte) string {
	var fields map[string]any
	if json.Unmarshal(body, &fields) != nil {
		return ""
	}
	for _, name := range []string{"detail", "message", "msg", "error", "reason", "title"} {
		if text, ok := fields[name].(string); ok && strings.TrimSpace(text) != "" {
			return text
		}
	}
	return ""
}

// ParseRetryAfter returns how long to wait before a request is sent again (RFC 9110 section
// 10.2.3), and false without a valid header field.
func ParseRetryAfter(h http.Header, now time.Time) (time.Duration, bool) {
	value := strings.TrimSpace(h.Get("Retry-After"))
	if n, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(n) * time.Second, true
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, at.Sub(now)), true
	}
	return 0, false
}
