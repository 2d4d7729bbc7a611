package jsonhttp

import (
	"encoding/json"
	"testing"
)

// FuzzReadReply: a reply found in any body is JSON with the request's id, and the codec can
// read it.
func FuzzReadReply(f *testing.F) {
	for _, s := range []string{
		"", "null", "[null]", "[]", "{}", `{"result":1}`, `{"Id":9,"RESULT":NaN}`, `[{"id":7,"error":{"code":1,"message":"x"}},{"id":8}]`,
		"\xEF\xBB\xBF" + `{"jsonrpc":2.0,"id":7,"result":[],"error":false}`, `{"error":5}`, `{"id":7,"result":1,"id":8}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := readReply(json.RawMessage("7"), body)
		if r.text == nil {
			return
		}
		var m map[string]json.RawMessage
		if json.Unmarshal(r.text, &m) != nil || err != nil || string(m["id"]) != "7" || m["result"] == nil && m["error"] == nil {
			t.Fatalf("%q was taken for %q, %v", body, r.text, err)
		}
	})
}
