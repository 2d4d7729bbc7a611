package debugpage

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"net/http"
	"strings"
	"sync"
)

//go:embed assets
var assets embed.FS

// page returns the page as one document, and a content security policy that allows only
// the page's own script. The page has no data of clients; the script requests them.
var page = sync.OnceValues(func() (html, policy string) {
	style := asset("page.css")
	script := asset("chart.js") + asset("model.js") + asset("rows.js") + asset("panel.js") + asset("page.js")
	html = strings.NewReplacer("{{style}}", style, "{{script}}", script).Replace(asset("page.html"))
	policy = "default-src 'none'; style-src " + hashOf(style) + "; script-src " + hashOf(script) +
		"; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'" +
		"; require-trusted-types-for 'script'; trusted-types 'none'"
	return html, policy
})

func asset(name string) string {
	text, err := assets.ReadFile("assets/" + name)
	if err != nil {
		panic(err) // unreachable: it is embedded
	}
	return string(text)
}

// hashOf returns the source expression of a content security policy for an inline text.
func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

func servePage(w http.ResponseWriter) {
	html, policy := page()
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", policy)
	w.Header().Set("Referrer-Policy", "no-referrer")
	w.Header().Set("X-Frame-Options", "DENY")
	w.Write([]byte(html)) //nolint:errcheck // the client has closed the connection
}
