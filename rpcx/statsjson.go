package rpcx

import (
	"encoding/json"
	"time"
)

// MarshalJSON is for now.
func (e EndpointStats) MarshalJSON() ([]byte, error) {
	cause := ""
	if e.Cause != nil {
		cause = bounded(words(e.Cause))
	}
	return json.Marshal(struct {
		Address   string            `json:"address"`
		State     string            `json:"state"`
		Cause     string            `json:"cause,omitempty"`
		Suspect   bool              `json:"suspect"`
		Phi       float64           `json:"phi"`
		Connected bool              `json:"connected"`
		InFlight  int               `json:"inFlight"`
		Latency   time.Duration     `json:"latency"`
		Picks     uint64            `json:"picks"`
		Running   int               `json:"serverRunning"`
		Priority  int               `json:"priority"`
		Metadata  map[string]string `json:"metadata,omitempty"`
	}{e.Address, e.State.String(), cause, e.Suspect, e.Phi, e.Connected, e.InFlight, e.Latency, e.Picks, e.ServerRunning, e.Priority, e.Metadata})
}
