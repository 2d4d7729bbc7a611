package rpcx_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	module      = "resilientrpc"
	roofPath    = module + "/rpcx"
	simnetPath  = roofPath + "/internal/simnet"
	leakPath    = roofPath + "/internal/leak"
	dnstestPath = roofPath + "/internal/dnstest"
	chaosPath   = roofPath + "/internal/chaos"
	instantPath = roofPath + "/internal/instant"
	pagePath    = roofPath + "/internal/pagetest"
	speedPath   = roofPath + "/internal/speed" // a benchmark that is a program
	testifyPath = "github.com/stretchr/testify"
	backoffPath = "github.com/cenkalti/backoff/v4"
	xsyncPath   = "golang.org/x/sync"
)

var pillars = []string{module + "/codec", module + "/breaker", module + "/detector", module + "/balancer"}

// restricted has the packages below rpcx that may import less than rpcx, each with what
// its code may import besides the standard library. Their tests may import what those of
// rpcx may.
var restricted = map[string][]string{
	roofPath + "/resolver":           {backoffPath, roofPath + "/internal/dnsttl", roofPath + "/internal/hostport"},
	roofPath + "/internal/dnsttl":    nil,
	roofPath + "/internal/hostport":  nil,
	roofPath + "/internal/argcopy":   nil,
	roofPath + "/internal/debugpage": nil,
	roofPath + "/internal/dialing": {
		roofPath + "/resolver", roofPath + "/internal/hostport", roofPath + "/internal/mismatch", roofPath + "/internal/oserr", roofPath + "/internal/rescue",
	},
	roofPath + "/internal/hook":      {roofPath + "/internal/rescue"},
	roofPath + "/internal/rescue":    {module + "/balancer"},
	roofPath + "/internal/retry":     {backoffPath},
	roofPath + "/internal/latency":   nil,
	roofPath + "/internal/mismatch":  nil,
	roofPath + "/internal/queue":     nil,
	roofPath + "/internal/wire":      {pillars[0]},
	roofPath + "/internal/transport": {pillars[0], roofPath + "/internal/wire", roofPath + "/internal/protocol", roofPath + "/internal/peerclock"},
	roofPath + "/internal/protocol":  nil,
	roofPath + "/internal/callmeta":  {pillars[0]},
	roofPath + "/internal/cause":     nil,
	roofPath + "/internal/config":    nil,
	roofPath + "/internal/errtext":   nil,
	roofPath + "/internal/oserr":     nil,
	roofPath + "/internal/eventlog":  {roofPath + "/internal/errtext"},
	roofPath + "/internal/peerclock": nil,
	roofPath + "/internal/server":    {pillars[0], roofPath + "/internal/wire", roofPath + "/internal/protocol", roofPath + "/internal/callmeta", roofPath + "/internal/oserr", xsyncPath},
}

// listed is a package of the module as go list describes it.
type listed struct {
	ImportPath   string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

// One roof on four pillars: examples → rpcx → {codec, breaker, detector,
// balancer} → standard library. A pillar knows no other and not the roof, so
// that each can be used and understood alone.
func TestImportsFollowTheHouse(t *testing.T) {
	for _, goos := range []string{"linux", "darwin", "windows"} {
		t.Run(goos, func(t *testing.T) {
			pkgs := list(t, goos)
			require.Empty(t, strayImports(pkgs))
			require.Empty(t, missingImports(pkgs))
		})
	}
}

// The direct dependencies of a user of this module stay these three.
func TestDirectDependencies(t *testing.T) {
	var mod struct {
		Require []struct {
			Path     string
			Indirect bool
		}
	}
	out := goCommand(t, "", "mod", "edit", "-json")
	require.NoError(t, json.Unmarshal(out, &mod))
	var direct []string
	for _, r := range mod.Require {
		if !r.Indirect {
			direct = append(direct, r.Path)
		}
	}
	require.ElementsMatch(t, []string{testifyPath, backoffPath, xsyncPath}, direct)
}

// The rule itself, on packages that break it.
func TestStrayImportsAreFound(t *testing.T) {
	for _, c := range []struct {
		name string
		pkg  listed
		want int
	}{
		{"nothing wrong", listed{
			ImportPath: roofPath, Imports: []string{"net/rpc", pillars[0], backoffPath, xsyncPath + "/errgroup", roofPath + "/internal/x"},
			XTestImports: []string{testifyPath + "/require", simnetPath, leakPath, chaosPath, dnstestPath, instantPath, pagePath},
		}, 0},
		{"pillar imports its own part", listed{ImportPath: pillars[0], Imports: []string{"io", pillars[0] + "/internal/frame"}}, 0},
		{"pillar imports a pillar", listed{ImportPath: pillars[1], Imports: []string{pillars[2]}}, 1},
		{"part of a pillar imports a pillar", listed{ImportPath: pillars[1] + "/x", Imports: []string{pillars[2] + "/y"}}, 1},
		{"pillar imports the roof", listed{ImportPath: pillars[1], Imports: []string{roofPath}}, 1},
		{"pillar's test imports the roof", listed{ImportPath: pillars[1], XTestImports: []string{roofPath}}, 1},
		{"pillar's test imports a pillar", listed{ImportPath: pillars[1], TestImports: []string{pillars[2]}}, 1},
		{"pillar imports a dependency", listed{ImportPath: pillars[3], Imports: []string{xsyncPath + "/singleflight", backoffPath}}, 2},
		{"testify outside a test", listed{ImportPath: roofPath, Imports: []string{testifyPath + "/assert"}}, 1},
		{"test support outside a test", listed{ImportPath: roofPath, Imports: []string{simnetPath, leakPath, chaosPath, dnstestPath, instantPath, pagePath}}, 6},
		{"a benchmark imports test support", listed{ImportPath: speedPath, Imports: []string{instantPath}}, 0},
		{"roof imports an example", listed{ImportPath: roofPath, Imports: []string{module + "/examples/calc"}}, 1},
		{"example imports a dependency", listed{ImportPath: module + "/examples/calc", Imports: []string{roofPath, pillars[0], backoffPath}}, 1},
		{"a restricted package imports what it may", listed{
			ImportPath: roofPath + "/resolver", Imports: []string{"net", backoffPath, roofPath + "/internal/dnsttl", roofPath + "/internal/hostport"},
			XTestImports: []string{testifyPath + "/require", roofPath, dnstestPath},
		}, 0},
		{"a restricted package imports rpcx, pillars and others", listed{
			ImportPath: roofPath + "/resolver", Imports: append([]string{roofPath, xsyncPath + "/errgroup", roofPath + "/internal/x"}, pillars...),
		}, 7},
		{"a package without allowed imports", listed{ImportPath: roofPath + "/internal/dnsttl", Imports: []string{roofPath + "/internal/hostport"}}, 1},
		{"latency imports what it must not", listed{
			ImportPath: roofPath + "/internal/latency", Imports: append([]string{"time", roofPath, roofPath + "/internal/x"}, pillars...),
			TestImports: []string{testifyPath + "/require"},
		}, 6},
		{"debugpage imports what it must not", listed{
			ImportPath: roofPath + "/internal/debugpage", Imports: append([]string{"net/http", roofPath, roofPath + "/internal/latency"}, pillars...),
			TestImports: []string{testifyPath + "/require", simnetPath, leakPath},
		}, 6},
		{"the server imports what it may", listed{
			ImportPath: roofPath + "/internal/server", Imports: restricted[roofPath+"/internal/server"],
			TestImports: []string{testifyPath + "/require", simnetPath, leakPath},
		}, 0},
		{"the server imports the client, and pillars of its", listed{
			ImportPath: roofPath + "/internal/server",
			Imports:    append([]string{roofPath, roofPath + "/internal/transport", backoffPath}, pillars...),
		}, 6},
		{"a fourth dependency", listed{ImportPath: roofPath, Imports: []string{"github.com/x/y"}}, 1},
		{"a room outside the house", listed{ImportPath: module + "/util", Imports: []string{"io"}}, 1},
		{"a name that only begins alike", listed{ImportPath: roofPath, Imports: []string{module + "/codec2"}}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Len(t, strayImports([]listed{c.pkg}), c.want)
		})
	}
	require.Len(t, missingImports(nil), 5+len(restricted))
}

// strayImports returns every import that the house does not allow.
func strayImports(pkgs []listed) []string {
	var stray []string
	for _, p := range pkgs {
		room, code, tests := allowed(p.ImportPath)
		if room == "" {
			stray = append(stray, p.ImportPath+" belongs to no part of the module")
			continue
		}
		for _, path := range p.Imports {
			if !isStandard(path) && !under(path, code...) || under(path, simnetPath, leakPath, chaosPath, dnstestPath, instantPath, pagePath) && p.ImportPath != speedPath {
				stray = append(stray, fmt.Sprintf("%s imports %s", p.ImportPath, path))
			}
		}
		for _, path := range append(p.TestImports, p.XTestImports...) {
			if !isStandard(path) && !under(path, tests...) {
				stray = append(stray, fmt.Sprintf("a test of %s imports %s", p.ImportPath, path))
			}
		}
	}
	return stray
}

// allowed returns what the code and the tests of a package may import beside
// the standard library, by the room that the package is in.
func allowed(path string) (room string, code, tests []string) {
	for _, room := range pillars {
		if under(path, room) {
			return room, []string{room}, []string{room, testifyPath}
		}
	}
	house := append([]string{roofPath}, pillars...)
	switch examples := module + "/examples"; {
	case under(path, roofPath):
		code = append(house, backoffPath, xsyncPath)
		tests = append(code, testifyPath)
		if imports, ok := restricted[path]; ok {
			return path, imports, tests
		}
		return roofPath, code, tests
	case under(path, examples):
		code = append(house, examples)
		return examples, code, append(code, testifyPath)
	}
	return "", nil, nil
}

// missingImports returns the arrows of the architecture that no package draws: without
// them the other checks would hold of an empty module.
func missingImports(pkgs []listed) []string {
	drawn := make(map[string]bool)
	for _, p := range pkgs {
		for _, path := range p.Imports {
			for _, to := range append([]string{roofPath}, pillars...) {
				if under(path, to) && (to != roofPath && p.ImportPath == roofPath || to == roofPath && under(p.ImportPath, module+"/examples")) {
					drawn[to] = true
				}
			}
		}
	}
	var missing []string
	for _, to := range append([]string{roofPath}, pillars...) {
		if !drawn[to] {
			missing = append(missing, "nobody above imports "+to)
		}
	}
	for path := range restricted {
		if !slices.ContainsFunc(pkgs, func(p listed) bool { return p.ImportPath == path }) {
			missing = append(missing, "there is no package "+path)
		}
	}
	return missing
}

// under reports whether path is one of roots or below it.
func under(path string, roots ...string) bool {
	for _, root := range roots {
		if path == root || strings.HasPrefix(path, root+"/") {
			return true
		}
	}
	return false
}

// isStandard goes by the first element: a module's has a dot in it, save ours.
func isStandard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return first != module && !strings.Contains(first, ".")
}

// list returns every package of the module as it is built for goos.
func list(t *testing.T, goos string) []listed {
	t.Helper()
	out := goCommand(t, goos, "list", "-json=ImportPath,Imports,TestImports,XTestImports", module+"/...")
	var pkgs []listed
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		err := dec.Decode(&p)
		if err == io.EOF {
			return pkgs
		}
		require.NoError(t, err)
		pkgs = append(pkgs, p)
	}
}

// goCommand runs the go command for goos, or this system, and returns its
// standard output.
func goCommand(t *testing.T, goos string, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Env = append(os.Environ(), "GOOS="+goos, "CGO_ENABLED=0", "GOWORK=off")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, "go %s: %s", strings.Join(args, " "), stderr.String())
	return out
}
