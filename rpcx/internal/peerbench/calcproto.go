package main

import (
	"context"
	"errors"

	"connectrpc.com/connect"
	"github.com/creachadair/jrpc2"
	"github.com/creachadair/jrpc2/handler"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"resilientrpc/rpcx/internal/peerbench/calcpb"
)

func toProto(m Message) *calcpb.Message {
	return &calcpb.Message{N: m.N, Text: m.Text, Replica: m.Replica}
}

func fromProto(m *calcpb.Message) Message {
	return Message{N: m.GetN(), Text: m.GetText(), Replica: m.GetReplica()}
}

// grpcCalc is the service as grpc-go has it.
type grpcCalc struct {
	calcpb.UnimplementedCalcServer
	*calc
}

func (g grpcCalc) Echo(ctx context.Context, in *calcpb.Message) (*calcpb.Message, error) {
	return g.run(ctx, echo, in)
}

func (g grpcCalc) Square(ctx context.Context, in *calcpb.Message) (*calcpb.Message, error) {
	return g.run(ctx, square, in)
}

func (g grpcCalc) Deposit(ctx context.Context, in *calcpb.Message) (*calcpb.Message, error) {
	return g.run(ctx, deposit, in)
}

func (g grpcCalc) run(ctx context.Context, m method, in *calcpb.Message) (*calcpb.Message, error) {
	out, err := g.do(ctx, m, fromProto(in))
	if errors.Is(err, errBroken) {
		return nil, status.Error(codes.Unavailable, err.Error())
	}
	return toProto(out), err
}

// connectCalc is the service as connect-go has it.
type connectCalc struct{ *calc }

type (
	connectRequest  = connect.Request[calcpb.Message]
	connectResponse = connect.Response[calcpb.Message]
)

func (c connectCalc) Echo(ctx context.Context, in *connectRequest) (*connectResponse, error) {
	return c.run(ctx, echo, in)
}

func (c connectCalc) Square(ctx context.Context, in *connectRequest) (*connectResponse, error) {
	return c.run(ctx, square, in)
}

func (c connectCalc) Deposit(ctx context.Context, in *connectRequest) (*connectResponse, error) {
	return c.run(ctx, deposit, in)
}

func (c connectCalc) run(ctx context.Context, m method, in *connectRequest) (*connectResponse, error) {
	out, err := c.do(ctx, m, fromProto(in.Msg))
	switch {
	case errors.Is(err, errBroken):
		return nil, connect.NewError(connect.CodeUnavailable, err)
	case err != nil:
		return nil, err
	}
	return connect.NewResponse(toProto(out)), nil
}

// jrpc2Calc is the service as jrpc2 has it.
func jrpc2Calc(c *calc) jrpc2.Assigner {
	methods := make(handler.Map)
	for _, m := range []method{echo, square, deposit} {
		methods[string(m)] = handler.New(func(ctx context.Context, in Message) (Message, error) { return c.do(ctx, m, in) })
	}
	return methods
}
