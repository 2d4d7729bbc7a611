//go:build !unix || aix

package wire

func recvPeek(int) (data bool, err error) { return false, nil }

const canPeek = false

func unblock(int) {}
