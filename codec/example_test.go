package codec_test

import (
	"errors"
	"fmt"
	"net"
	"net/rpc"

	"resilientrpc/codec"
)

// Greeter greets those who have a name.
type Greeter struct{}

func (Greeter) Greet(name string, greeting *string) error {
	if name == "" {
		return errors.New("who?")
	}
	*greeting = "Hello, " + name
	return nil
}

// Both ends of a connection, in JSON-RPC 2.0.
func Example() {
	server := rpc.NewServer()
	if err := server.Register(Greeter{}); err != nil {
		fmt.Println(err)
		return
	}
	here, there := net.Pipe()
	go server.ServeCodec(codec.NewJSON2Server(there))

	client := rpc.NewClientWithCodec(codec.NewJSON2Client(here))
	defer client.Close()
	var greeting string
	err := client.Call("Greeter.Greet", "gopher", &greeting)
	fmt.Println(greeting, err)
	err = client.Call("Greeter.Greet", "", &greeting)
	fmt.Println(err)
	// Output:
	// Hello, gopher <nil>
	// who?
}

// An argument that cannot be encoded fails its own call only. With net/rpc's codec the next
// call would fail, too.
func ExampleEncodeError() {
	server := rpc.NewServer()
	if err := server.Register(Greeter{}); err != nil {
		fmt.Println(err)
		return
	}
	here, there := net.Pipe()
	go server.ServeConn(there)

	client := rpc.NewClientWithCodec(codec.NewGobClient(here))
	defer client.Close()
	var greeting string
	err := client.Call("Greeter.Greet", make(chan int), &greeting)
	fmt.Println(errors.As(err, new(*codec.EncodeError)))
	err = client.Call("Greeter.Greet", "gopher", &greeting)
	fmt.Println(greeting, err)
	// Output:
	// true
	// Hello, gopher <nil>
}
