package server

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"parley/cmd/parley/internal/e2e/e2etest"
	"parley/cmd/parley/internal/exit"
)

func writeSecret(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// A token comes from a file, which is read again before the token expires. The webhook gets a
// secret header from another file.
func TestTokenFile(t *testing.T) {
	dir := t.TempDir()
	tokenFile, headerFile := filepath.Join(dir, "token"), filepath.Join(dir, "headers")
	writeSecret(t, headerFile, "Authorization: Bearer s3cret\n\nX-Team: calls\n")
	tokens := make(chan string, 100)
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer s3cret" || r.Header.Get("X-Team") != "calls" {
			t.Errorf("the webhook got the headers %v", r.Header)
		}
		var asked struct{ Token string }
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
			t.Error(err)
		}
		tokens <- asked.Token
		answer := `{"allow":true,"expiresIn":4000}`
		if asked.Token == "bad" {
			answer = `{"allow":false,"reason":"not today"}`
		}
		_, _ = w.Write([]byte(answer))
	}))
	defer hook.Close()
	_, url := serverProcess(t, "--auth-webhook", hook.URL, "--auth-webhook-header", "@"+headerFile)
	writeSecret(t, tokenFile, "first\n")
	bob := e2etest.Start(t, "answer", "--server", url, "--as", "bob", "--token-file", tokenFile)
	for _, next := range []string{"first", "second", "bad"} {
		writeSecret(t, tokenFile, next+"\n")
		for got := ""; got != next; {
			select {
			case got = <-tokens:
			case <-bob.Exited:
				t.Fatalf("the login ended before the token %q was used:\n%s", next, bob.Err)
			}
		}
	}
	bob.Ends(t, int(exit.Login))
	if !strings.Contains(bob.Err.String(), "the token has expired") {
		t.Errorf("the reason is not reported:\n%s", bob.Err)
	}
}
