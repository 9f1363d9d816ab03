// Package pixel scales, rotates and converts decoded frames.
package pixel
