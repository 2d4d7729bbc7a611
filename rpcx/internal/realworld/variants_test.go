//go:build unix

package realworld

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// Each program is compiled twice: as it is written, and with its imports swapped.
const (
	stock = "net/rpc"
	ours  = "rpcx"
)

var variants = []string{stock, ours}

// programs are the directories of the programs.
var programs = []string{"plugin", "catalog", "debugger", "raft", "daemon"}

// swap is the change of import lines that the README asks for.
var swap = strings.NewReplacer(
	"\t\"net/rpc\"\n", "\trpc \"resilientrpc/rpcx\"\n",
	"\t\"net/rpc/jsonrpc\"\n", "\t\"resilientrpc/rpcx/jsonrpc\"\n",
)

// bin is where the compiled programs are, in a folder for each variant.
var bin string

func TestMain(m *testing.M) {
	var err error
	if bin, err = os.MkdirTemp("", "realworld"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(bin)
	os.Exit(code)
}

// built compiles all programs, once. It is done within a test, so that go test knows the sources for
// what its result depends on.
var built = sync.OnceValue(build)

// build compiles all programs in both variants.
func build() error {
	overlay, err := swapped()
	if err != nil {
		return err
	}
	for variant, flags := range map[string][]string{stock: nil, ours: {"-overlay", overlay}} {
		args := append([]string{"build", "-o", program(variant, "") + "/"}, flags...)
		if raceEnabled {
			args = append(args, "-race")
		}
		for _, p := range programs {
			args = append(args, "./"+p)
		}
		if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, out)
		}
	}
	return nil
}

// swapped writes the sources with their imports swapped, and returns the path of an overlay
// for go build that has them in the originals' place.
func swapped() (string, error) {
	replace := make(map[string]string)
	for _, p := range programs {
		files, err := filepath.Glob(p + "/*.go")
		if err != nil {
			return "", err
		}
		before := len(replace)
		for _, file := range files {
			if err := swapFile(replace, file); err != nil {
				return "", err
			}
		}
		if len(replace) == before {
			return "", fmt.Errorf("no file of %s imports net/rpc", p)
		}
	}
	path := filepath.Join(bin, "overlay.json")
	content, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	return path, os.WriteFile(path, content, 0o600)
}

// swapFile enters a source file in the overlay, if it imports what is to be swapped.
func swapFile(replace map[string]string, file string) error {
	source, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	changed := swap.Replace(string(source))
	if changed == string(source) {
		return nil
	}
	from, err := filepath.Abs(file)
	if err != nil {
		return err
	}
	to := filepath.Join(bin, "swapped", file)
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	replace[from] = to
	return os.WriteFile(to, []byte(changed), 0o600)
}

// program is the path of a compiled program.
func program(variant, name string) string {
	return filepath.Join(bin, strings.ReplaceAll(variant, "/", ""), name)
}
