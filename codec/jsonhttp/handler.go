package jsonhttp

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
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
// content type than JSON 415, and one that is too large 413. Methods are not
// told of a client that has gone away.
type Handler struct {
	// Server has the methods. nil means rpc.DefaultServer.
	Server *rpc.Server
	// Codec sets the limits; its MaxFrame holds for requests and replies.
	Codec codec.JSON2
}

// NewHandler returns a Handler for server with the default limits.
func NewHandler(server *rpc.Server) *Handler { return &Handler{Server: server} }

const parseError = `{"jsonrpc":"2.0","error":{"code":-32700,"message":"Parse error"},"id":null}` + "\n"

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
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
	reply := h.reply(body)
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
	server := h.Server
	if server == nil {
		server = rpc.DefaultServer
	}
	x := &exchange{Reader: bytes.NewReader(body)}
	server.ServeCodec(h.Codec.NewServer(x))
	return x.replies.Bytes()
}

// exchange is the connection that the codec of one HTTP request sees.
type exchange struct {
	io.Reader
	replies bytes.Buffer
}

func (x *exchange) Write(p []byte) (int, error) { return x.replies.Write(p) }

// Close implements io.Closer. There is nothing to close.
func (x *exchange) Close() error { return nil }
