// Package devices prints the devices and codecs of this machine.
package devices

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/sanitize"
	"parley/media"
	"parley/media/device/inventory"
)

// WriteTable writes a table for people.
func WriteTable(out io.Writer, all inventory.All) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, row := range rows(all) {
		for i := range row {
			row[i] = sanitize.Text(row[i])
		}
		fmt.Fprintln(t, strings.TrimRight(strings.Join(row, "\t"), "\t"))
	}
	return t.Flush()
}

func rows(all inventory.All) [][]string {
	rows := [][]string{{"KIND", "ID", "NAME", "WHAT"}}
	for _, c := range all.Cameras {
		rows = append(rows, cameraRows(c)...)
	}
	rows = append(rows, audioRows("microphone", all.Microphones)...)
	rows = append(rows, audioRows("speaker", all.Speakers)...)
	for _, s := range all.Screens {
		rows = append(rows, []string{"screen", s.ID, "", size(s.Width, s.Height)})
	}
	for _, c := range all.Codecs {
		rows = append(rows, []string{"encoder", media.CodecName(c)})
	}
	if len(rows) == 1 {
		rows = nil // a heading over nothing
	}
	rows = append(rows, absentRows(all)...)
	for _, p := range all.Problems {
		rows = append(rows, []string{"problem: " + p})
	}
	for _, l := range all.Lacks {
		rows = append(rows, []string{"missing: " + l})
	}
	if len(rows) == 0 {
		rows = [][]string{{"no devices"}}
	}
	return rows
}

// absentRows returns a line for each kind of device that this build supports and of which there is
// none.
func absentRows(all inventory.All) (rows [][]string) {
	if len(all.Codecs) == 0 {
		return nil // a build without devices, which Lacks reports
	}
	for _, class := range []struct {
		found      int
		name, next string
	}{
		{len(all.Cameras), "camera", "plug one in, or send --video test, or a file"},
		{len(all.Microphones), "microphone", "plug one in, or send --audio test, or a file"},
		{len(all.Speakers), "speaker", "plug one in, or keep what is received with --record"},
		{len(all.Screens), "screen", "run it in a desktop that has $DISPLAY, of X11 or XWayland"},
	} {
		if class.found == 0 {
			rows = append(rows, []string{"no " + class.name + " was found: " + class.next})
		}
	}
	return rows
}

func cameraRows(c inventory.Camera) [][]string {
	if c.Problem != "" || len(c.Formats) == 0 {
		return [][]string{{"camera", c.ID, c.Name, c.Problem}}
	}
	var rows [][]string
	first := []string{"camera", c.ID, c.Name}
	for _, text := range formatTexts(c.Formats) {
		rows = append(rows, append(slices.Clone(first), text))
		first = []string{"", "", ""}
	}
	return rows
}

// formatTexts returns a line for each size and range of rates, with its pixel formats.
func formatTexts(formats []inventory.Format) []string {
	var modes, pixels []string
	for _, f := range formats {
		mode := size(f.Width, f.Height)
		if n := len(f.Rates); n > 0 && f.Rates[0] == f.Rates[n-1] {
			mode += "@" + rateText(f.Rates[0])
		} else if n > 0 {
			mode += "@" + rateText(f.Rates[0]) + "-" + rateText(f.Rates[n-1])
		}
		if i := slices.Index(modes, mode); i >= 0 {
			pixels[i] += " " + f.Pixels
			continue
		}
		modes, pixels = append(modes, mode), append(pixels, f.Pixels)
	}
	for i := range modes {
		modes[i] += " " + pixels[i]
	}
	return modes
}

func size(width, height int) string { return fmt.Sprintf("%dx%d", width, height) }

func rateText(f float64) string { return strconv.FormatFloat(f, 'f', -1, 32) }

func audioRows(kind string, all []inventory.AudioDevice) [][]string {
	var rows [][]string
	for _, d := range all {
		what := ""
		if d.Default {
			what = "default"
		}
		rows = append(rows, []string{kind, d.ID, d.Name, what})
	}
	return rows
}

// WriteNDJSON writes an event for each device, codec, problem and missing feature.
func WriteNDJSON(out io.Writer, all inventory.All) error {
	now := time.Now()
	for _, e := range events(all) {
		if _, err := out.Write(e.Line(now)); err != nil {
			return err
		}
	}
	return nil
}

func events(all inventory.All) []event.Event {
	var events []event.Event
	add := func(name string, fields []event.Field) {
		events = append(events, event.Event{Name: name, Fields: fields})
	}
	for _, class := range classes(all) {
		for _, fields := range class.all {
			add("device", append(event.Fields("kind", class.kind), fields...))
		}
	}
	for _, c := range all.Codecs {
		add("encoder", event.Fields("codec", media.CodecName(c)))
	}
	for _, p := range all.Problems {
		add("problem", event.Fields("text", p))
	}
	for _, l := range all.Lacks {
		add("missing-feature", event.Fields("text", l))
	}
	return events
}

// WriteJSON writes one object.
func WriteJSON(out io.Writer, all inventory.All) error {
	var fields []event.Field
	for _, class := range classes(all) {
		fields = append(fields, event.Field{Key: class.kind + "s", Value: class.all})
	}
	codecs := []string{}
	for _, c := range all.Codecs {
		codecs = append(codecs, media.CodecName(c))
	}
	fields = append(fields, event.Fields("encoders", codecs,
		"problems", append([]string{}, all.Problems...), "missing_features", append([]string{}, all.Lacks...))...)
	_, err := io.WriteString(out, event.JSON(fields)+"\n")
	return err
}

// class is the devices of one kind.
type class struct {
	kind string
	all  [][]event.Field
}

func classes(all inventory.All) []class {
	classes := []class{{kind: "camera"}, {kind: "microphone"}, {kind: "speaker"}, {kind: "screen"}}
	for _, c := range all.Cameras {
		formats := [][]event.Field{}
		for _, f := range c.Formats {
			formats = append(formats, event.Fields("width", f.Width, "height", f.Height, "pixels", f.Pixels, "rates", append([]float64{}, f.Rates...)))
		}
		fields := event.Fields("id", c.ID, "name", c.Name, "formats", formats)
		if c.Problem != "" {
			fields = append(fields, event.Field{Key: "problem", Value: c.Problem})
		}
		classes[0].all = append(classes[0].all, fields)
	}
	for i, list := range [][]inventory.AudioDevice{all.Microphones, all.Speakers} {
		for _, d := range list {
			classes[1+i].all = append(classes[1+i].all, event.Fields("id", d.ID, "name", d.Name, "default", d.Default))
		}
	}
	for _, s := range all.Screens {
		classes[3].all = append(classes[3].all, event.Fields("id", s.ID, "width", s.Width, "height", s.Height))
	}
	return classes
}
