package resolver_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"resilientrpc/rpcx/resolver"
)

// A resolver can be used without a client. With one, it is the value of rpcx.Dialer's
// field Resolver.
func Example() {
	dir, err := os.MkdirTemp("", "resolver")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "calc.replicas")
	if err := os.WriteFile(path, []byte("10.0.0.1:1234\n10.0.0.2:1234 weight=2\n"), 0o600); err != nil {
		log.Fatal(err)
	}

	ctx, cancel := context.WithCancel(context.Background())
	err = resolver.File("tcp", path).Watch(ctx, func(set []resolver.Endpoint, err error) {
		for _, e := range set {
			fmt.Println(e.Address, e.Weight)
		}
		cancel() // the first set is enough
	})
	fmt.Println(err)
	// Output:
	// 10.0.0.1:1234 0
	// 10.0.0.2:1234 2
	// context canceled
}
