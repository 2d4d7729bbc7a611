package rpcx

import (
	"context"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestMethodPatterns(t *testing.T) {
	table, err := newMethodTable(map[string]MethodOptions{
		"*":            {Timeout: time.Second},
		"Arith.*":      {Idempotent: Yes},
		"Arith.Get*":   {Hedge: No},
		"Arith.Get":    {Timeout: -1},
		"Arith.GetOne": {Idempotent: No},
		"Ar*":          {Idempotent: No, Hedge: Yes},
	})
	require.NoError(t, err)
	for method, want := range map[string]MethodOptions{
		"":               {Timeout: time.Second},
		"Bank.Deposit":   {Timeout: time.Second},
		"Area.Of":        {Timeout: time.Second, Idempotent: No, Hedge: Yes},
		"Arith.Add":      {Timeout: time.Second, Idempotent: Yes, Hedge: Yes},
		"Arith.GetAll":   {Timeout: time.Second, Idempotent: Yes, Hedge: No},
		"Arith.Get":      {Timeout: -1, Idempotent: Yes, Hedge: No},
		"Arith.GetOne":   {Timeout: time.Second, Idempotent: No, Hedge: No},
		"Arith.GetOnes":  {Timeout: time.Second, Idempotent: Yes, Hedge: No},
		"arith.GetOnes":  {Timeout: time.Second},
		"Arith.Get*":     {Timeout: time.Second, Idempotent: Yes, Hedge: No},
		"Arith.\xffé":    {Timeout: time.Second, Idempotent: Yes, Hedge: Yes},
		"Arith.ge":       {Timeout: time.Second, Idempotent: Yes, Hedge: Yes},
		"Arithmetic.Get": {Timeout: time.Second, Idempotent: No, Hedge: Yes},
	} {
		require.Equal(t, want, table.find(method), method)
	}
}

func TestBadMethodPatternsAreNamed(t *testing.T) {
	for pattern, c := range map[string]struct {
		options MethodOptions
		want    string
	}{
		"":           {want: "Dialer.Methods has an empty pattern"},
		"Arith.*Get": {want: `Dialer.Methods["Arith.*Get"] has a * before its end`},
		"Arith.**":   {want: `Dialer.Methods["Arith.**"] has a * before its end`},
		"A.B":        {MethodOptions{Idempotent: 2}, `Dialer.Methods["A.B"].Idempotent is Choice(2); want Yes, No`},
		"A.*":        {MethodOptions{Hedge: -3}, `Dialer.Methods["A.*"].Hedge is Choice(-3); want Yes, No`},
	} {
		d := Dialer{Methods: map[string]MethodOptions{pattern: c.options, "Fine": {}}}
		_, err := d.Dial("tcp", "a:1")
		require.ErrorContains(t, err, c.want)
	}
}

// dumbOptions goes through all patterns for every field, and then asks the others.
func dumbOptions(ctx callOptions, d *Dialer, method string) callOptions {
	most := func(said func(MethodOptions) bool) (found MethodOptions) {
		best := -1
		for pattern, o := range d.Methods {
			prefix, star := strings.CutSuffix(pattern, "*")
			matches := pattern == method || star && strings.HasPrefix(method, prefix)
			rank := 2 * len(prefix)
			if !star {
				rank++ // the name itself
			}
			if matches && said(o) && rank > best {
				best, found = rank, o
			}
		}
		return found
	}
	o := ctx
	idempotent := most(func(o MethodOptions) bool { return o.Idempotent != 0 }).Idempotent
	o.idempotent = ctx.idempotent || idempotent == Yes
	o.hedge = o.idempotent && !ctx.retry && most(func(o MethodOptions) bool { return o.Hedge != 0 }).Hedge != No
	wait := most(func(o MethodOptions) bool { return o.WaitForReady != 0 }).WaitForReady
	o.wait = ctx.wait || wait == Yes || wait == 0 && d.WaitForReady
	o.timeout = d.CallTimeout
	if t := most(func(o MethodOptions) bool { return o.Timeout != 0 }).Timeout; t != 0 {
		o.timeout = t
	}
	return o
}

func TestOptionsAgainstADumbOracle(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	word := func() string { return strings.Repeat("a", rng.IntN(4)) + strings.Repeat("b", rng.IntN(2)) }
	choice := func() Choice { return Choice(rng.IntN(3) - 1) }
	for range 20_000 {
		d := Dialer{Methods: map[string]MethodOptions{}, CallTimeout: time.Duration(rng.IntN(3)-1) * time.Second, WaitForReady: rng.IntN(2) == 0}
		for range rng.IntN(6) {
			pattern := word()
			if pattern == "" || rng.IntN(2) == 0 {
				pattern += "*"
			}
			d.Methods[pattern] = MethodOptions{choice(), choice(), time.Duration(rng.IntN(3)-1) * time.Minute, choice()}
		}
		table, err := newMethodTable(d.Methods)
		require.NoError(t, err)
		c := &core{dialer: d, patterns: table}
		ctx := t.Context()
		for _, with := range []func(context.Context) context.Context{WithIdempotent, AsRetry, WithWaitForReady} {
			if rng.IntN(3) == 0 {
				ctx = with(ctx)
			}
		}
		method := word()
		require.Equal(t, dumbOptions(contextOptions(ctx), &d, method), c.options(ctx, method), "%q of %v", method, d.Methods)
	}
}

func TestOptionsDoNotAllocate(t *testing.T) {
	table, err := newMethodTable(map[string]MethodOptions{"Arith.*": {Idempotent: Yes}, "Arith.Get*": {}, "*": {}})
	require.NoError(t, err)
	c := &core{patterns: table}
	require.Zero(t, testing.AllocsPerRun(100, func() { c.options(context.Background(), "Arith.GetAll") }))
}

func BenchmarkOptions(b *testing.B) {
	table, err := newMethodTable(map[string]MethodOptions{
		"Arith.*": {Idempotent: Yes}, "Arith.Get*": {Hedge: Yes}, "Bank.*": {Timeout: time.Second}, "*": {Hedge: No},
	})
	if err != nil {
		b.Fatal(err)
	}
	c := &core{patterns: table}
	b.ReportAllocs()
	for b.Loop() {
		if !c.options(context.Background(), "Arith.GetAll").idempotent {
			b.Fatal("it is idempotent")
		}
	}
}

// A pattern that matches no call is misspelt, perhaps. One that a more specific one stands
// before matches, too.
func TestPatternsThatMatchNoCall(t *testing.T) {
	table, err := newMethodTable(map[string]MethodOptions{
		"*": {}, "Ar*": {}, "Arith.*": {}, "Arith.Get": {}, "Airth.*": {}, "Arith": {}, "Arith.Get*": {},
	})
	require.NoError(t, err)
	require.Len(t, table.unmatched(), 7)
	table.find("Bank.Deposit")
	require.NotContains(t, table.unmatched(), "*")
	require.Contains(t, table.unmatched(), "Ar*")
	table.find("Arith.Get")
	require.Equal(t, []string{"Airth.*", "Arith"}, table.unmatched())
	var none *methodTable
	require.Empty(t, none.unmatched())
}
