module resilientrpc/breaker/internal/peers

go 1.25.0

require (
	github.com/failsafe-go/failsafe-go v0.9.8
	github.com/sony/gobreaker/v2 v2.4.0
	resilientrpc v0.0.0
)

require github.com/bits-and-blooms/bitset v1.24.4 // indirect

replace resilientrpc => ../../..
