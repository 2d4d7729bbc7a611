package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestExecutionsAreCountedOverAllJournals(t *testing.T) {
	dir := t.TempDir()
	a, b, never := filepath.Join(dir, "a"), filepath.Join(dir, "b"), filepath.Join(dir, "never written")
	write := func(path string, ids ...string) {
		j, err := openJournal(path)
		require.NoError(t, err)
		for _, id := range ids {
			require.NoError(t, j.append(id))
		}
		require.NoError(t, j.close())
	}
	begin := time.Now()
	write(a, "x", "y", "x")
	write(b, "y", "z")
	write(a, "x") // a replica that came back appends

	runs, err := executions(a, b, never)
	require.NoError(t, err)
	require.Len(t, runs, 3)
	for id, n := range map[string]int{"x": 3, "y": 2, "z": 1} {
		require.Len(t, runs[id], n, id)
		for _, at := range runs[id] {
			require.WithinRange(t, at, begin, time.Now())
		}
	}

	_, err = executions(dir)
	require.Error(t, err, "a directory is no journal")
}

func TestJournalLinesStayWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j")
	j, err := openJournal(path)
	require.NoError(t, err)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for n := range 50 {
				if err := j.append(fmt.Sprintf("%s/%d/%d", strings.Repeat("x", 100), w, n)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	require.NoError(t, j.close())
	runs, err := executions(path)
	require.NoError(t, err)
	require.Len(t, runs, 400)
	for id, at := range runs {
		require.Len(t, at, 1, id)
	}
}

func TestIDsThatWouldForgeTheJournalAreRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j")
	j, err := openJournal(path)
	require.NoError(t, err)
	for _, id := range []string{"", "a\nb", "a\r"} {
		var r Receipt
		require.Error(t, (&Calc{journal: j}).Deposit(DepositArgs{ID: id}, &r), "%q", id)
	}
	require.NoError(t, j.close())
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Zero(t, info.Size())
}

func TestNoJournalKeepsNothing(t *testing.T) {
	var j *journal
	require.NoError(t, j.append("x"))
	require.NoError(t, j.close())
}
