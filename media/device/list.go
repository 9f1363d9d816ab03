//go:build linux && cgo

package device

func list() Inventory {
	var all Inventory
	problem := func(err error) {
		if err != nil {
			all.Problems = append(all.Problems, err.Error())
		}
	}
	var err error
	all.Cameras = cameras()
	all.Microphones, all.Speakers, err = sounds()
	problem(err)
	all.Screens, err = screens()
	problem(err)
	return all
}
