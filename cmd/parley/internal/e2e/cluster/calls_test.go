package cluster

import (
	"testing"

	"parley/cmd/parley/internal/e2e/e2etest"
)

// TestCallsAcrossNodes signs in Chromium, Firefox and a terminal through the load balancer, each at
// another node, and has each of them call another.
func TestCallsAcrossNodes(t *testing.T) {
	d := start(t, "--page-auto")
	chromium := e2etest.Browsers().Chromium(t, nil)
	alice := chromium.Open(d.URL + "/?as=alice&answer=1")
	e2etest.Idle(alice)
	bob := e2etest.Browsers().Firefox(t, nil).Open(d.URL + "/?as=bob&answer=1&call=alice")
	carol := e2etest.Start(t, "answer", "--server", d.Server, "--as", "carol", "--video", "test", "--audio", "tone:600", "--say", "hello tab",
		"--expect", e2etest.TabSize, "--expect", "text=hello terminal", "--linger", "2m")
	e2etest.Talking(alice)
	alice.WaitFrames(5)
	bob.WaitFrames(5)
	alice.WaitTone(440)
	carol.Says(t, "waiting for calls")
	for _, n := range d.Nodes {
		if names := metric(t, n, "signaling_names"); names != 1 {
			t.Errorf("%s has %v names, want 1", n.Name, names)
		}
	}
	alice.Click("#hangUpBtn")
	e2etest.Idle(alice)
	e2etest.Idle(bob)

	alice.Type("#callToUsernameInput", "carol")
	alice.Click("#callBtn")
	e2etest.Talking(alice)
	e2etest.ChatHas(alice, "hello tab")
	alice.Type("#msgInput", "hello terminal")
	alice.Press("Enter")
	e2etest.SeesAndHears(t, alice, 600)
	carol.Says(t, "held: text=")
	carol.Says(t, "held: video.size")
	alice.Click("#hangUpBtn")

	dave := e2etest.Start(t, "call", "bob", "--server", d.Server, "--as", "dave", "--video", "test", "--audio", "tone:600",
		"--expect", e2etest.TabSize, "--expect", "audio.tone=440", "--linger", "2m")
	e2etest.Talking(bob)
	e2etest.SeesAndHears(t, bob, 600)
	dave.Says(t, "held: video.size")
	dave.Says(t, "held: audio.tone")
	bob.Click("#hangUpBtn")
	dave.Ends(t, 0)
	for _, n := range d.Nodes {
		if received := metric(t, n, "signaling_cluster_messages_received_total"); received == 0 {
			t.Errorf("%s has received no messages of other nodes", n.Name)
		}
	}
	alice.NoErrors()
	bob.NoErrors()
}
