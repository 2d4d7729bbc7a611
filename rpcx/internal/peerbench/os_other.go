//go:build !unix

package main

import (
	"errors"
	"time"
)

var errFreeze = errors.New("a process cannot be frozen on this system")

func (p *process) freeze() error { return errFreeze }

func (p *process) thaw() error { return errFreeze }

// processCPU is not known here.
func processCPU() time.Duration { return 0 }
