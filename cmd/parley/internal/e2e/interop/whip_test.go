//go:build unix && servers

package interop

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"parley/cmd/parley/internal/e2e/e2etest"
	"parley/cmd/parley/internal/exit"
)

// freePort returns a port of 127.0.0.1 that nothing listens on.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// awaitHTTP waits until a server answers.
func awaitHTTP(t *testing.T, url string, server *e2etest.Process) {
	t.Helper()
	for end := time.Now().Add(e2etest.Patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) { // it does not say when it listens
		if r, err := http.Get(url); err == nil {
			_ = r.Body.Close()
			return
		}
		if hasEnded(server) {
			break
		}
	}
	t.Fatalf("%s does not answer: %s%s", url, server.Out, server.Err)
}

// publishTo publishes to a server, restarts ICE and hangs up. published, if not nil, checks what
// the server has.
func publishTo(t *testing.T, url, token string, published func()) {
	t.Helper()
	p, write := e2etest.StartCommanded(t, "call", url, "--token", token, "--video", "test", "--audio", "tone:440")
	p.Says(t, `"event":"request","method":"POST",.*"status":201`)
	p.Says(t, `"connection":"connected"`)
	if published != nil {
		published()
	}
	write(`"command":"restart-ice"`)
	p.Says(t, `(?s)"method":"PATCH",[^\n]*"status":200.*("connection":"connected"|"event":"pair")`)
	write(`"command":"hangup"`)
	p.Ends(t, int(exit.OK))
	if out := p.Out.String(); !strings.Contains(out, `"method":"PATCH"`) || !strings.Contains(out, `"status":204`) {
		t.Errorf("no candidates were sent: %s", out)
	}
	p.Says(t, `"method":"DELETE",.*"status":(200|404)`) // 404: Janus ends a session when DTLS is closed
}

// refusesToken publishes with a token that a server refuses.
func refusesToken(t *testing.T, url, token string) {
	t.Helper()
	p := e2etest.Start(t, "call", url, "--token", token, "--video", "test")
	p.Ends(t, int(exit.Login))
	p.Says(t, `parley: POST .*: 40[13] `)
}

// A report has the names of the checks of parley probe by their verdict, and what they measured.
type report struct {
	passed, skipped []string
	failed          []string // and errors
	errors          int      // among failed
	metrics         map[string]float64
}

// probe runs parley probe for a server.
func probe(t *testing.T, server string, args ...string) report {
	t.Helper()
	path, err := e2etest.Binary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, append([]string{"probe", "--format", "json"}, args...)...)
	out, err := cmd.Output()
	if err != nil && !errors.As(err, new(*exec.ExitError)) {
		t.Fatal(err)
	}
	var document struct {
		Results []struct {
			Name, Verdict, Reason string
			Metrics               map[string]float64
		}
	}
	if err := json.Unmarshal(out, &document); err != nil || len(document.Results) == 0 {
		t.Fatalf("%v: %s", err, out)
	}
	r := report{metrics: map[string]float64{}}
	for _, result := range document.Results {
		maps.Copy(r.metrics, result.Metrics)
		switch result.Verdict {
		case "pass":
			r.passed = append(r.passed, result.Name)
			continue
		case "skip":
			r.skipped = append(r.skipped, result.Name)
		case "error":
			r.errors++
			fallthrough
		default:
			r.failed = append(r.failed, result.Name)
		}
		t.Logf("%s, %s: %s: %s", server, result.Name, result.Verdict, result.Reason)
	}
	return r
}

// conforms makes the checks of parley probe of a server, prints a row of the table in the topic
// whip and compares the checks that fail with those that are known to.
func conforms(t *testing.T, server, url, token, known string) {
	t.Helper()
	r := probe(t, server, url, "--token", token)
	failed := strings.Join(r.failed, ", ")
	fmt.Printf("| %s | %d | %d | %s |\n", server, len(r.passed), len(r.skipped), failed)
	if failed != known {
		t.Errorf("%s: these checks failed: %q, want %q", server, failed, known)
	}
}

// playsBack publishes to a server and compares what it plays with what was published. skipped are
// the checks that cannot be made of it.
func playsBack(t *testing.T, server, publish, play, skipped string, args ...string) {
	t.Helper()
	args = append([]string{publish, "--playback", play}, args...)
	r := probe(t, server, args...)
	for i := 0; i < 2 && r.errors > 0 && r.errors == len(r.failed); i++ { // this machine was too busy to measure
		r = probe(t, server, args...)
	}
	got := strings.Join(r.skipped, ", ")
	fmt.Printf("%s: playback: %d passed, skipped: %s, PSNR %.1f dB\n", server, len(r.passed), got, r.metrics["video.psnr"])
	if len(r.failed) > 0 || got != skipped {
		t.Errorf("%s: playback: failed: %v, skipped: %q, want none and %q", server, r.failed, got, skipped)
	}
}

// liveKitToken returns a token for the room r.
func liveKitToken(t *testing.T, grants map[string]any) string {
	t.Helper()
	grants["room"] = "r"
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"iss": "devkey", "sub": "cam", "exp": time.Now().Add(time.Hour).Unix(), "video": grants,
	}).SignedString([]byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestWHIPServers(t *testing.T) {
	t.Run("livekit", func(t *testing.T) {
		binary := filepath.Join(t.TempDir(), "livekit-server")
		build := exec.Command("go", "build", "-o", binary, "github.com/livekit/livekit-server/cmd/server")
		build.Dir = "testdata/livekit"
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		port := freePort(t)
		server := e2etest.Launch(t, exec.Command(binary, "--dev", "--bind", "127.0.0.1", "--config-body",
			fmt.Sprintf("port: %d\nrtc:\n  tcp_port: %d\n  udp_port: %d\n", port, freePort(t), freePort(t))), nil)
		url := fmt.Sprintf("http://127.0.0.1:%d", port)
		awaitHTTP(t, url, server)
		endpoint := strings.Replace(url, "http", "whip", 1) + "/whip/v1"
		publishTo(t, endpoint, liveKitToken(t, map[string]any{"roomJoin": true}), func() { hasLiveKitTracks(t, url, 2) })
		refusesToken(t, endpoint, "not.a.token")
		conforms(t, "LiveKit", endpoint, liveKitToken(t, map[string]any{"roomJoin": true}),
			"type-parameter, options, token, etag, if-match-stale, codec, two-videos, restart, restart-quoted")
	})
	t.Run("parley", parleyServe)
	t.Run("mediamtx", mediaMTX)
	t.Run("pion", pionExample)
	t.Run("janus", func(t *testing.T) {
		folder := t.TempDir()
		ws, port := freePort(t), freePort(t)
		janus(t, folder, ws)
		server := simpleWHIPServer(t, folder, ws, port)
		url := fmt.Sprintf("http://127.0.0.1:%d/whip", port)
		awaitHTTP(t, url+"/healthcheck", server)
		r, err := http.Post(url+"/create", "application/json", strings.NewReader(`{"id":"cam","room":1234,"token":"verysecret"}`))
		if err != nil || r.StatusCode != http.StatusOK {
			t.Fatalf("%v, %v", r, err)
		}
		_ = r.Body.Close()
		endpoint := strings.Replace(url, "http", "whip", 1) + "/endpoint/cam"
		publishTo(t, endpoint, "verysecret", nil)
		refusesToken(t, endpoint, "wrong")
		conforms(t, "Janus with simple-whip-server", endpoint, "verysecret",
			"session-unguessable, type-parameter, get, session-get, options, cors, token, session-token, if-match-missing, if-match-stale, codec, two-videos")
	})
}

// hasLiveKitTracks waits until LiveKit has so many tracks in the room r.
func hasLiveKitTracks(t *testing.T, url string, want int) {
	t.Helper()
	token := liveKitToken(t, map[string]any{"roomAdmin": true})
	var answer string
	for end := time.Now().Add(e2etest.Patience); time.Now().Before(end); time.Sleep(100 * time.Millisecond) { // its API has no events
		request, err := http.NewRequest(http.MethodPost, url+"/twirp/livekit.RoomService/ListParticipants", strings.NewReader(`{"room":"r"}`))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Authorization", "Bearer "+token)
		r, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(r.Body)
		_ = r.Body.Close()
		answer = string(body)
		var list struct {
			Participants []struct{ Tracks []any }
		}
		if json.Unmarshal(body, &list) == nil && len(list.Participants) == 1 && len(list.Participants[0].Tracks) == want {
			return
		}
	}
	t.Fatalf("want %d tracks, got %s", want, answer)
}

// janus starts Janus with a room, whose API is at a port by WebSocket.
func janus(t *testing.T, folder string, port int) {
	t.Helper()
	libraries, err := filepath.Glob("/usr/lib/*/janus")
	if err != nil || len(libraries) == 0 {
		t.Fatal("Janus is not installed; see make deps")
	}
	at := libraries[0]
	for name, text := range map[string]string{
		"janus.jcfg": fmt.Sprintf(`general: { plugins_folder = "%[1]s/plugins" transports_folder = "%[1]s/transports" events_folder = "%[1]s/events" loggers_folder = "%[1]s/loggers" debug_level = 4 }
			nat: { full_trickle = false }
			plugins: { disable = "libjanus_audiobridge.so,libjanus_duktape.so,libjanus_echotest.so,libjanus_lua.so,libjanus_nosip.so,libjanus_recordplay.so,libjanus_sip.so,libjanus_streaming.so,libjanus_textroom.so,libjanus_videocall.so,libjanus_voicemail.so" }
			transports: { disable = "libjanus_http.so,libjanus_mqtt.so,libjanus_nanomsg.so,libjanus_pfunix.so,libjanus_rabbitmq.so" }`, at),
		"janus.transport.websockets.jcfg": fmt.Sprintf(`general: { ws = true ws_port = %d ws_ip = "127.0.0.1" wss = false } admin: { admin_ws = false }`, port),
		"janus.plugin.videoroom.jcfg":     `room-1234: { description = "test" publishers = 6 }`,
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	e2etest.Launch(t, exec.Command("janus", "-F", folder), nil).Says(t, "WebSockets thread started")
}

// simpleWHIPServer starts the WHIP server of Debian's package simple-whip-server for Janus. The
// package itself is not installed, because it conflicts with other versions of Node.
func simpleWHIPServer(t *testing.T, folder string, janus, port int) *e2etest.Process {
	t.Helper()
	modules, err := filepath.Abs("testdata/whipserver/node_modules")
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"apt-get download simple-whip-server", "dpkg-deb -x simple-whip-server_*.deb .", "ln -s " + modules + " usr/share/simple-whip-server/src/node_modules"} {
		c := exec.Command("sh", "-c", command)
		c.Dir = folder
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", command, err, out)
		}
	}
	config, err := os.ReadFile(filepath.Join(folder, "etc/simple-whip-server/config.js"))
	if err != nil {
		t.Fatal(err)
	}
	config = bytes.Replace(config, []byte("8188"), fmt.Append(nil, janus), 1)
	config = bytes.Replace(config, []byte("7080"), fmt.Append(nil, port), 1)
	source := filepath.Join(folder, "usr/share/simple-whip-server/src")
	link := filepath.Join(source, "config.js")
	_ = os.Remove(link) // of the package, which leads to /etc
	if err := os.WriteFile(link, config, 0o600); err != nil {
		t.Fatal(err)
	}
	return e2etest.Launch(t, exec.Command("node", filepath.Join(source, "server.js")), nil)
}

// plays plays a URL until a tone and frames have come.
func plays(t *testing.T, url, token string, hz int) {
	t.Helper()
	e2etest.Start(t, "call", url, "--token", token, "--expect", "video.frames>=30", "--expect", fmt.Sprint("audio.tone=", hz), "--timeout", "25s").Ends(t, int(exit.OK))
}

// buildMediaMTX builds MediaMTX from its module, which lacks two files that a download would make:
// its version, and a player of HLS, which is not used here.
func buildMediaMTX(t *testing.T) string {
	t.Helper()
	const version = "v1.21.0"
	var module struct{ Dir string }
	out, err := exec.Command("go", "mod", "download", "-json", "github.com/bluenviron/mediamtx@"+version).Output()
	if err == nil {
		err = json.Unmarshal(out, &module)
	}
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	source := filepath.Join(t.TempDir(), "source")
	if err := os.CopyFS(source, os.DirFS(module.Dir)); err != nil {
		t.Fatal(err)
	}
	for file, text := range map[string]string{"internal/core/VERSION": version, "internal/servers/hls/hls.min.js": ""} {
		if err := os.WriteFile(filepath.Join(source, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	binary := filepath.Join(t.TempDir(), "mediamtx")
	build := exec.Command("go", "build", "-o", binary, ".")
	build.Dir = source
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return binary
}

// mediaMTX publishes to MediaMTX and plays from it, and has it play from parley serve and publish
// to it.
func mediaMTX(t *testing.T) {
	binary := buildMediaMTX(t)
	page, server := e2etest.Serve(t, "--whip", "--whep")
	gateway := strings.TrimSuffix(page, "/")
	answer := func(name string, args ...string) *e2etest.Process {
		p := e2etest.Start(t, append([]string{"answer", "--as", name, "--server", server, "--output", "ndjson"}, args...)...)
		p.Says(t, `"event":"login"`)
		return p
	}
	answer("studio", "--video", "test", "--audio", "tone:600")
	recorder := answer("recorder", "--expect", "video.frames>=30", "--expect", "audio.tone=440", "--timeout", "60s")
	port := freePort(t)
	config := filepath.Join(t.TempDir(), "mediamtx.yml")
	if err := os.WriteFile(config, fmt.Appendf(nil, "rtsp: no\nrtmp: no\nhls: no\nsrt: no\nmoq: no\nwebrtcAddress: 127.0.0.1:%d\nwebrtcLocalUDPAddress: 127.0.0.1:%d\n"+
		"paths:\n  probed:\n  pulled:\n    source: whep%s/whep/studio\n  live:\n    forward:\n    - dest: whip%[3]s/whip/recorder\n",
		port, freePort(t), strings.TrimPrefix(gateway, "http")), 0o600); err != nil {
		t.Fatal(err)
	}
	mediamtx := e2etest.Launch(t, exec.Command(binary, config), nil)
	awaitHTTP(t, fmt.Sprintf("http://127.0.0.1:%d/", port), mediamtx)
	endpoint := fmt.Sprintf("127.0.0.1:%d/", port)
	publishTo(t, "whip://"+endpoint+"live/whip", "", func() {
		plays(t, "whep://"+endpoint+"live/whep", "", 440)
		recorder.Ends(t, int(exit.OK)) // what MediaMTX publishes to parley serve
	})
	e2etest.Start(t, "call", "whep://"+endpoint+"pulled/whep", "--retry", "20s", "--expect", "video.frames>=30", "--expect", "audio.tone=600", "--timeout", "25s").Ends(t, int(exit.OK))
	conforms(t, "MediaMTX, WHIP", "whip://"+endpoint+"probed/whip", "", "get, session-get, etag, trickle-mid, if-match-missing, if-match-stale, codec, two-videos")
	playsBack(t, "MediaMTX", "whip://"+endpoint+"probed/whip", "whep://"+endpoint+"probed/whep", "")
	conforms(t, "MediaMTX, WHEP", "whep://"+endpoint+"pulled/whep", "", "get, session-get, etag, trickle-mid, if-match-missing, if-match-stale, head, nobody")
}

// pionExample publishes to the example whip-whep of Pion and plays from it. The example answers any
// request as a POST of an offer, so that candidates, ICE restart and DELETE fail there.
func pionExample(t *testing.T) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/pion/webrtc/v4").Output()
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(out)), "examples/whip-whep/main.go"))
	if err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprint("127.0.0.1:", freePort(t))
	folder := t.TempDir()
	main, binary := filepath.Join(folder, "main.go"), filepath.Join(folder, "whip-whep")
	if err := os.WriteFile(main, bytes.Replace(source, []byte(`":8080"`), fmt.Appendf(nil, "%q", address), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("go", "build", "-o", binary, main).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	server := e2etest.Launch(t, exec.Command(binary), nil)
	awaitHTTP(t, "http://"+address+"/", server)
	publisher, write := e2etest.StartCommanded(t, "call", "whip://"+address+"/whip", "--video", "test", "--video-codec", "h264", "--audio", "tone:440")
	publisher.Says(t, `"connection":"connected"`)
	plays(t, "whep://"+address+"/whep", "", 440)
	const known = "answer-type, location, session-unguessable, other-type, no-sdp, get, session-get, options, preflight, cors, etag, trickle, patch-type, codec, delete, delete-if-match, "
	conforms(t, "Pion's example, WHEP", "whep://"+address+"/whep", "", known+"head, nobody, restart, restart-quoted")
	write(`"command":"hangup"`)
	publisher.Ends(t, int(exit.OK))
	conforms(t, "Pion's example, WHIP", "whip://"+address+"/whip", "", known+"two-videos, restart, restart-quoted")
	playsBack(t, "Pion's example", "whip://"+address+"/whip", "whep://"+address+"/whep", "video-latency, lip-sync", "--video-codec", "h264")
}

// parleyServe publishes to parley serve and plays from it, with tokens.
func parleyServe(t *testing.T) {
	const secret = "0123456789abcdef0123456789abcdef"
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"sub": "cam", "exp": time.Now().Add(time.Hour).Unix()}).SignedString([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	page, server := e2etest.Serve(t, "--whip", "--whep", "--auth-jwt", key)
	cam := e2etest.Start(t, "answer", "--as", "cam", "--server", server, "--token", token, "--output", "ndjson", "--video", "test", "--audio", "tone:440")
	cam.Says(t, `"event":"login"`)
	endpoint := strings.TrimPrefix(page, "http") + "/"
	publishTo(t, "whip"+endpoint+"whip/cam", token, nil)
	refusesToken(t, "whip"+endpoint+"whip/cam", "not.a.token")
	plays(t, "whep"+endpoint+"whep/cam", token, 440)
	conforms(t, "`parley serve --whip`", "whip"+endpoint+"whip/cam", token, "")
	conforms(t, "`parley serve --whep`", "whep"+endpoint+"whep/cam", token, "")
}
