package main

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// local computes what the servers would.
func local(method string, a, b float64) (float64, error) {
	var r Answer
	var err error
	c := &Calc{}
	switch args := (Args{a, b}); method {
	case "Add":
		err = c.Add(args, &r)
	case "Sub":
		err = c.Sub(args, &r)
	case "Mul":
		err = c.Mul(args, &r)
	case "Div":
		err = c.Div(args, &r)
	default:
		err = errors.New("no such method: " + method)
	}
	return r.Value, err
}

func TestExpressions(t *testing.T) {
	for text, want := range map[string]float64{
		"7*8":              56,
		" 7 *\t8 ":         56,
		"1+2*3":            7,
		"(1+2)*3":          9,
		"10-4-3":           3, // from the left
		"64/4/2":           8,
		"2-3*4+5":          -5,
		"-3":               -3,
		"--3":              3,
		"-(2+3)*2":         -10,
		"2*-3":             -6,
		"1--1":             2,
		".5+1.":            1.5,
		"((((42))))":       42,
		"0.1+0.2":          0.30000000000000004, // float64, as the servers have it
		"1/3":              1.0 / 3,
		"-0":               math.Copysign(0, -1),
		"9007199254740993": 9007199254740992, // the nearest float64
	} {
		e, err := parseExpr(text)
		require.NoError(t, err, text)
		got, err := e.eval(local)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
}

func TestBadExpressionsNameTheColumn(t *testing.T) {
	for text, want := range map[string]string{
		"":      `column 1: want a number or "(", got the end`,
		"  ":    `column 3: want a number or "(", got the end`,
		"7*":    `column 3: want a number or "(", got the end`,
		"*7":    `column 1: want a number or "(", got "*7"`,
		"7 8":   `column 3: want an operator, got "8"`,
		"(7":    `column 3: want ")", got the end`,
		"(7]":   `column 3: want ")", got "]"`,
		"7)":    `column 2: want an operator, got ")"`,
		"1.2.3": `column 1: want a number, got "1.2.3"`,
		".":     `column 1: want a number, got "."`,
		"7^2":   `column 2: want an operator, got "^2"`,
		"x":     `column 1: want a number or "(", got "x"`,
		"1+()":  `column 4: want a number or "(", got ")"`,
		"7×8":   `column 2: want an operator, got "×8"`,
	} {
		_, err := parseExpr(text)
		require.ErrorContains(t, err, want, text)
	}
}

func TestNestingIsBounded(t *testing.T) {
	for _, nest := range []func(n int) string{
		func(n int) string { return strings.Repeat("(", n) + "1" + strings.Repeat(")", n) },
		func(n int) string { return strings.Repeat("-", n) + "1" },
	} {
		_, err := parseExpr(nest(maxDepth - 1))
		require.NoError(t, err)
		_, err = parseExpr(nest(maxDepth))
		require.ErrorContains(t, err, "nested too deeply")
		_, err = parseExpr(nest(1 << 20))
		require.ErrorContains(t, err, "nested too deeply")
	}
}

func TestEvaluationStopsAtTheFirstError(t *testing.T) {
	e, err := parseExpr("1/0 + 2*3 + 4*5")
	require.NoError(t, err)
	calls := 0
	_, err = e.eval(func(method string, a, b float64) (float64, error) {
		calls++
		return local(method, a, b)
	})
	require.EqualError(t, err, "division by zero")
	require.Equal(t, 1, calls)
}

func FuzzParseExpr(f *testing.F) {
	for _, seed := range []string{"7*8", "-(1+2)/.5", "((", "1.2.3", "7 8", "--1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		e, err := parseExpr(text)
		if (e == nil) != (err != nil) {
			t.Fatalf("%q: expression %v with error %v", text, e, err)
		}
		if err == nil {
			e.eval(local) // whatever comes of it: no panic
		}
	})
}
