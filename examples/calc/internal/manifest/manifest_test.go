package manifest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const path = "../../kubernetes.yaml"

func TestManifest(t *testing.T) {
	require.NoError(t, Lint(path, t.TempDir()))
}

// Mistakes that Kubernetes would not forgive, nor some that it would.
func TestMistakesAreFound(t *testing.T) {
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	for _, c := range []struct{ name, old, mistaken, want string }{
		{"a field that does not exist", "clusterIP: None", "clusterIp: None", "clusterIp"},
		{"a value of the wrong type", "replicas: 3", "replicas: three", "/spec/replicas"},
		{"a field that is missing", "matchLabels: {app: calc}", "", "/spec/selector"},
		{"a kind that does not exist", "kind: Deployment", "kind: Deploiment", "Deploiment"},
		{"a field deep down", "sleep: {seconds: 35}", "sleep: {secs: 35}", "secs"},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Contains(t, string(text), c.old)
			file := filepath.Join(t.TempDir(), "mistaken.yaml")
			mistaken := strings.Replace(string(text), c.old, c.mistaken, 1)
			require.NoError(t, os.WriteFile(file, []byte(mistaken), 0o600))
			require.ErrorContains(t, Lint(file, t.TempDir()), c.want)
		})
	}
}
