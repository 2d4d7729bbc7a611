package main

import (
	"image/color"
	"path/filepath"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

// A chart is groups of bars, in each group one for each contender.
type chart struct {
	title, unit string
	groups      []string
	names       []string             // of the contenders
	values      map[string][]float64 // by contender, one for each group
}

func newChart(title, unit string) *chart {
	return &chart{title: title, unit: unit, values: make(map[string][]float64)}
}

// add gives a contender its bar in the next group.
func (c *chart) add(name string, value float64) {
	if c.values[name] == nil {
		c.names = append(c.names, name)
	}
	c.values[name] = append(c.values[name], value)
}

// save draws the chart into a file of the directory, unless that is "".
func (c *chart) save(dir, file string) error {
	if dir == "" {
		return nil
	}
	p := plot.New()
	p.Title.Text, p.Y.Label.Text, p.Legend.Top = c.title, c.unit, true
	p.Y.Min = 0
	// A third of the width is left to the legend, and a quarter of a group's is space.
	groups := float64(len(c.groups))
	inches := max(10, 1.8*groups)
	width := vg.Length(inches*0.9/(1.33*groups)*0.75/float64(len(c.names))) * vg.Inch
	for i, name := range c.names {
		bars, err := plotter.NewBarChart(plotter.Values(c.values[name]), width)
		if err != nil {
			return err
		}
		bars.Color, bars.LineStyle.Width = colors[name], 0
		bars.Offset = width * vg.Length(float64(i)-float64(len(c.names)-1)/2)
		p.Add(bars)
		p.Legend.Add(name, bars)
	}
	p.NominalX(c.groups...)
	p.X.Min, p.X.Max = -0.5, 1.33*groups-0.5
	return p.Save(vg.Length(inches)*vg.Inch, 5*vg.Inch, filepath.Join(dir, strings.ReplaceAll(file, " ", "-")+".png"))
}

// colors tell rpcx, net/rpc and the others apart: blue, red and orange, and green, violet
// and gray.
var colors = map[string]color.RGBA{
	"net/rpc":                   {0x8b, 0x00, 0x00, 0xff},
	"net/rpc/jsonrpc":           {0xd5, 0x5e, 0x00, 0xff},
	"net/rpc by hand":           {0xe6, 0x9f, 0x00, 0xff},
	"net/rpc pool":              {0xff, 0x7f, 0x50, 0xff},
	"gobreaker+backoff":         {0xf0, 0xc8, 0x60, 0xff},
	"failsafe-go":               {0xf0, 0xe4, 0x42, 0xff},
	"grpc-go":                   {0x00, 0x6b, 0x4f, 0xff},
	"grpc-go+outlier":           {0x00, 0x9e, 0x73, 0xff},
	"connect-go":                {0xcc, 0x79, 0xa7, 0xff},
	"jrpc2 by hand":             {0x99, 0x99, 0x99, 0xff},
	"rpcx":                      {0x00, 0x3f, 0x88, 0xff},
	"rpcx configured":           {0x1f, 0x57, 0xd6, 0xff},
	"rpcx hedged":               {0x5b, 0x3f, 0xb0, 0xff},
	"rpcx StandardClient":       {0x87, 0x6f, 0xd9, 0xff},
	"rpcx both ends":            {0x00, 0x72, 0xb2, 0xff},
	"rpcx both ends configured": {0x2f, 0x9f, 0xdf, 0xff},
	"rpcx JSON":                 {0x56, 0xb4, 0xe9, 0xff},
	"rpcx JSON-RPC 2 both ends": {0x9a, 0xd0, 0xf0, 0xff},
}
