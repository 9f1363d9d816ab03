package server_test

import (
	"context"
	"testing"
	"time"

	"parley/signal"
	"parley/signal/cluster"
	"parley/signal/server"
	"parley/signal/signaltest"
)

var (
	loggedIn = map[string]any{"type": "login", "success": true}
)

func loginAs(name string) map[string]any { return map[string]any{"type": "login", "name": name} }

const (
	offerToBob   = `{"type":"offer","offer":` + offerSDP + `,"name":"bob"}`
	offerOfAlice = `{"type":"offer","offer":` + offerSDP + `,"name":"alice"}`
)

// TestDeadConnectionGivesUpItsName claims the name of a client that does not answer pings, because
// its host or network has gone. The claim succeeds, and the peer learns of the end.
func TestDeadConnectionGivesUpItsName(t *testing.T) {
	url := signaltest.Start(t, &server.Options{PingInterval: time.Hour})
	dead, bob, again := dialRaw(t, url), readInBackground(dialRaw(t, url)), dialRaw(t, url)
	defer dead.Close()
	defer bob.Close()
	defer again.Close()
	ask(t, dead, loginAs("alice"), loggedIn)
	ask(t, bob, loginAs("bob"), loggedIn)
	if err := dead.WriteMessage(1, []byte(offerToBob)); err != nil {
		t.Fatal(err)
	}
	if err := means(bob, offerOfAlice); err != nil {
		t.Fatal(err)
	}
	// Nothing reads dead from here on, so it does not answer the ping.
	began := time.Now()
	ask(t, again, loginAs("alice"), loggedIn)
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("the name was free after %s, want about 1 s", took)
	}
	if err := means(bob, `{"type":"leave","name":"alice","lost":true}`); err != nil {
		t.Error(err)
	}
}

// TestLiveConnectionKeepsItsName claims the name of a client that answers pings, more often than it
// may send pongs of its own.
func TestLiveConnectionKeepsItsName(t *testing.T) {
	url := signaltest.Start(t, &server.Options{PingInterval: time.Hour})
	alice := readInBackground(dialRaw(t, url))
	defer alice.Close()
	ask(t, alice, loginAs("alice"), loggedIn)
	done := make(chan map[string]any)
	const claims, claimsOfOne = 10, 15
	for range claims {
		other := dialRaw(t, url)
		defer other.Close()
		go func() {
			for range claimsOfOne {
				done <- exchange(t, other, loginAs("alice"))
			}
		}()
	}
	for range claims * claimsOfOne {
		if got := <-done; got["code"] != "taken" {
			t.Errorf("claim of the name of a client that is connected: %v", got)
		}
	}
	barrier(t, alice)
}

// TestTwoClaimEachOther lets two connected clients claim each other's names at the same time: while
// a client waits for its login the server does not take it for dead.
func TestTwoClaimEachOther(t *testing.T) {
	url := signaltest.Start(t, &server.Options{PingInterval: time.Hour, Limits: server.NoLimits()})
	alice, bob := readInBackground(dialRaw(t, url)), readInBackground(dialRaw(t, url))
	defer alice.Close()
	defer bob.Close()
	ask(t, alice, loginAs("alice"), loggedIn)
	ask(t, bob, loginAs("bob"), loggedIn)
	for range 20 {
		done := make(chan map[string]any)
		go func() { done <- exchange(t, alice, loginAs("bob")) }()
		if got := exchange(t, bob, loginAs("alice")); got["code"] != "taken" {
			t.Errorf("bob claims alice's name: %v", got)
		}
		if got := <-done; got["code"] != "taken" {
			t.Errorf("alice claims bob's name: %v", got)
		}
	}
}

// TestHolderIsNotFound claims a name whose holder is at a node that does not answer. The server
// does not report taken, because it does not know whether the holder is connected.
func TestHolderIsNotFound(t *testing.T) {
	node := &heldNode{Memory: cluster.NewMemory()}
	url := signaltest.Start(t, &server.Options{Cluster: node})
	alice, other := readInBackground(dialRaw(t, url)), dialRaw(t, url)
	defer alice.Close()
	defer other.Close()
	ask(t, alice, loginAs("alice"), loggedIn)
	node.hold()
	if got := exchange(t, other, loginAs("alice")); got["code"] != "unavailable" {
		t.Errorf("claim of the name: got %v, want the code unavailable", got)
	}
	node.release()
	barrier(t, alice)
}

// TestLostConnectionMayResumeFirst claims the name of a client that has lost its connection: it has
// a second to resume.
func TestLostConnectionMayResumeFirst(t *testing.T) {
	for name, resumes := range map[string]bool{"it resumes": true, "it does not": false} {
		t.Run(name, func(t *testing.T) {
			srv, url := signaltest.StartServer(t, &server.Options{Resume: time.Hour})
			alice, bob, other := newReturning(t, url, "alice"), readInBackground(dialRaw(t, url)), dialRaw(t, url)
			defer bob.Close()
			defer other.Close()
			ask(t, bob, loginAs("bob"), loggedIn)
			alice.says(offerToBob[:len(offerToBob)-1] + `,"seq":1}`)
			if err := means(bob, offerOfAlice); err != nil {
				t.Fatal(err)
			}
			alice.vanish(srv)
			if err := other.WriteMessage(1, []byte(`{"type":"login","name":"alice"}`)); err != nil {
				t.Fatal(err)
			}
			if resumes {
				if got := alice.back(alice.ticket, 0); got["success"] != true {
					t.Fatalf("resuming: %v", got)
				}
			}
			got := hearsNext(t, other)
			if got["success"] != !resumes {
				t.Errorf("claim of the name: %v", got)
			}
			if resumes {
				barrier(t, bob) // bob has received nothing
				return
			}
			if err := means(bob, `{"type":"leave","name":"alice","lost":true}`); err != nil {
				t.Error(err)
			}
			if got := alice.back(alice.ticket, 0); got["code"] != "expired" {
				t.Errorf("resuming after somebody else has the name: %v", got)
			}
		})
	}
}

// users lets everybody in. The token is the subject.
type users struct{}

func (users) Authorize(_ context.Context, l signal.LoginRequest) (signal.Identity, error) {
	return signal.Identity{Name: l.Name, Subject: l.Token}, nil
}

// TestSameUserTakesItsName logs in twice as the same verified user: the second login takes the name
// at once.
func TestSameUserTakesItsName(t *testing.T) {
	talk(t, &server.Options{Auth: users{}, PingInterval: time.Hour}, `
		bob > {"type":"login","name":"bob"}
		bob < {"type":"login","success":true}
		alice > {"type":"login","name":"alice","token":"user 1"}
		alice < {"type":"login","success":true}
		alice > `+offerToBob+`
		bob < `+offerOfAlice+`
		mallory > {"type":"login","name":"alice","token":"user 2"}
		mallory < {"type":"login","success":false,"code":"taken","message":"alice is signed in already"}
		mallory > {"type":"login","name":"alice"}
		mallory < {"type":"login","success":false,"code":"taken","message":"alice is signed in already"}
		again > {"type":"login","name":"alice","token":"user 1"}
		again < {"type":"login","success":true}
		bob < {"type":"leave","name":"alice"}
		alice closed 4409
		bob > {"type":"candidate","candidate":`+candidate+`,"name":"alice"}
		again quiet
		again > `+offerToBob+`
		bob < `+offerOfAlice)
}
