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

// A Handler serves JSON-RPC 2.0 over HTTP POST. The zero Handler serves net/rpc's
// default server. It must not be changed while it serves.
//
// A reply has the status 200, be it an error or not; what needs no reply
// (notifications) gets 204. A request that is no POST gets 405, one of another
// content type than JSON 415, one that is too large 413, and one for a host that is
// not served (see Hosts) 403.
//
// A method that panics, or ends its goroutine, costs its own call only, which gets an
// error. Methods cannot learn of a client that has gone away; ServeHTTP returns when they
// have. How long a client may take to send its request is http.Server's to limit.
type Handler struct {
	// Server has the methods. nil means rpc.DefaultServer.
	Server *rpc.Server
	// Codec sets the limits; its MaxFrame holds for requests and replies.
	Codec codec.JSON2
	// Hosts are the names, without ports, by which clients may call the server, besides
	// localhost and IP addresses. They keep web pages away that have a name of their own
	// resolve to this server's address (DNS rebinding). None means any name, except on
	// connections to a loopback address, where there is no other name than localhost: a
	// proxy on the same machine that passes on the Host of its clients needs it listed.
	Hosts []string
	// Logger gets methods that panic. Nil means slog.Default().
	Logger *slog.Logger
}

// NewHandler returns a Handler for server with the default limits.
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
	w.Write(reply) //nolint:errcheck // the client has gone away
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

// isJSON accepts the content types that the drafts on JSON-RPC over HTTP name. A
// browser sends none of them to a foreign site without asking it first.
func isJSON(contentType string) bool {
	t, _, err := mime.ParseMediaType(contentType)
	return err == nil && (t == "application/json" || t == "application/json-rpc" || t == "application/jsonrequest")
}

// reply carries out a request or a batch.
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
	return b.carryOut(h.Codec, body)
}
