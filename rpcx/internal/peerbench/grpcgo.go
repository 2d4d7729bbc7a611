package main

import (
	"context"
	"fmt"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/grpc/status"
	_ "google.golang.org/grpc/xds" // registers outlier detection; there is no xDS server

	"resilientrpc/rpcx/internal/peerbench/calcpb"
)

// The service configs: calls of idempotent methods are tried again when the server
// was unavailable, and wait for a connection, as grpc's documentation has it.
const (
	plainConfig   = `{"loadBalancingConfig": [{"round_robin": {}}], ` + methodConfig + `}`
	outlierConfig = `{"loadBalancingConfig": [{"outlier_detection_experimental": {
		"interval": "1s", "baseEjectionTime": "1s", "maxEjectionTime": "5s", "maxEjectionPercent": 50,
		"failurePercentageEjection": {"threshold": 50, "enforcementPercentage": 100, "minimumHosts": 2, "requestVolume": 5},
		"childPolicy": [{"round_robin": {}}]}}], ` + methodConfig + `}`
	methodConfig = `"methodConfig": [{
		"name": [{"service": "calc.Calc", "method": "Echo"}, {"service": "calc.Calc", "method": "Square"}],
		"waitForReady": true,
		"retryPolicy": {"maxAttempts": 3, "initialBackoff": "0.05s", "maxBackoff": "1s", "backoffMultiplier": 2, "retryableStatusCodes": ["UNAVAILABLE"]}
	}, {
		"name": [{"service": "calc.Calc"}],
		"waitForReady": true
	}]`
)

// grpcClient is a client of grpc-go.
type grpcClient struct {
	*grpc.ClientConn
	calc calcpb.CalcClient
}

func dialGRPC(config string) func([]string, options) (client, error) {
	return func(addrs []string, o options) (client, error) {
		var all []resolver.Address
		for _, a := range addrs {
			all = append(all, resolver.Address{Addr: a})
		}
		r := manual.NewBuilderWithScheme("replicas")
		r.InitialState(resolver.State{Addresses: all})
		cc, err := grpc.NewClient("replicas:///calc",
			grpc.WithResolvers(r),
			grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithDefaultServiceConfig(config),
			grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) { return o.netDial(ctx, "tcp", addr) }),
			// The least that grpc-go takes is 10 s.
			grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: o.patience, PermitWithoutStream: true}),
			// The default's MaxDelay is two minutes.
			grpc.WithConnectParams(grpc.ConnectParams{
				Backoff:           backoff.Config{BaseDelay: time.Second, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 5 * time.Second},
				MinConnectTimeout: 2 * time.Second,
			}))
		if err != nil {
			return nil, err
		}
		return connected(grpcClient{cc, calcpb.NewCalcClient(cc)})
	}
}

func (g grpcClient) call(ctx context.Context, m method, in Message) (Message, error) {
	var (
		out *calcpb.Message
		err error
	)
	switch m {
	case echo:
		out, err = g.calc.Echo(ctx, toProto(in))
	case square:
		out, err = g.calc.Square(ctx, toProto(in))
	case deposit:
		out, err = g.calc.Deposit(ctx, toProto(in))
	default:
		err = fmt.Errorf("no method %s", m)
	}
	if status.Code(err) == codes.Unknown {
		err = appError{err}
	}
	if err != nil {
		return Message{}, err
	}
	return fromProto(out), nil
}
