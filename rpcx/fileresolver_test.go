package rpcx

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// A replicas is a file of endpoints that is watched in virtual time.
type replicas struct {
	*watched
	t    *testing.T
	path string
}

func inFile(t *testing.T, f func(*testing.T, *replicas)) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "replicas")
	synctest.Test(t, func(t *testing.T) {
		r := &replicas{t: t, path: path}
		f(t, r)
	})
}

func (r *replicas) write(text string) {
	r.t.Helper()
	require.NoError(r.t, os.WriteFile(r.path, []byte(text), 0o600))
}

func (r *replicas) watch() {
	r.t.Helper()
	slash := ""
	if runtime.GOOS == "windows" {
		slash = "/"
	}
	resolver, err := resolverFor("tcp", "file://"+slash+filepath.ToSlash(r.path))
	require.NoError(r.t, err)
	r.watched = watch(r.t, resolver)
}

// soon is longer than a change takes to be seen.
const soon = fileInterval + 3*fileSettle

func TestFile(t *testing.T) {
	inFile(t, func(t *testing.T, r *replicas) {
		r.write("# the replicas of calc\n\n\tb:1 weight=2# no comment\n")
		r.watch()
		require.ErrorContains(t, failure(t, r.within(soon)), `line 3: weight=2#; want a number`)
		r.write("# the replicas of calc\r\n\r\n\tb:1 priority=3 weight=2 # strong\r\n[::1]:1#")
		require.ErrorContains(t, failure(t, r.within(soon)), `line 4: the address "[::1]:1#"`)
		r.write("# the replicas of calc\r\n\r\n\tb:1 priority=3 weight=2 # strong\r\n[::1]:1")
		ds := r.within(soon)
		require.Len(t, ds, 1)
		require.Equal(t, []Endpoint{{Address: "[::1]:1"}, {Address: "b:1", Weight: 2, Priority: 3}}, ds[0].set)

		r.write("[::1]:1\nb:1 weight=2 priority=3")
		require.Empty(t, r.within(soon), "the same, said differently")
		r.write("# none\n")
		require.Empty(t, addresses(t, r.within(soon)))
		require.ErrorIs(t, r.stop(), context.Canceled)
	})
}

func TestFileThatIsWrittenInPlace(t *testing.T) {
	inFile(t, func(t *testing.T, r *replicas) {
		r.watch()
		require.ErrorIs(t, failure(t, r.within(soon)), os.ErrNotExist)
		whole := "a:1234\nb:1234\nc:1234\n"
		for written := range whole { // the halves make sense too
			r.write(whole[:written])
			require.Empty(t, r.within(fileSettle-time.Millisecond))
		}
		r.write(whole)
		require.Equal(t, []string{"a:1234", "b:1234", "c:1234"}, addresses(t, r.within(soon)))
		r.write("")
		require.Empty(t, r.within(fileSettle-time.Millisecond))
		r.write("a:1234\n")
		require.Equal(t, []string{"a:1234"}, addresses(t, r.within(soon)))
		require.ErrorIs(t, r.stop(), context.Canceled)
	})
}

// Size and time of the new file are those of the old one.
func TestFileThatIsReplaced(t *testing.T) {
	inFile(t, func(t *testing.T, r *replicas) {
		r.write("a:1\n")
		r.watch()
		require.Equal(t, []string{"a:1"}, addresses(t, r.within(soon)))
		info, err := os.Stat(r.path)
		require.NoError(t, err)
		next := r.path + ".new"
		require.NoError(t, os.WriteFile(next, []byte("b:1\n"), 0o600))
		require.NoError(t, os.Chtimes(next, info.ModTime(), info.ModTime()))
		require.NoError(t, os.Rename(next, r.path))
		require.Equal(t, []string{"b:1"}, addresses(t, r.within(soon)))

		require.NoError(t, os.Remove(r.path))
		require.ErrorIs(t, failure(t, r.within(soon)), os.ErrNotExist)
		require.Empty(t, r.within(time.Hour))
		r.write("b:1\n")
		require.Equal(t, []string{"b:1"}, addresses(t, r.within(soon)), "the failure is over")

		require.NoError(t, os.Remove(r.path))
		require.NoError(t, os.Mkdir(r.path, 0o700))
		require.ErrorContains(t, failure(t, r.within(soon)), "not a regular file")
		require.ErrorIs(t, r.stop(), context.Canceled)
	})
}

// Kubernetes mounts a ConfigMap as links to a directory that it replaces.
func TestFileOfAConfigMap(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("links need a privilege")
	}
	inFile(t, func(t *testing.T, r *replicas) {
		dir := filepath.Dir(r.path)
		publish := func(version, text string) {
			require.NoError(t, os.Mkdir(filepath.Join(dir, version), 0o700))
			require.NoError(t, os.WriteFile(filepath.Join(dir, version, "replicas"), []byte(text), 0o600))
			require.NoError(t, os.Symlink(version, filepath.Join(dir, "..tmp")))
			require.NoError(t, os.Rename(filepath.Join(dir, "..tmp"), filepath.Join(dir, "..data")))
		}
		publish("..1", "a:1\n")
		require.NoError(t, os.Symlink(filepath.Join("..data", "replicas"), r.path))
		r.watch()
		require.Equal(t, []string{"a:1"}, addresses(t, r.within(soon)))
		publish("..2", "b:1\n")
		require.Equal(t, []string{"b:1"}, addresses(t, r.within(soon)))
		require.ErrorIs(t, r.stop(), context.Canceled)
	})
}

func TestFileErrorsNameTheLine(t *testing.T) {
	for _, c := range []struct{ network, text, want string }{
		{"tcp", "a", `line 1: the address "a" is not of the form host:port`},
		{"tcp", "a:1\na:", `line 2: the address "a:" is not of the form host:port`},
		{"tcp", "a:1,b:1", `line 1: the address "a:1,b:1" is not of the form host:port`},
		{"tcp", "a:1 2", `line 1: "2" is unknown; after the address there may be weight=N, priority=N and a # comment`},
		{"tcp", "a:1 wieght=2", `line 1: "wieght=2" is unknown`},
		{"tcp", "a:1 weight=0", `line 1: weight=0; want a number from 1 to 1000000`},
		{"tcp", "a:1 weight=1000001", `line 1: weight=1000001; want a number from 1 to 1000000`},
		{"tcp", "a:1 weight", `line 1: weight=; want a number`},
		{"tcp", "a:1 priority=-1", `line 1: priority=-1; want a number from 0 to 1000000`},
		{"tcp", "a:1 weight=1 weight=2", `line 1: weight is set twice`},
		{"tcp", "a:1\n#\n a:1", `line 3: the address "a:1" is on line 1 too`},
		{"unix", "/run/a\n/run/b x", `line 2: "x" is unknown`},
	} {
		f := fileResolver{network: c.network}
		_, err := f.parse(c.text)
		require.ErrorContains(t, err, c.want)
	}
}

// The dumb alternative: what is understood comes back when it is written out.
func FuzzFile(f *testing.F) {
	f.Add("a:1\nb:2 weight=3 priority=4 # five\n\n#\n")
	f.Add("[::1]:1\r\na:1 #b\n")
	f.Fuzz(func(t *testing.T, text string) {
		r := fileResolver{network: "tcp"}
		set, err := r.parse(text)
		if err != nil {
			require.ErrorContains(t, err, "line ")
			return
		}
		var b strings.Builder
		for _, e := range set {
			b.WriteString(e.Address)
			if e.Weight != 0 {
				b.WriteString(" weight=" + strconv.Itoa(e.Weight))
			}
			b.WriteString(" priority=" + strconv.Itoa(e.Priority) + "\n")
		}
		again, err := r.parse(b.String())
		require.NoError(t, err)
		require.Equal(t, set, again)
	})
}
