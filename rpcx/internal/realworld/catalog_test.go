//go:build unix

package realworld

import _ "resilientrpc/rpcx"
