package resolver

import (
	"context"
	"errors"
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

// A replicas file lists endpoints. It is watched in virtual time.
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
	r.watched = watch(r.t, File("tcp", r.path))
}

// soon is the longest time from a change to its delivery.
const soon = fileInterval + 3*fileStable

func TestFile(t *testing.T) {
	inFile(t, func(t *testing.T, r *replicas) {
		r.write("a:1\n")
		r.watch()
		require.Equal(t, []string{"a:1"}, addresses(t, r.within(soon)))
		r.write("# the replicas of calc\n\n\tb:1 weight=2# no comment\n")
		require.ErrorContains(t, failure(t, r.within(soon)), `line 3: weight=2#; want a number`)
		r.write("# the replicas of calc\r\n\r\n\tb:1 priority=3 weight=2 # strong\r\n[::1]:1#\r\n")
		require.ErrorContains(t, failure(t, r.within(soon)), `line 4: the address "[::1]:1#"`)
		r.write("# the replicas of calc\r\n\r\n\tb:1 priority=3 weight=2 # strong\r\n[::1]:1 \t\r\n")
		ds := r.within(soon)
		require.Len(t, ds, 1)
		require.Equal(t, []Endpoint{{Address: "[::1]:1"}, {Address: "b:1", Weight: 2, Priority: 3}}, ds[0].set)

		r.write("[::1]:1\nb:1 weight=2 priority=3\n")
		require.Empty(t, r.within(soon), "the same set in another form")
		r.write("# none\n")
		require.Empty(t, addresses(t, r.within(soon)))
		require.ErrorIs(t, r.stop(), context.Canceled)
	})
}

func TestFileThatIsWrittenInPlace(t *testing.T) {
	inFile(t, func(t *testing.T, r *replicas) {
		r.write("old:1\n")
		r.watch()
		require.Equal(t, []string{"old:1"}, addresses(t, r.within(soon)))
		whole := "a:1234\nb:1234\nc:1234\n"
		for written := range whole { // incomplete content is valid, too
			r.write(whole[:written])
			require.Empty(t, r.within(fileStable-time.Millisecond))
		}
		r.write(whole)
		require.Equal(t, []string{"a:1234", "b:1234", "c:1234"}, addresses(t, r.within(soon)))
		r.write("")
		require.Empty(t, r.within(fileStable-time.Millisecond))
		r.write("a:1234\n")
		require.Equal(t, []string{"a:1234"}, addresses(t, r.within(soon)))
		require.ErrorIs(t, r.stop(), context.Canceled)
	})
}

// Half an address is valid, too: port 12 instead of 1234, in a file that was read while it
// was being written.
func TestFileThatIsCutWithinALine(t *testing.T) {
	for _, cut := range []string{"a:1234\nb:12", "a:1234\nb", "a:1234\nb:1234 wei", "a:12", "a:1234\nb:1234\r"} {
		inFile(t, func(t *testing.T, r *replicas) {
			r.write("old:1\n")
			r.watch()
			require.Equal(t, []string{"old:1"}, addresses(t, r.within(soon)))
			r.write(cut)
			require.Empty(t, r.within(fileUnfinished-time.Second), "%q", cut)
			r.write("a:1234\nb:1234\n")
			require.Equal(t, []string{"a:1234", "b:1234"}, addresses(t, r.within(soon)))
			require.ErrorIs(t, r.stop(), context.Canceled)
		})
		inFile(t, func(t *testing.T, r *replicas) {
			r.write(cut)
			r.watch()
			require.Empty(t, r.within(fileUnfinished-time.Second), "also at the first read: %q", cut)
			r.write("a:1234\nb:1234\n")
			require.Equal(t, []string{"a:1234", "b:1234"}, addresses(t, r.within(soon)))
			require.ErrorIs(t, r.stop(), context.Canceled)
		})
	}
}

// A last line without a newline is used after fileUnfinished.
func TestFileWithoutANewlineAtItsEnd(t *testing.T) {
	inFile(t, func(t *testing.T, r *replicas) {
		r.write("a:1\nb:1")
		r.watch()
		require.Empty(t, r.within(fileUnfinished-time.Millisecond))
		require.Equal(t, []string{"a:1", "b:1"}, addresses(t, r.within(soon)))
		r.write("a:1\nc:1")
		require.Empty(t, r.within(fileUnfinished-time.Millisecond))
		require.Equal(t, []string{"a:1", "c:1"}, addresses(t, r.within(soon)))
		require.ErrorIs(t, r.stop(), context.Canceled)
	})
	inFile(t, func(t *testing.T, r *replicas) {
		r.write("a:1\nb:1")
		old := time.Now().Add(-fileUnfinished)
		require.NoError(t, os.Chtimes(r.path, old, old))
		r.watch()
		require.Equal(t, []string{"a:1", "b:1"}, addresses(t, r.within(soon)), "it was not changed for long")
		require.ErrorIs(t, r.stop(), context.Canceled)
	})
}

// The byte order mark that editors on Windows write became a part of the first address, and
// that replica was not found.
func TestFileWithAByteOrderMark(t *testing.T) {
	inFile(t, func(t *testing.T, r *replicas) {
		r.write("\ufeffa:1\r\nb:1\r\n")
		r.watch()
		require.Equal(t, []string{"a:1", "b:1"}, addresses(t, r.within(soon)))
		r.write("\ufeff# calc\nc:1\n")
		require.Equal(t, []string{"c:1"}, addresses(t, r.within(soon)))
		r.write("c:1\n\ufeffd:1\n") // two files concatenated
		require.ErrorContains(t, failure(t, r.within(soon)), "line 2: the address \"\\ufeffd:1\" has a character that no host has")
		r.write("\xff\xfea\x00:\x001\x00\n\x00\n")
		require.ErrorContains(t, failure(t, r.within(soon)), "not UTF-8 text")
		r.write("a\x00:\x001\x00\n\x00\n")
		require.Empty(t, r.within(soon), "the same failure")
		require.ErrorIs(t, r.stop(), context.Canceled)
	})
}

// A file that cannot be valid ends Watch at once.
func TestFileThatCannotBeValid(t *testing.T) {
	for name, c := range map[string]struct {
		write func(path string) error
		want  string
	}{
		"missing":        {func(string) error { return nil }, "no such file"},
		"directory":      {func(path string) error { return os.Mkdir(path, 0o700) }, "not a regular file"},
		"forbidden":      {func(path string) error { return os.WriteFile(path, []byte("a:1\n"), 0) }, "permission denied"},
		"link to itself": {func(path string) error { return os.Symlink(path, path) }, "too many levels of symbolic links"},
		"empty":          {text(""), "it names no endpoint; write an address a line"},
		"comments only":  {text("# a:1\n\n"), "it names no endpoint"},
		"twice":          {text("a:1\nb:1\na:1\n"), `line 3: the address "a:1" is on line 1 too`},
		"no port":        {text("a:1\nb\n"), `line 2: the address "b" is not of the form host:port`},
		"port 99999":     {text("a:1\nb:99999\n"), `line 2: the address "b:99999" has the port "99999"; want a number from 1 to 65535`},
		"port 0":         {text("a:0\n"), `has the port "0"; want`},
		"port -1":        {text("a:-1\n"), `has the port "-1"; want`},
		"port name":      {text("a:calc-of-no-one\n"), `has the port "calc-of-no-one", which is no number`},
	} {
		t.Run(name, func(t *testing.T) {
			// Not in the bubble, whose skip would look like a pass.
			if windows := runtime.GOOS == "windows"; name == "forbidden" && (windows || os.Geteuid() == 0) || name == "link to itself" && windows {
				t.Skip("root reads every file, and on Windows it takes more to forbid it")
			}
			inFile(t, func(t *testing.T, r *replicas) {
				require.NoError(t, c.write(r.path))
				begin := time.Now()
				r.watch()
				err := <-r.end
				require.ErrorContains(t, err, c.want)
				require.ErrorContains(t, err, "resolve "+r.path)
				require.Less(t, time.Since(begin), time.Second)
				require.Empty(t, r.received())
			})
		})
	}
}

func text(s string) func(string) error {
	return func(path string) error { return os.WriteFile(path, []byte(s), 0o600) }
}

// The new file has the size and the time of the old one.
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
		require.Equal(t, []string{"b:1"}, addresses(t, r.within(soon)), "the failure has ended")

		require.NoError(t, os.Remove(r.path))
		require.NoError(t, os.Mkdir(r.path, 0o700))
		require.ErrorContains(t, failure(t, r.within(soon)), "not a regular file")
		require.ErrorIs(t, r.stop(), context.Canceled)
	})
}

// Kubernetes mounts a ConfigMap as symbolic links to a directory that it replaces.
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
		{"tcp", "a:80\nA.:http", `line 2: the address "A.:http" is on line 1 too`},
		{"unix", "/run/a\n/run/b x", `line 2: "x" is unknown`},
	} {
		f := fileResolver{network: c.network}
		_, err := f.parse(c.text)
		require.ErrorContains(t, err, c.want)
	}
}

// A set that has been parsed, written out and parsed again is the same.
func FuzzFile(f *testing.F) {
	f.Add("a:1\nb:2 weight=3 priority=4 # five\n\n#\n")
	f.Add("[::1]:1\r\na:1 #b\n")
	f.Fuzz(func(t *testing.T, text string) {
		r := fileResolver{network: "tcp"}
		set, err := r.parse(text)
		if err != nil {
			if !errors.Is(err, errNotUTF8) {
				require.ErrorContains(t, err, "line ")
			}
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
