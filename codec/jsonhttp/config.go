package jsonhttp

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strings"
)

const (
	defaultMaxInFlight = 64
	defaultMaxFrame    = 64 << 20
	maxRedirects       = 10 // as in net/http
)

// Config configures a Conn.
type Config struct {
	// URL is the URL to which requests are POSTed. It is required.
	URL string
	// Client makes the HTTP requests. Its Timeout, if set, limits each call. Nil means a
	// client with a clone of http.DefaultTransport that keeps a connection open for each
	// request in flight; Conn.Close closes these connections.
	//
	// If CheckRedirect is nil, only redirects that keep the method and the host (307 and
	// 308) are followed. Any other is a *StatusError: another host is another replica
	// and must not get the calls and credentials of this one. If MaxConnsPerHost is set,
	// it should be greater than MaxInFlight, so that calls do not delay pings.
	Client *http.Client
	// Header is added to each request. A Host header replaces the URL's host. Do not
	// change Header after it has been passed to a Conn.
	Header http.Header
	// MaxInFlight is the largest number of requests in flight. Further requests wait in
	// memory. 0 means 64; negative is an error.
	MaxInFlight int
	// MaxFrame is the largest reply in bytes, after decompression. A larger one is an
	// error of its call. 0 means 64 MiB; negative is an error.
	MaxFrame int64
}

// check returns the URL, or an error for the first invalid field. Errors do not contain the
// URL, which may have a password.
func (cfg *Config) check() (*url.URL, error) {
	u, err := url.Parse(cfg.URL)
	switch {
	case err != nil:
		return nil, fmt.Errorf("jsonhttp: Config.URL: %w", withoutURL(err))
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return nil, errors.New("jsonhttp: Config.URL is no http or https URL with a host")
	case cfg.MaxInFlight < 0:
		return nil, fmt.Errorf("jsonhttp: Config.MaxInFlight is %d, want 0 or more", cfg.MaxInFlight)
	case cfg.MaxFrame < 0:
		return nil, fmt.Errorf("jsonhttp: Config.MaxFrame is %d, want 0 or more", cfg.MaxFrame)
	}
	return u, nil
}

func (cfg Config) withDefaults() Config {
	if cfg.MaxInFlight == 0 {
		cfg.MaxInFlight = defaultMaxInFlight
	}
	if cfg.MaxFrame == 0 {
		cfg.MaxFrame = defaultMaxFrame
	}
	// One more is counted: a ping, and the byte by which a reply is too large.
	cfg.MaxInFlight = min(cfg.MaxInFlight, math.MaxInt-1)
	cfg.MaxFrame = min(cfg.MaxFrame, math.MaxInt64-1)
	return cfg
}

// headers returns the header of every request, and the host, for which net/http has
// another field.
func (cfg *Config) headers() (header http.Header, host string) {
	header = make(http.Header)
	for name, values := range cfg.Header {
		if strings.EqualFold(name, "Host") {
			if len(values) > 0 {
				host = values[0]
			}
			continue
		}
		header[name] = values
	}
	header.Set("Content-Type", contentType)
	header.Set("Accept", contentType)
	return header, host
}

// makeClient makes the client that the Conn uses.
func (c *Conn) makeClient() {
	client := new(http.Client)
	if c.cfg.Client != nil {
		*client = *c.cfg.Client
	} else if shared, ok := http.DefaultTransport.(*http.Transport); ok {
		own := shared.Clone()
		own.MaxIdleConns = 0
		own.MaxIdleConnsPerHost = c.cfg.MaxInFlight + 1 // and a ping
		client.Transport, c.idle = own, own.CloseIdleConnections
	}
	if client.CheckRedirect == nil {
		client.CheckRedirect = checkRedirect
	}
	c.client = client
	switch client.Transport.(type) {
	case nil, *http.Transport:
		c.mayRewind = c.header.Get("Idempotency-Key") == "" && c.header.Get("X-Idempotency-Key") == ""
	}
}

// checkRedirect is for http.Client; see Config.Client.
func checkRedirect(next *http.Request, via []*http.Request) error {
	first := via[0].URL
	if next.Method != http.MethodPost || next.URL.Host != first.Host ||
		first.Scheme == "https" && next.URL.Scheme != "https" || len(via) > maxRedirects {
		return http.ErrUseLastResponse
	}
	return nil
}

// withoutURL removes the URL, which may have secrets, from an error of net/http.
func withoutURL(err error) error {
	for {
		wrapped, ok := err.(*url.Error) //nolint:errorlint // one further in has lost its text anyway
		if !ok {
			return err
		}
		err = wrapped.Err
	}
}
