package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// parsed is a document in which three quotation marks stand for a fence.
func parsed(t *testing.T, content string) *document {
	t.Helper()
	d, err := parse("docs/x.md", strings.ReplaceAll(content, `"""`, "```"))
	require.NoError(t, err)
	return d
}

func root(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("../../..")
	require.NoError(t, err)
	return root
}

func TestParse(t *testing.T) {
	d := parsed(t, `# Title
<!-- go: type Args struct{ A int }
var args Args
-->
"""go
err := f(args)
"""
<!-- not shown -->
text
"""
a
b
"""
`)
	require.Len(t, d.blocks, 2)
	require.Equal(t, &block{
		document: "docs/x.md", language: "go", lines: []string{"err := f(args)"}, line: 6,
		comment: " type Args struct{ A int }\nvar args Args\n",
	}, d.blocks[0])
	require.Equal(t, &block{document: "docs/x.md", lines: []string{"a", "b"}, line: 11}, d.blocks[1])
	require.Equal(t, []line{{"# Title", 1}, {"<!-- not shown -->", 8}, {"text", 9}, {"", 14}}, d.prose)

	_, err := parse("x.md", "```go\nno end\n")
	require.Error(t, err)
	_, err = parse("x.md", "<!-- go: var x int -->\n```sh\necho\n```\n")
	require.ErrorContains(t, err, `x.md:2: the comment before the block is not for "sh"`)
	_, err = parse("x.md", "<!-- sh: skipped: it takes an hour -->\n\ntext\n")
	require.ErrorContains(t, err, "x.md:3: there is no block after the comment")
}

// What is right compiles: a program, declarations, statements with a comment's
// declarations, a call of a package that is not imported, and both sides of a diff.
func TestRightSnippets(t *testing.T) {
	d := parsed(t, `
"""go
package main

func main() {}
"""
"""go
type Arith struct{}

func (Arith) Wait(ctx context.Context) error { return ctx.Err() }
"""
<!-- go: var client *rpcx.Client -->
"""go
stats := client.Stats()
if len(stats.Endpoints) == 0 {
	return errors.New("none")
}
"""
"""diff
 import (
-	"net/rpc"
+	rpc "resilientrpc/rpcx"
 )

 client, err := rpc.Dial("tcp", "calc:7001")
+stats := client.Stats()
"""
`)
	n, err := compile(root(t), t.TempDir(), []*document{d})
	require.NoError(t, err)
	require.Equal(t, 5, n)
}

func TestWrongSnippets(t *testing.T) {
	for text, want := range map[string]string{
		"\n\"\"\"go\nclient, err := rpcx.Dial(\"tcp\")\n\"\"\"\n":                        "vet: docs/x.md:3:",
		"\"\"\"go\nd := rpcx.Dialer{\n\tHeartBeat: 1,\n}\n\"\"\"\n":                      "docs/x.md:3:",
		"\"\"\"go\nd := rpcx.Dialer{\n\"\"\"\n":                                          "docs/x.md:2: ",
		"\"\"\"go\npackage main\n\nfunc main() { undefined() }\n\"\"\"\n":                "docs/x.md:4:",
		"\"\"\"go\nfmt.Printf(\"%d\", \"text\")\n\"\"\"\n":                               "docs/x.md:2:",
		"\"\"\"diff\n-n := noSuchFunction()\n+n := 1\n\"\"\"\n":                          "docs/x.md:2:",
		"\"\"\"diff\n-n := 1\n+n := noSuchFunction()\n\"\"\"\n":                          "docs/x.md:3:",
		"<!-- go: var client *rpcx.Clint -->\n\"\"\"go\nreturn client.Close()\n\"\"\"\n": "undefined: rpcx.Clint",
	} {
		d := parsed(t, text)
		_, err := compile(root(t), t.TempDir(), []*document{d})
		require.ErrorContains(t, err, want, text)
	}
}

func TestLongLines(t *testing.T) {
	d := parsed(t, "\"\"\"sh\n"+strings.Repeat("ä", columns)+"\n"+strings.Repeat("x", columns+1)+"\n\"\"\"\n")
	wrong := d.longLines()
	require.Len(t, wrong, 1)
	require.ErrorContains(t, wrong[0], "docs/x.md:3: 121 columns")
}

func TestDeadLinks(t *testing.T) {
	d := parsed(t, `
## What your go.mod gets
[here](#what-your-gomod-gets) [there](../README.md#install) [file](../go.mod) [elsewhere](https://go.dev/#x)
[no heading](#what) [no file](none.md) [no file](none.md#x) [no heading there](../README.md#nowhere)
`)
	wrong := d.deadLinks(root(t))
	require.Len(t, wrong, 4)
	for _, err := range wrong {
		require.ErrorContains(t, err, "docs/x.md:4: ")
	}
}

func TestCommands(t *testing.T) {
	if _, err := exec.LookPath("bash"); err != nil && os.Getenv("CI") == "" { // the gate needs it
		t.Skip("bash is not installed")
	}
	d := parsed(t, `
"""sh
test -f main.go
x=1
"""
<!-- sh: skipped: it takes an hour -->
"""sh
false
"""
"""go
package main
"""
"""sh
test $x = 1      # one shell
test -f /path/to/clone/go.mod
test 7001 != '70'01   # free ports take the place of the three that documents have
sleep 1000 &     # does not outlive the shell
"""
`)
	require.NoError(t, runCommands(root(t), t.TempDir(), d))
	d = parsed(t, "\"\"\"sh\nfalse\ntrue\n\"\"\"\n")
	require.ErrorContains(t, runCommands(root(t), t.TempDir(), d), "docs/x.md")
}
