package jsonhttp

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/rpc"

	"resilientrpc/codec"
)

// A Handler serves JSON-RPC 2.0 over HTTP POST. The zero Handler serves rpc.DefaultServer.
// Its fields must not be changed while it serves. The status of a response is
//
//	200   a reply, including an error
//	204   notifications only
//	400   a request that cannot be read
//	403   a host that is not served; see Hosts
//	405   another HTTP method than POST
//	413   a request that is too large
//	415   another content type than JSON
//
// If a method panics or ends its goroutine, its call gets an error. ServeHTTP returns after
// the methods have returned, even if the client has closed the connection. To limit the
// time to read a request, set http.Server.ReadTimeout.
type Handler struct {
	// Server has the methods. Nil means rpc.DefaultServer.
	Server *rpc.Server
	// Codec sets the limits. Its MaxFrame applies to requests and replies.
	Codec codec.JSON2
	// Hosts are the host names, without ports, by which clients may call the server.
	// localhost and IP addresses are always allowed. Hosts prevents DNS rebinding, by
	// which a web page calls the server by a name that resolves to its address. Empty
	// means any name, but only localhost for connections to a loopback address. So a
	// proxy on the same machine that forwards the Host header requires Hosts.
	Hosts []string
	// Logger logs panics of methods. Nil means slog.Default().
	Logger *slog.Logger
}

// NewHandler returns a Handler for server, with the default limits.
func NewHandler(server *rpc.Server) *Handler { return &Handler{Server: server} }

const parseError = `{"jsonrpc":"2.0","error":{"code":-32700,"message":"Parse error"},"id":null}` + "\n"

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !h.serves(r) {
		http.Error(w, "this host is not served; see jsonhttp.Handler.Hosts", http.StatusForbidden)
		return
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "JSON-RPC takes POST", http.StatusMethodNotAllowed)
		return
	}
	if !isJSON(r.Header.Get("Content-Type")) {
		http.Error(w, "JSON-RPC takes application/json", http.StatusUnsupportedMediaType)
		return
	}
	body, err := io.ReadAll(h.limit(w, r.Body))
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		http.Error(w, "request too large", http.StatusRequestEntityTooLarge)
		return
	}
	if err != nil {
		http.Error(w, "request unreadable", http.StatusBadRequest)
		return
	}
	reply := h.reply(bytes.TrimPrefix(body, byteOrderMark))
	if len(reply) == 0 {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	w.Header().Set("Content-Type", contentType)
	w.Write(reply) //nolint:errcheck // the client has closed the connection
}

func (h *Handler) limit(w http.ResponseWriter, body io.ReadCloser) io.ReadCloser {
	switch most := h.Codec.MaxFrame; {
	case most < 0:
		return body
	case most == 0:
		return http.MaxBytesReader(w, body, defaultMaxFrame)
	default:
		return http.MaxBytesReader(w, body, most)
	}
}

// isJSON reports whether a content type is one of the drafts on JSON-RPC over HTTP. For all
// of them, a browser makes a CORS preflight request before it calls another site.
func isJSON(contentType string) bool {
	t, _, err := mime.ParseMediaType(contentType)
	return err == nil && (t == "application/json" || t == "application/json-rpc" || t == "application/jsonrequest")
}

// reply runs a request or a batch and returns the reply.
func (h *Handler) reply(body []byte) []byte {
	if !json.Valid(body) {
		return []byte(parseError)
	}
	b := &batch{server: h.Server, log: h.Logger}
	if b.server == nil {
		b.server = rpc.DefaultServer
	}
	if b.log == nil {
		b.log = slog.Default()
	}
	return b.run(h.Codec, body)
}
