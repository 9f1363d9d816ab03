package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v3"

	"parley/cmd/parley/internal/config"
	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/sanitize"
	"parley/cmd/parley/internal/stdio"
	"parley/media/device"
)

func devicesCommand(std stdio.Streams) *cli.Command {
	return &cli.Command{
		Name:  "devices",
		Usage: "list cameras, microphones, speakers, screens and encoders",
		Description: `ID is what --video camera:ID, --video screen:ID and --audio microphone:ID take; a number from 0 or a part
of the name will do. Each camera is opened for a moment, but no picture is taken.`,
		Flags: []cli.Flag{
			config.String("output", "human", "`FORMAT`: human, ndjson: one JSON object a line, or json: one object"),
		},
		OnUsageError: config.UsageError,
		Action: func(_ context.Context, cmd *cli.Command) error {
			tell, ok := map[string]func(io.Writer, device.Inventory) error{
				"human": devicesTable, "ndjson": devicesLines, "json": devicesObject,
			}[cmd.String("output")]
			if !ok {
				return exit.Usagef("--output %q: it is human, ndjson or json", sanitize.Text(cmd.String("output")))
			}
			return tell(std.Out, device.List())
		},
	}
}

// devicesTable is for people.
func devicesTable(out io.Writer, all device.Inventory) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, row := range deviceRows(all) {
		for i := range row {
			row[i] = sanitize.Text(row[i])
		}
		fmt.Fprintln(t, strings.TrimRight(strings.Join(row, "\t"), "\t"))
	}
	return t.Flush()
}

func deviceRows(all device.Inventory) [][]string {
	rows := [][]string{{"KIND", "ID", "NAME", "WHAT"}}
	for _, c := range all.Cameras {
		rows = append(rows, cameraRows(c)...)
	}
	rows = append(rows, soundRows("microphone", all.Microphones)...)
	rows = append(rows, soundRows("speaker", all.Speakers)...)
	for _, s := range all.Screens {
		rows = append(rows, []string{"screen", s.ID, "", size(s.Width, s.Height)})
	}
	for _, c := range all.Codecs {
		rows = append(rows, []string{"encoder", codecName(c)})
	}
	if len(rows) == 1 {
		rows = nil // a heading over nothing
	}
	rows = append(rows, absentRows(all)...)
	for _, p := range all.Problems {
		rows = append(rows, []string{"problem: " + p})
	}
	for _, l := range all.Lacks {
		rows = append(rows, []string{"lacking: " + l})
	}
	if len(rows) == 0 {
		rows = [][]string{{"there is none"}}
	}
	return rows
}

// absentRows tell what this build could use, and did not find.
func absentRows(all device.Inventory) (rows [][]string) {
	if len(all.Codecs) == 0 {
		return nil // it uses none, which is told as lacking
	}
	for _, class := range []struct {
		found      int
		name, next string
	}{
		{len(all.Cameras), "camera", "plug one in, or send --video test, or a file"},
		{len(all.Microphones), "microphone", "plug one in, or send --audio test, or a file"},
		{len(all.Speakers), "speaker", "plug one in, or keep what comes with --record"},
		{len(all.Screens), "screen", "run it in a desktop that has $DISPLAY, of X11 or XWayland"},
	} {
		if class.found == 0 {
			rows = append(rows, []string{"no " + class.name + " was found: " + class.next})
		}
	}
	return rows
}

func cameraRows(c device.Camera) [][]string {
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

// formatTexts puts the pixel formats that have the same size and rates on one line.
func formatTexts(formats []device.Format) []string {
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

func rateText(f float64) string { return strconv.FormatFloat(f, 'f', -1, 32) }

func soundRows(kind string, all []device.AudioDevice) [][]string {
	var rows [][]string
	for _, s := range all {
		what := ""
		if s.Default {
			what = "default"
		}
		rows = append(rows, []string{kind, s.ID, s.Name, what})
	}
	return rows
}

// devicesLines is one event for each thing.
func devicesLines(out io.Writer, all device.Inventory) error {
	now := time.Now()
	for _, e := range deviceEvents(all) {
		if _, err := out.Write(e.Line(now)); err != nil {
			return err
		}
	}
	return nil
}

func deviceEvents(all device.Inventory) []event.Event {
	var events []event.Event
	add := func(name string, fields []event.Field) {
		events = append(events, event.Event{Name: name, Fields: fields})
	}
	for _, class := range deviceClasses(all) {
		for _, fields := range class.all {
			add("device", append(event.Fields("kind", class.kind), fields...))
		}
	}
	for _, c := range all.Codecs {
		add("encoder", event.Fields("codec", codecName(c)))
	}
	for _, p := range all.Problems {
		add("problem", event.Fields("text", p))
	}
	for _, l := range all.Lacks {
		add("lacking", event.Fields("text", l))
	}
	return events
}

// devicesObject is all in one object.
func devicesObject(out io.Writer, all device.Inventory) error {
	var fields []event.Field
	for _, class := range deviceClasses(all) {
		fields = append(fields, event.Field{Key: class.kind + "s", Value: class.all})
	}
	codecs := []string{}
	for _, c := range all.Codecs {
		codecs = append(codecs, codecName(c))
	}
	fields = append(fields, event.Field{Key: "encoders", Value: codecs},
		event.Field{Key: "problems", Value: append([]string{}, all.Problems...)}, event.Field{Key: "lacking", Value: append([]string{}, all.Lacks...)})
	_, err := io.WriteString(out, event.JSON(fields)+"\n")
	return err
}

// deviceClass are the devices of one kind.
type deviceClass struct {
	kind string
	all  [][]event.Field
}

func deviceClasses(all device.Inventory) []deviceClass {
	classes := []deviceClass{{kind: "camera"}, {kind: "microphone"}, {kind: "speaker"}, {kind: "screen"}}
	for _, c := range all.Cameras {
		formats := [][]event.Field{}
		for _, f := range c.Formats {
			formats = append(formats, event.Fields(
				"width", f.Width, "height", f.Height, "pixels", f.Pixels, "rates", append([]float64{}, f.Rates...),
			))
		}
		fields := event.Fields("id", c.ID, "name", c.Name, "formats", formats)
		if c.Problem != "" {
			fields = append(fields, event.Field{Key: "problem", Value: c.Problem})
		}
		classes[0].all = append(classes[0].all, fields)
	}
	for i, sounds := range [][]device.AudioDevice{all.Microphones, all.Speakers} {
		for _, s := range sounds {
			classes[1+i].all = append(classes[1+i].all, event.Fields("id", s.ID, "name", s.Name, "default", s.Default))
		}
	}
	for _, s := range all.Screens {
		classes[3].all = append(classes[3].all, event.Fields("id", s.ID, "width", s.Width, "height", s.Height))
	}
	return classes
}
