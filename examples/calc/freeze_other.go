//go:build !unix

package main

import (
	"errors"
	"os"
	"os/exec"
)

// canFreeze is false where there is no SIGSTOP; the demo leaves that step out.
const canFreeze = false

func freeze(*os.Process) error { return errors.ErrUnsupported }

func thaw(*os.Process) error { return errors.ErrUnsupported }

func detach(*exec.Cmd) {}
