package peer

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	crand "crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/dtls/v3/pkg/crypto/selfsign"
	"github.com/pion/webrtc/v4"

	"parley/peer/peertest"
)

const dtlsFailed = "the DTLS handshake failed"

// both runs a fault with the hostile peer as DTLS client and as server.
func both(t *testing.T, edit func(*Config, *peertest.Hostile), fault func(*testing.T, *faulty)) {
	for _, setup := range []string{"active", "passive"} {
		t.Run(setup, func(t *testing.T) {
			fault(t, callHostile(t, func(c *Config, h *peertest.Hostile) {
				h.Setup = setup
				if edit != nil {
					edit(c, h)
				}
			}))
		})
	}
}

func dtlsFaults() map[string]func(*testing.T) {
	return map[string]func(*testing.T){
		"69_wrong_certificate": func(t *testing.T) {
			both(t, nil, func(t *testing.T, f *faulty) {
				other, err := selfsign.GenerateSelfSigned()
				if err != nil {
					t.Fatal(err)
				}
				config := f.connect().Config()
				config.Certificates = []tls.Certificate{other}
				f.handshakeFails(config)
				f.failsAt(Connection, dtlsFailed+": handshake error: remote certificate does not match any fingerprint")
				if n := happenings(f.side, func(ChannelOpened) bool { return true }); n > 0 {
					t.Error("a channel opened")
				}
			})
		},
		"69_no_certificate": func(t *testing.T) {
			f := callHostile(t, nil).connect() // only a client can be without
			config := f.Config()
			config.Certificates = nil
			f.handshakeFails(config)
			f.failsAt(Connection, dtlsFailed)
		},
		// The date of a self-signed certificate says nothing, its fingerprint does
		// (RFC 8827 section 5.6.4, RFC 8122 section 5).
		"69_expired_certificate": func(t *testing.T) {
			f := callHostile(t, func(_ *Config, h *peertest.Hostile) { h.Certificate = expired(t) })
			f.connect().handshake().associate().talks()
		},
		"70_close_notify": func(t *testing.T) {
			both(t, nil, func(t *testing.T, f *faulty) {
				f.connect().handshake().associate().talks()
				_ = f.session.Close()
				f.leaves()
			})
		},
		"70_alert_in_place_of_each_flight": func(t *testing.T) {
			for _, setup := range []string{"active", "passive"} {
				for flight := range 2 {
					t.Run(setup, func(t *testing.T) {
						f := callHostile(t, func(_ *Config, h *peertest.Hostile) { h.Setup = setup }).connect()
						f.Outgoing(alertAt(flight))
						f.handshakeFails(f.Config())
						f.failsAt(Connection, dtlsFailed)
					})
				}
			}
		},
		"70_each_record_twice_and_late": func(t *testing.T) {
			both(t, nil, func(t *testing.T, f *faulty) {
				f.connect()
				var last []byte
				f.Outgoing(func(record []byte) [][]byte {
					again := last
					last = bytes.Clone(record)
					if again == nil {
						return [][]byte{record, record}
					}
					return [][]byte{record, again, record}
				})
				f.handshake().associate().talks()
			})
		},
		// The ClientHello, too, and each pair of records the wrong way round.
		"70_fragments_out_of_order": func(t *testing.T) {
			both(t, nil, func(t *testing.T, f *faulty) {
				f.connect()
				var mu sync.Mutex
				var held []byte
				short := 0
				f.Outgoing(func(record []byte) [][]byte {
					mu.Lock()
					defer mu.Unlock()
					if record[0] == 22 && len(record) > 25 && fragment(record) {
						short++
					}
					if held == nil {
						held = bytes.Clone(record)
						return nil
					}
					swapped := [][]byte{record, held}
					held = nil
					return swapped
				})
				config := f.Config()
				config.MTU, config.FlightInterval = 100, 50*time.Millisecond
				session, err := f.Handshake(f.ctx, config)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = session.Close() })
				f.session = session
				f.Outgoing(nil)
				mu.Lock()
				if short < 2 {
					t.Errorf("%d records of the handshake were fragments", short)
				}
				mu.Unlock()
				f.associate().talks()
			})
		},
		"70_every_second_record_lost": func(t *testing.T) {
			both(t, nil, func(t *testing.T, f *faulty) {
				f.connect()
				random := rand.New(rand.NewPCG(4, 2))
				var mu sync.Mutex
				f.Outgoing(func(record []byte) [][]byte {
					mu.Lock()
					defer mu.Unlock()
					if random.IntN(2) == 0 {
						return nil
					}
					return [][]byte{record}
				})
				config := f.Config()
				config.FlightInterval = 50 * time.Millisecond
				session, err := f.Handshake(f.ctx, config)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = session.Close() })
				f.session = session
				f.Outgoing(nil)
				f.associate().talks()
			})
		},
		// Another handshake in a connected call, in the clear.
		"70_renegotiation": func(t *testing.T) {
			f := callHostile(t, nil).connect()
			var hello []byte
			var mu sync.Mutex
			f.Outgoing(func(record []byte) [][]byte {
				mu.Lock()
				defer mu.Unlock()
				if hello == nil {
					hello = bytes.Clone(record)
				}
				return [][]byte{record}
			})
			f.handshake().associate().talks()
			for range 100 {
				f.send(hello, []byte{22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 9, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
			}
			f.talks()
		},
		"70_noise": func(t *testing.T) {
			f := callHostile(t, nil).connect().handshake().associate()
			random := rand.New(rand.NewPCG(7, 0))
			for range 2000 {
				noise := make([]byte, 1+random.IntN(200))
				for i := range noise {
					noise[i] = byte(random.Uint32())
				}
				f.send(noise)
			}
			f.talks()
		},
		"71_no_common_SRTP_profile": func(t *testing.T) {
			both(t, func(c *Config, _ *peertest.Hostile) {
				c.Media.Tracks = []webrtc.TrackLocal{testTrack(t, webrtc.MimeTypeOpus)}
			}, func(t *testing.T, f *faulty) {
				config := f.connect().Config()
				config.Profiles = []dtls.SRTPProtectionProfile{dtls.SRTP_NULL_HMAC_SHA1_80}
				f.handshakeFails(config)
				f.failsAt(Connection, dtlsFailed)
			})
		},
	}
}

// alertAt sends a fatal handshake_failure in place of a flight.
func alertAt(flight int) func([]byte) [][]byte {
	alert := []byte{21, 254, 253, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 2, 40}
	var mu sync.Mutex
	sent := 0
	return func(record []byte) [][]byte {
		mu.Lock()
		defer mu.Unlock()
		if sent++; sent > flight {
			return [][]byte{alert}
		}
		return [][]byte{record}
	}
}

// expired is a certificate whose time is over.
func expired(t *testing.T) tls.Certificate {
	t.Helper()
	key := must(ecdsa.GenerateKey(elliptic.P256(), crand.Reader))(t)
	template := x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "WebRTC"},
		NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1, 0),
	}
	der := must(x509.CreateCertificate(crand.Reader, &template, &template, key.Public(), key))(t)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// fragment reports whether a record in the clear has a part of a handshake message
// (RFC 6347 section 4.2.2).
func fragment(record []byte) bool { return !bytes.Equal(record[14:17], record[22:25]) }
