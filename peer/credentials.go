package peer

import (
	"crypto/rand"
	"fmt"
	"reflect"
	"unsafe"

	"github.com/pion/webrtc/v4"
)

// newICECredentials returns credentials for an ICE session, with more than the 24 and 128 bits of
// randomness of RFC 8445 section 5.3.
func newICECredentials() (ufrag, pwd string) {
	text := rand.Text() + rand.Text()
	return text[:16], text[16:48]
}

// settingsOf returns the settings that an API uses.
//
// Pion restarts ICE in CreateOffer, which closes the path in use, and chooses the new credentials
// itself, so an offer that restarts ICE cannot be sent before the path is given up. With the
// credentials that SettingEngine.SetICECredentials sets before the restart it can: the offer is
// written with credentials of ours, and Pion restarts with the same ones once the answer has come.
// Pion copies the settings when the API is made and has no way to change them later, hence the
// reflection. TestPionTakesICECredentials fails if Pion changes.
func settingsOf(api *webrtc.API) (*webrtc.SettingEngine, error) {
	field := reflect.ValueOf(api).Elem().FieldByName("settingEngine")
	if !field.IsValid() || field.Type() != reflect.TypeFor[*webrtc.SettingEngine]() || field.IsNil() {
		return nil, fmt.Errorf("unknown version of Pion: webrtc.API has no settingEngine")
	}
	return (*webrtc.SettingEngine)(unsafe.Pointer(field.Pointer())), nil
}
