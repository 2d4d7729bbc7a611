package rpcx

// Live returns how many endpoints have a prober or connections, those included that
// have left and wait for their last calls.
func (c *Client) Live() int { return len(c.roster.all()) }
