// Package decoder decodes received video for display.
package decoder
