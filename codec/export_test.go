package codec

// KeepMost is the capacity beyond which no buffer is kept, in tests.
const KeepMost = 512 << 10

func init() { keepMost = KeepMost }
