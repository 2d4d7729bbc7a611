package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// used are the modules beside the root's that snippets may import from.
var used = []string{"rpcx/etcd", "rpcx/otelrpcx", "rpcx/promrpcx", "breaker/internal/peers"}

// importPaths has the packages that a snippet may use without importing them, by name.
var importPaths = func() map[string]string {
	byName := map[string]string{
		"backoff": "github.com/cenkalti/backoff/v4", "clientv3": "go.etcd.io/etcd/client/v3",
		"prometheus": "github.com/prometheus/client_golang/prometheus",
	}
	for _, path := range strings.Fields(`context crypto/tls crypto/x509 errors fmt io log log/slog net net/http net/rpc os os/signal
		sync syscall time resilientrpc/balancer resilientrpc/breaker resilientrpc/codec resilientrpc/codec/jsonhttp
		resilientrpc/detector resilientrpc/rpcx resilientrpc/rpcx/etcd resilientrpc/rpcx/jsonrpc
		resilientrpc/rpcx/otelrpcx resilientrpc/rpcx/promrpcx resilientrpc/rpcx/resolver`) {
		byName[path[strings.LastIndexByte(path, '/')+1:]] = path
	}
	return byName
}()

// compile has the Go and the diff blocks of the documents checked by go vet, each as a
// package, in a workspace that has the modules of the clone. It returns their number.
func compile(root, dir string, docs []*document) (n int, err error) {
	for _, d := range docs {
		for _, b := range d.blocks {
			for _, text := range versions(b) {
				n++
				source, err := wrap(b, text)
				if err != nil {
					return n, err
				}
				if err := write(filepath.Join(dir, fmt.Sprintf("snippet%03d", n), "snippet.go"), source); err != nil {
					return n, err
				}
			}
		}
	}
	if err := write(filepath.Join(dir, "go.mod"), "module snippets\n\ngo 1.25.0\n"); err != nil {
		return n, err
	}
	modules := []string{"work", "init", ".", root}
	for _, m := range used {
		modules = append(modules, filepath.Join(root, m))
	}
	if err := goCommand(dir, modules...); err != nil {
		return n, err
	}
	return n, goCommand(dir, "vet", "-unreachable=false", "./...") // what follows a snippet's return is
}

var folder = regexp.MustCompile(`snippet\d+/`)

func goCommand(dir string, args ...string) error {
	cmd := exec.Command("go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil { // a position is relative to the snippet's folder
		return fmt.Errorf("go %s: %w\n%s", args[0], err, folder.ReplaceAll(out, nil))
	}
	return nil
}

func write(name, content string) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	return os.WriteFile(name, []byte(content), 0o600)
}

// versions are the Go code of a block: its text, or of a diff what there was and what
// there is, with the lines where they stand in the document.
func versions(b *block) []string {
	switch b.language {
	case "go":
		return []string{b.text()}
	case "diff":
		var before, after strings.Builder
		for _, text := range b.lines {
			mark, rest := " ", ""
			if text != "" {
				mark, rest = text[:1], text[1:]
			}
			for _, side := range []struct {
				to   *strings.Builder
				lack string
			}{{&before, "+"}, {&after, "-"}} {
				if mark != side.lack {
					side.to.WriteString(rest)
				}
				side.to.WriteByte('\n')
			}
		}
		return []string{before.String(), after.String()}
	}
	return nil
}

var (
	isProgram  = regexp.MustCompile(`(?m)^package `)
	importDecl = regexp.MustCompile(`(?s)^\s*import (\([^)]*\)|"[^"\n]*")\n`)
)

// wrap makes a Go file of a block's code, whose errors name the lines of the document.
func wrap(b *block, text string) (string, error) {
	position := fmt.Sprintf("//line %s:%d\n", b.document, b.line)
	if isProgram.MatchString(text) {
		return position + text, nil
	}
	imports := importDecl.FindString(text)
	text = strings.Repeat("\n", strings.Count(imports, "\n")) + text[len(imports):]
	prelude := strings.TrimPrefix(b.comment, " ")
	preludeImports := importDecl.FindString(prelude)
	prelude = prelude[len(preludeImports):]

	code := prelude + "\n" + position + text
	if _, err := parseGo(code); err != nil { // no declarations: statements
		body := "package snippet\nfunc _() error {\n" + position + text + "\n"
		file, err := parser.ParseFile(token.NewFileSet(), "", body+"}\n", parser.SkipObjectResolution)
		if err != nil {
			return "", fmt.Errorf("%s:%d: %w", b.document, b.line, err)
		}
		code = prelude + "\n" + strings.TrimPrefix(body, "package snippet\n") + "\treturn nil\n}\n"
		if names := declared(file); len(names) > 0 {
			code = strings.TrimSuffix(code, "\treturn nil\n}\n") +
				"\t" + strings.Repeat("_, ", len(names)-1) + "_ = " + strings.Join(names, ", ") + "\n\treturn nil\n}\n"
		}
	}
	file, err := parseGo(code)
	if err != nil {
		return "", fmt.Errorf("%s:%d: %w", b.document, b.line, err)
	}
	written := imports + preludeImports
	for _, name := range missing(file, written) {
		written += fmt.Sprintf("import %q\n", importPaths[name])
	}
	return "package snippet\n" + written + code, nil
}

func parseGo(code string) (*ast.File, error) {
	return parser.ParseFile(token.NewFileSet(), "", "package snippet\n"+code, 0)
}

// declared has the variables of the statements in the file's only function, since one that
// is not used does not compile.
func declared(file *ast.File) (names []string) {
	add := func(n ast.Expr) {
		if id, ok := n.(*ast.Ident); ok && id.Name != "_" && !slices.Contains(names, id.Name) {
			names = append(names, id.Name)
		}
	}
	for _, s := range file.Decls[0].(*ast.FuncDecl).Body.List {
		switch s := s.(type) {
		case *ast.AssignStmt:
			if s.Tok == token.DEFINE {
				for _, n := range s.Lhs {
					add(n)
				}
			}
		case *ast.DeclStmt:
			for _, spec := range s.Decl.(*ast.GenDecl).Specs {
				if v, ok := spec.(*ast.ValueSpec); ok {
					for _, n := range v.Names {
						add(n)
					}
				}
			}
		}
	}
	return names
}

// missing has the names of packages that a file uses and does not import.
func missing(file *ast.File, imports string) (names []string) {
	has, _ := parser.ParseFile(token.NewFileSet(), "", "package snippet\n"+imports, parser.ImportsOnly) // go vet tells of errors
	imported := make(map[string]bool)
	for _, spec := range has.Imports {
		path := strings.Trim(spec.Path.Value, `"`)
		imported[path[strings.LastIndexByte(path, '/')+1:]] = true
		if spec.Name != nil {
			imported[spec.Name.Name] = true
		}
	}
	for _, id := range file.Unresolved {
		if importPaths[id.Name] != "" && !imported[id.Name] {
			imported[id.Name] = true
			names = append(names, id.Name)
		}
	}
	return names
}
