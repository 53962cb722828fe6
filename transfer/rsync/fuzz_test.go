package rsync

import (
	"strings"
	"testing"
)

// real is what rsync 3.2.7 prints with --info=progress2 --no-human-readable.
const real = "\r          32768   0%    0.00kB/s    0:00:00  \r       10485760  50%   98.04MB/s    0:00:00 (xfr#1, to-chk=1/3)\r       20971520 100%   99.01MB/s    0:00:00 (xfr#2, to-chk=0/3)\n"

// FuzzProgress: progress never goes backwards, whatever the program prints.
func FuzzProgress(f *testing.F) {
	f.Add(real)
	f.Add("1,234 5%\r12\n999999999999999999999\n")
	f.Add("no number\r\n\n-5\n")
	f.Fuzz(func(t *testing.T, s string) {
		progress(strings.NewReader(s), func(n int64) {
			if n <= 0 {
				t.Errorf("%d more bytes", n)
			}
		})
	})
}

func TestProgress(t *testing.T) {
	var steps []int64
	progress(strings.NewReader(real), func(n int64) { steps = append(steps, n) })
	if len(steps) != 3 || steps[0]+steps[1]+steps[2] != 20971520 {
		t.Errorf("%v", steps)
	}
}
