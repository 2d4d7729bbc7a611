// Package interop holds tests of the codecs against other people's
// implementations. It is a module of its own for their sake.
package interop
