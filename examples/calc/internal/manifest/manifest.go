// Package manifest lints the calculator's manifest of Kubernetes with kubeconform,
// against schemas that a module of Kubernetes's has in it, so that none is downloaded
// when the test runs. It is a module of its own for what that needs.
package manifest

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/yannh/kubeconform/pkg/validator"
	_ "k8s.io/kubectl/pkg/util/slice" // the module has Kubernetes's schemas in it
)

// Lint returns what is wrong with the manifests in a file: unknown and missing
// fields, and values of the wrong type. It writes schemas to the directory scratch.
func Lint(path, scratch string) error {
	if err := writeSchemas(scratch); err != nil {
		return err
	}
	location := filepath.Join(scratch, "{{ .ResourceKind }}{{ .KindSuffix }}.json")
	v, err := validator.New([]string{location}, validator.Opts{Strict: true})
	if err != nil {
		return err
	}
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	results := v.Validate(path, file) // closes file
	if len(results) == 0 {
		return errors.New("no manifest in " + path)
	}
	var errs []error
	for _, r := range results {
		if r.Status != validator.Valid {
			errs = append(errs, r.Err)
		}
	}
	return errors.Join(errs...)
}

// A schema is JSON that is only looked into where that is needed.
type schema = map[string]any

// apis are the parts of Kubernetes's OpenAPI document that the manifest uses.
var apis = []string{"api/v1.json", "apis/apps/v1.json"}

// writeSchemas makes of Kubernetes's OpenAPI document what kubeconform wants: a file
// for each kind, in which fields that are not declared are errors.
func writeSchemas(dir string) error {
	for i, api := range apis {
		var doc struct {
			Components struct {
				Schemas map[string]schema `json:"schemas"`
			} `json:"components"`
		}
		if err := readOpenAPI(api, &doc); err != nil {
			return err
		}
		for _, s := range doc.Components.Schemas {
			tighten(s)
		}
		name := fmt.Sprintf("api%d.json", i)
		if err := write(dir, name, doc); err != nil {
			return err
		}
		for id, s := range doc.Components.Schemas {
			if file := fileOf(s); file != "" {
				if err := write(dir, file, schema{"$ref": name + "#/components/schemas/" + id}); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// tighten forbids fields that are not declared. It also mends enumerations that name a
// value twice, as some of Kubernetes's do, which JSON Schema does not allow.
func tighten(s schema) {
	properties, ok := s["properties"].(schema)
	if !ok {
		return
	}
	s["additionalProperties"] = false
	for _, property := range properties {
		property := property.(schema)
		if values, ok := property["enum"].([]any); ok {
			slices.SortFunc(values, func(a, b any) int { return strings.Compare(a.(string), b.(string)) })
			property["enum"] = slices.Compact(values)
		}
	}
}

// fileOf returns the name that kubeconform gives to the file of a kind, such as
// deployment-apps-v1.json, or none if the schema is not that of one kind.
func fileOf(s schema) string {
	kinds, _ := s["x-kubernetes-group-version-kind"].([]any)
	if len(kinds) != 1 {
		return ""
	}
	kind := kinds[0].(schema)
	group, _, _ := strings.Cut(kind["group"].(string), ".")
	version := strings.TrimPrefix(group+"-"+kind["version"].(string), "-")
	return strings.ToLower(kind["kind"].(string) + "-" + version + ".json")
}

// readOpenAPI reads a part of the document that kubectl's tests come with.
func readOpenAPI(api string, doc any) error {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "k8s.io/kubectl").Output()
	if err != nil {
		return fmt.Errorf("go list: %w", err)
	}
	text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(out)), "testdata", "openapi", "v3", api))
	if err != nil {
		return err
	}
	return json.Unmarshal(text, doc)
}

func write(dir, name string, value any) error {
	b, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, name), b, 0o600)
}
