package main

import (
	"fmt"
	"strconv"
	"strings"
)

// maxDepth bounds nesting, so that no input can exhaust the stack.
const maxDepth = 200

// An expr is a parsed expression; its operations are remote calls.
type expr interface {
	// eval computes the value, with op doing each Calc method in turn.
	eval(op func(method string, a, b float64) (float64, error)) (float64, error)
}

type number float64

func (n number) eval(func(string, float64, float64) (float64, error)) (float64, error) {
	return float64(n), nil
}

type binary struct {
	method string // "Add", "Sub", "Mul" or "Div"
	a, b   expr
}

func (e binary) eval(op func(string, float64, float64) (float64, error)) (float64, error) {
	a, err := e.a.eval(op)
	if err != nil {
		return 0, err
	}
	b, err := e.b.eval(op)
	if err != nil {
		return 0, err
	}
	return op(e.method, a, b)
}

var methods = map[byte]string{'+': "Add", '-': "Sub", '*': "Mul", '/': "Div"}

// parseExpr reads numbers, + - * /, signs and parentheses, with the usual
// precedence. Errors name the column, counted from 1.
func parseExpr(text string) (expr, error) {
	p := &parser{text: text}
	e, err := p.sum()
	if err == nil && p.peek() != 0 {
		err = p.errorf("want an operator")
	}
	if err != nil {
		return nil, err
	}
	return e, nil
}

type parser struct {
	text  string
	pos   int
	depth int
}

// peek skips blanks and returns the next byte, 0 at the end.
func (p *parser) peek() byte {
	for p.pos < len(p.text) && strings.IndexByte(" \t", p.text[p.pos]) >= 0 {
		p.pos++
	}
	if p.pos == len(p.text) {
		return 0
	}
	return p.text[p.pos]
}

func (p *parser) errorf(want string) error {
	got := "the end"
	if p.peek() != 0 {
		got = strconv.Quote(p.text[p.pos:])
	}
	return fmt.Errorf("expression %q, column %d: %s, got %s", p.text, p.pos+1, want, got)
}

func (p *parser) sum() (expr, error) { return p.chain("+-", p.product) }

func (p *parser) product() (expr, error) { return p.chain("*/", p.factor) }

// chain reads operands joined by the given operators, left to right.
func (p *parser) chain(operators string, operand func() (expr, error)) (expr, error) {
	left, err := operand()
	for err == nil {
		c := p.peek()
		if c == 0 || strings.IndexByte(operators, c) < 0 {
			break
		}
		p.pos++
		var right expr
		if right, err = operand(); err == nil {
			left = binary{methods[c], left, right}
		}
	}
	return left, err
}

func (p *parser) factor() (expr, error) {
	if p.depth++; p.depth > maxDepth {
		return nil, p.errorf("nested too deeply")
	}
	defer func() { p.depth-- }()
	switch p.peek() {
	case '-':
		p.pos++
		e, err := p.factor()
		if n, ok := e.(number); ok {
			return -n, err
		}
		return binary{"Sub", number(0), e}, err
	case '(':
		p.pos++
		e, err := p.sum()
		if err == nil && p.peek() != ')' {
			err = p.errorf(`want ")"`)
		}
		p.pos++
		return e, err
	}
	return p.number()
}

func (p *parser) number() (expr, error) {
	p.peek()
	end := p.pos
	for end < len(p.text) && strings.IndexByte("0123456789.", p.text[end]) >= 0 {
		end++
	}
	if end == p.pos {
		return nil, p.errorf(`want a number or "("`)
	}
	v, err := strconv.ParseFloat(p.text[p.pos:end], 64)
	if err != nil {
		return nil, p.errorf("want a number")
	}
	p.pos = end
	return number(v), nil
}
