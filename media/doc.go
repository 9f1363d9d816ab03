// Package media declares the types that sources, receivers, recordings and containers share.
package media
