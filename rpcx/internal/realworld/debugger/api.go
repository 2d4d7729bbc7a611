package main

// What follows is the language of server and client.
type (
	// Breakpoint is a place where the program stops.
	Breakpoint struct {
		ID            int    `json:"id"`
		Line          int    `json:"line"`
		Cond          *Cond  `json:"cond,omitempty"`
		TotalHitCount uint64 `json:"totalHitCount"`
	}
	// Cond limits a breakpoint.
	Cond struct {
		Variable string `json:"variable"`
		Equals   int    `json:"equals"`
	}
	// Thread is where the program is.
	Thread struct {
		Line   int    `json:"line"`
		Source string `json:"source"`
	}
	// State is what the program does.
	State struct {
		Running    bool        `json:"running"`
		Exited     bool        `json:"exited"`
		Thread     *Thread     `json:"currentThread,omitempty"`
		Breakpoint *Breakpoint `json:"breakpoint,omitempty"`
	}
	// Variable is a value of the program.
	Variable struct {
		Name     string     `json:"name"`
		Type     string     `json:"type"`
		Value    string     `json:"value"`
		Children []Variable `json:"children"`
	}
)

// Arguments and results of the methods.
type (
	CommandIn struct {
		Name string `json:"name"` // "continue", "next" or "halt"
		Hang bool   `json:"hang,omitempty"`
	}
	CommandOut          struct{ State State }
	StateIn             struct{ NonBlocking bool }
	StateOut            struct{ State *State }
	CreateBreakpointIn  struct{ Breakpoint Breakpoint }
	CreateBreakpointOut struct{ Breakpoint Breakpoint }
	ClearBreakpointIn   struct{ ID int }
	ClearBreakpointOut  struct{ Breakpoint *Breakpoint }
	ListBreakpointsIn   struct{}
	ListBreakpointsOut  struct{ Breakpoints []*Breakpoint }
	EvalIn              struct{ Expr string }
	EvalOut             struct{ Variable *Variable }
	DetachIn            struct{ Kill bool }
	DetachOut           struct{}
)
