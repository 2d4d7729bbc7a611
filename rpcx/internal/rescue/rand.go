package rescue

import "math/rand/v2"

// Rand returns a function that does not panic: where random, the Dialer's field, does, the
// number is that of math/rand/v2. It is nil if random is.
func Rand(random func() float64, field string, panics *Log) func() float64 {
	if random == nil {
		return nil
	}
	return func() (n float64) {
		defer func() {
			if value := recover(); value != nil {
				panics.Note(Panicked(field, value))
				n = rand.Float64() //nolint:gosec // it is no secret
			}
		}()
		return random()
	}
}
