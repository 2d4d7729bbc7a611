package promrpcx_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx"
	"resilientrpc/rpcx/promrpcx"
)

// A dashboard is what the tests read of dashboard.json.
type dashboard struct {
	Title       string
	Panels      []panel
	Annotations struct{ List []struct{ Expr string } }
	Templating  struct{ List []struct{ Name string } }
}

type panel struct {
	ID      int
	Type    string
	Title   string
	GridPos struct{ X, Y, W, H int }
	Targets []struct{ RefID, Expr string }
}

func readDashboard(t *testing.T) dashboard {
	t.Helper()
	file, err := os.ReadFile("dashboard.json")
	require.NoError(t, err)
	var d dashboard
	require.NoError(t, json.Unmarshal(file, &d))
	require.NotEmpty(t, d.Panels)
	return d
}

// queries returns every expression, with Grafana's variables filled in.
func (d dashboard) queries() []string {
	fill := strings.NewReplacer("$__rate_interval", "1m", "$job", ".*", "$instance", ".*")
	var out []string
	for _, a := range d.Annotations.List {
		out = append(out, fill.Replace(a.Expr))
	}
	for _, p := range d.Panels {
		for _, t := range p.Targets {
			out = append(out, fill.Replace(t.Expr))
		}
	}
	return out
}

// known are the names that the collector describes.
func known() []string {
	descs := make(chan *prometheus.Desc, 100)
	promrpcx.New().Describe(descs)
	promrpcx.NewServer(new(rpcx.ServeStats)).Describe(descs)
	close(descs)
	var names []string
	for d := range descs {
		names = append(names, regexp.MustCompile(`fqName: "([^"]*)"`).FindStringSubmatch(d.String())[1])
	}
	return names
}

// unknown returns the names in a text that are no metric's, nor a histogram's parts.
func unknown(text string) []string {
	names, found := known(), []string{}
	for _, name := range regexp.MustCompile(`rpcx_(client|endpoint|server)_[a-z_]+`).FindAllString(text, -1) {
		base := name
		for _, part := range []string{"_bucket", "_sum", "_count"} {
			base = strings.TrimSuffix(base, part)
		}
		if !slices.Contains(names, name) && !slices.Contains(names, base) {
			found = append(found, name)
		}
	}
	return found
}

// Every metric is on the dashboard, and nothing that is none.
func TestDashboardAndRulesNameWhatThereIs(t *testing.T) {
	require.Equal(t, []string{"rpcx_endpoint_upp"}, unknown("rpcx_endpoint_upp + rpcx_endpoint_up"), "the check itself")
	var all strings.Builder
	for _, file := range []string{"dashboard.json", "alerts.yml", "alerts_test.yml"} {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Contains(t, string(text), "rpcx_endpoint_up")
		require.Empty(t, unknown(string(text)), file)
		if file == "dashboard.json" {
			all.Write(text)
		}
	}
	for _, name := range known() {
		require.True(t, strings.Contains(all.String(), name), "no panel shows %s", name)
	}
}

// Panels have a place and a number of their own.
func TestDashboardIsTidy(t *testing.T) {
	ids, taken := make(map[int]bool), make(map[[2]int]string)
	for _, p := range readDashboard(t).Panels {
		require.NotEmpty(t, p.Title)
		require.False(t, ids[p.ID], "panel %d is there twice", p.ID)
		ids[p.ID] = true
		require.LessOrEqual(t, p.GridPos.X+p.GridPos.W, 24, p.Title)
		for x := range p.GridPos.W {
			for y := range p.GridPos.H {
				at := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
				require.Empty(t, taken[at], "%s lies upon another", p.Title)
				taken[at] = p.Title
			}
		}
		require.Equal(t, p.Type == "row", len(p.Targets) == 0, p.Title)
	}
}

func TestRules(t *testing.T) {
	promtool := tool(t, "promtool")
	for _, args := range [][]string{{"check", "rules", "alerts.yml"}, {"test", "rules", "alerts_test.yml"}} {
		out, err := exec.Command(promtool, args...).CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
}

// promtool knows no dashboards, but expressions.
func TestDashboardQueriesAreValid(t *testing.T) {
	promtool := tool(t, "promtool")
	var rules strings.Builder
	rules.WriteString("groups:\n  - name: dashboard\n    rules:\n")
	for i, q := range readDashboard(t).queries() {
		fmt.Fprintf(&rules, "      - record: q:%d\n        expr: %q\n", i, q)
	}
	file := filepath.Join(t.TempDir(), "rules.yml")
	require.NoError(t, os.WriteFile(file, []byte(rules.String()), 0o600))
	out, err := exec.Command(promtool, "check", "rules", file).CombinedOutput()
	require.NoError(t, err, "%s", out)
}
