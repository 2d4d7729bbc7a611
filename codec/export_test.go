package codec

// KeepMost is the capacity beyond which no buffer is kept, in tests.
const KeepMost = 1 << 20

func init() { keepMost = KeepMost }
