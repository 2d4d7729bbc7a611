package main

import (
	"fmt"
	"image/color"
	"path/filepath"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

var colors = []color.Color{
	color.RGBA{0xd5, 0x5e, 0x00, 0xff},
	color.RGBA{0x00, 0x72, 0xb2, 0xff},
	color.RGBA{0x56, 0xb4, 0xe9, 0xff},
	color.RGBA{0x00, 0x9e, 0x73, 0xff},
}

// plotExperiment draws one file for each metric: a bar for each contender, with
// the 95 % interval of the mean.
func plotExperiment(dir string, e experiment, rows []row) error {
	for m, metric := range e.metrics {
		p := plot.New()
		p.Title.Text = e.name + ". " + metric
		var names []string
		var bars estimates
		for _, r := range rows {
			names = append(names, strings.ReplaceAll(r.name, " ", "\n"))
			bars = append(bars, r.estimates[m])
		}
		chart, err := plotter.NewBarChart(bars, 30)
		if err != nil {
			return err
		}
		chart.Color = colors[2]
		whiskers, err := plotter.NewYErrorBars(bars)
		if err != nil {
			return err
		}
		p.Add(chart, whiskers)
		p.NominalX(names...)
		if err := p.Save(9*vg.Inch, 4*vg.Inch, file(dir, e.name+" "+metric)); err != nil {
			return err
		}
	}
	return nil
}

// estimates are bars with their intervals.
type estimates []estimate

func (e estimates) Len() int                         { return len(e) }
func (e estimates) Value(i int) float64              { return e[i].mean }
func (e estimates) XY(i int) (x, y float64)          { return float64(i), e[i].mean }
func (e estimates) YError(i int) (low, high float64) { return e[i].half, e[i].half }

// plotGrid draws one file for a fleet at one load: the calls that did not
// succeed, by fault, a bar for each contender.
func plotGrid(dir string, f fleet, load float64, who []contender, cells map[string][]cell) error {
	p := plot.New()
	p.Title.Text = fmt.Sprintf("%d servers, load %.1f: calls without success", f.servers, load)
	p.Y.Label.Text = "%"
	p.Legend.Top = true
	var names []string
	for _, ft := range faults {
		if cells[ft.name] != nil {
			names = append(names, ft.name)
		}
	}
	const width = 12
	for i, c := range who {
		var lost plotter.Values
		for _, name := range names {
			lost = append(lost, 100-cells[name][i].success)
		}
		chart, err := plotter.NewBarChart(lost, width)
		if err != nil {
			return err
		}
		chart.Color = colors[i%len(colors)]
		chart.Offset = width * vg.Length(float64(i)-float64(len(who)-1)/2)
		p.Add(chart)
		p.Legend.Add(c.name, chart)
	}
	p.NominalX(names...)
	return p.Save(14*vg.Inch, 5*vg.Inch, file(dir, fmt.Sprintf("grid %d load %.1f", f.servers, load)))
}

// file returns the path of a PNG file with plain characters only.
func file(dir, name string) string {
	plain := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.':
			return r
		case r == '%':
			return 'p'
		}
		return '-'
	}, name)
	return filepath.Join(dir, plain+".png")
}
