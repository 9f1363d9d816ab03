package device

import "parley/media/device/inventory"

// List lists the devices of this machine and the abilities of this build. It opens each camera
// without capturing.
func List() inventory.All {
	all := list()
	all.Codecs, all.Lacks = Codecs(), Lacks()
	return all
}

// Codecs returns the MIME types that this build encodes, video before audio, in order of
// preference.
func Codecs() []string { return codecs() }

// Lacks returns texts about what of this package is not in this build, and which build has it.
func Lacks() []string { return lacks() }
