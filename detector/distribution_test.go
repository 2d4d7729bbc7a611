package detector

import (
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// TestMixtureOracle compares phi with the sum it stands for, written out term
// by term without shortcuts.
func TestMixtureOracle(t *testing.T) {
	oracle := func(x *mixture, t float64) float64 {
		sum := (1 - x.first) * math.Erfc((t-x.period)/x.sd/math.Sqrt2) / 2
		for k := 2; k < 3000; k++ {
			lost := x.first * math.Pow(x.again, float64(k-2)) * (1 - x.again)
			sum += lost * math.Erfc((t-x.period-float64(k-1)*x.step)/x.sd/math.Sqrt2) / 2
			if lost/(1-x.again) < 1e-14*sum {
				break // all further terms together are less
			}
		}
		tail := min(1, math.Exp(-(t-x.period-lateFrom*x.sd)/x.scale))
		return -math.Log10((1-x.tail)*sum + x.tail*tail)
	}
	r := rand.New(rand.NewPCG(4, 4))
	for range 20 {
		x := mixture{
			period: 1e8, sd: 1e8 * math.Pow(10, -4*r.Float64()), first: r.Float64() * r.Float64(),
			again: 0.9 * r.Float64(), tail: 0.001 + 0.2*r.Float64(), scale: 1e7 * (0.1 + r.Float64()),
		}
		x.prepare()
		for silence := 1e6; silence < 1e10; silence *= 1.3 {
			if want := oracle(&x, silence); want < 250 {
				require.InDelta(t, want, x.phi(silence), 1e-9*(1+want), "%+v after %v", x, silence)
			}
		}
	}
}

// TestCalibrationBound: in the long run the shares are right for any sequence of raw
// levels, up to the size of the steps.
func TestCalibrationBound(t *testing.T) {
	const n = 1_000_000
	r := rand.New(rand.NewPCG(5, 5))
	c := uncalibrated()
	var above [levels]float64
	for i := range n {
		raw := 40 * math.Abs(math.Sin(float64(i)/1e5)) * r.ExpFloat64() // too high, and it varies
		phi := c.phi(raw)
		for k := range above {
			if phi > float64(k+1) {
				above[k]++
			}
		}
		c.learn(raw)
	}
	for k, got := range above {
		require.InEpsilon(t, shares[k], got/n, 0.25, "level %d", k+1)
	}
}

func TestCalibrationIsMonotone(t *testing.T) {
	for _, c := range []calibration{
		uncalibrated(),
		{0.5, 1, 1.5, 2},
		{3, 2, 1, 0.5}, // knots that have crossed
		{1e3, 1e3, 1e3, 1e3},
	} {
		last := 0.0
		for raw := 0.0; raw < 2e3; raw += 0.13 {
			got := c.phi(raw)
			if !(got >= last-1e-12) || math.IsInf(got, 0) {
				t.Fatalf("%v at %v: %v after %v", c, raw, got, last)
			}
			last = got
		}
	}
}

// TestCrossedKnots: what exceeded the knot of a tenth counts as no less than
// that, whatever the rarer knots say.
func TestCrossedKnots(t *testing.T) {
	c := calibration{3, 2, 1, 0.5}
	require.InDelta(t, 0.5, c.phi(1.5), 1e-9)
	require.InDelta(t, 4, c.phi(3.003), 1e-9)
}

// TestMemory: what single samples teach.
func TestMemory(t *testing.T) {
	const period = 1e9
	lived := func(odd ...float64) memory {
		m := memory{size: 1000}
		m.seed(period)
		for i := range 500 {
			m.add(int64(period + 1e6*float64(i%7-3)))
		}
		for _, x := range odd {
			m.add(int64(x * period))
		}
		return m
	}
	regular := lived()
	require.Zero(t, regular.lost)
	require.InEpsilon(t, period, regular.period, 0.01)

	missing := lived(2, 2, 2)
	require.InEpsilon(t, 3.0/505, missing.lost, 0.02)
	require.Zero(t, missing.more)
	require.InDelta(t, 0, missing.excess, 1)

	// Two bursts of four: after a loss the next is likely lost too.
	burst := lived(5, 5)
	require.InEpsilon(t, 2.0/504, burst.lost, 0.02)
	require.InEpsilon(t, 6.0/504, burst.more, 0.02)
	x := burst.mixture(1)
	require.InDelta(t, 6.0/9, x.again, 0.01)

	// In between the multiples nothing was lost; it was late.
	late := lived(2.5, 1.5)
	require.Zero(t, late.lost)
	require.InEpsilon(t, 2*period/504, late.excess, 0.2)

	wild := lived()
	for i := range 5000 {
		wild.add(int64(i%2) * maxInterval)
	}
	require.LessOrEqual(t, wild.spread, 4*wild.period*wild.period)
}

// TestLatch: a reader never sees parts of two distributions.
func TestLatch(t *testing.T) {
	var l latch
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				words := l.load()
				for _, w := range words {
					if w != words[0] {
						t.Errorf("torn: %v", words)
						return
					}
				}
			}
		})
	}
	for v := range uint64(400_000) {
		var words [distributionWords]uint64
		for i := range words {
			words[i] = v
		}
		l.store(words)
	}
	close(stop)
	wg.Wait()
}

func TestSize(t *testing.T) {
	size := unsafe.Sizeof(Detector{}) + unsafe.Sizeof(time.Time{}) // and its base
	require.LessOrEqual(t, int(size), 512, "bytes for a LossAware detector")
}

// TestWindowOracle compares the running sums with a second pass over the
// samples.
func TestWindowOracle(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 6))
	w := window{size: 50}
	var all []int64
	for range 2000 {
		x := int64(math.Exp(34 * r.Float64()))
		w.add(x)
		all = append(all, x)
		last := all[max(0, len(all)-w.size):]
		var mean, square float64
		for _, x := range last {
			mean += float64(x) / float64(len(last))
		}
		for _, x := range last {
			square += (float64(x) - mean) * (float64(x) - mean) / float64(len(last))
		}
		whole, frac := w.mean()
		require.InEpsilon(t, mean+1, float64(whole)+frac+1, 1e-12)
		require.InEpsilon(t, math.Sqrt(square)+1, w.stdDev()+1, 1e-9)
	}
}
