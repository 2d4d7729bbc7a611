package main

import (
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
)

// curves draws, for every workload, the mean time of detection against the rate
// of mistakes while each detector's one knob is turned, into dir.
func curves(w io.Writer, dir string, seed uint64, n int) error {
	const eta, warm = 100 * ms, 1000
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for i, l := range workloads {
		beats := l.make(rand.New(rand.NewPCG(seed, uint64(i))), n, eta)
		p := plot.New()
		p.Title.Text = fmt.Sprintf("%s: %d beats, one in %v", l.name, n, eta)
		p.X.Label.Text = "T_D without transit, mean, s"
		p.Y.Label.Text = "mistakes per second (lowest: none)"
		p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
		p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
		p.Legend.Top = true
		none := 0.0
		for k, f := range families() {
			var points plotter.XYs
			for _, knob := range f.knobs {
				q := watch(f.make(eta, knob), beats, warm)
				none = 0.5 / q.lived.Seconds()
				points = append(points, plotter.XY{X: math.Max(0.1, q.mean().Seconds()), Y: math.Max(none, q.rate())})
			}
			line, dots, err := plotter.NewLinePoints(points)
			if err != nil {
				return err
			}
			line.Color, line.Dashes = plotutil.Color(k), plotutil.Dashes(k)
			dots.Color, dots.Shape = plotutil.Color(k), plotutil.Shape(k)
			p.Add(line, dots)
			p.Legend.Add(f.name, line, dots)
		}
		p.X.Min, p.X.Max = 0.1, 5
		p.Y.Min = none
		name := strings.NewReplacer(" ", "-", "%", "percent").Replace(strings.ToLower(l.name)) + ".png"
		if err := p.Save(16*vg.Centimeter, 11*vg.Centimeter, filepath.Join(dir, name)); err != nil {
			return err
		}
		fmt.Fprintln(w, filepath.Join(dir, name))
	}
	return nil
}
