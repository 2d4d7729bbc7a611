package main

import "time"

// Arith is the service that is called.
type Arith struct{}

// Args are two factors.
type Args struct{ A, B int }

// Reply is their product.
type Reply struct{ C int }

// Multiply is a short method.
func (Arith) Multiply(args *Args, reply *Reply) error {
	reply.C = args.A * args.B
	return nil
}

// MultiplyAfter multiplies after args.A nanoseconds: a method that is short, slow, or
// slow by surprise.
func (Arith) MultiplyAfter(args *Args, reply *Reply) error {
	if args.A > 0 {
		time.Sleep(time.Duration(args.A))
	}
	reply.C = args.A * args.B
	return nil
}
