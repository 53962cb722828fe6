package transfer_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/cax-go/cax/checksum"
	"github.com/cax-go/cax/transfer"
	"github.com/cax-go/cax/transfer/local"
	"github.com/cax-go/cax/transfer/transfertest"
)

// hasher is a disk whose far side knows some algorithms only.
type hasher struct {
	transfer.Backend
	knows []checksum.Algorithm
	asked []checksum.Algorithm
}

func (h *hasher) Hash(ctx context.Context, a checksum.Algorithm, paths []string) ([]checksum.Sum, error) {
	h.asked = append(h.asked, a)
	for _, k := range h.knows {
		if k != a {
			continue
		}
		var sums []checksum.Sum
		for _, p := range paths {
			s, err := checksum.FileSum(ctx, p, a)
			if err != nil {
				return nil, err
			}
			sums = append(sums, s...)
		}
		return sums, nil
	}
	return nil, &transfer.Error{Op: "hash", Kind: transfer.ErrUnsupported}
}

func TestVerify(t *testing.T) {
	all := checksum.DefaultAlgorithms()
	for name, tc := range map[string]struct {
		knows  []checksum.Algorithm
		damage func(files map[string]string)
		by     checksum.Algorithm
		want   []string
	}{
		"good, by the strongest":          {knows: all, by: checksum.XXH3_128},
		"good, by what the far side has":  {knows: []checksum.Algorithm{checksum.Adler32}, by: checksum.Adler32},
		"good, read where it has nothing": {by: checksum.XXH3_128},
		"a flipped byte": {knows: []checksum.Algorithm{checksum.Adler32}, by: checksum.Adler32,
			damage: func(f map[string]string) { f["sub/3.zip"] = "\x00" + f["sub/3.zip"][1:] }, want: []string{"sub/3.zip digest"}},
		"several": {knows: all, by: checksum.XXH3_128, want: []string{"more extra", "sub/1.zip digest", "sub/2.zip size", "sub/5.zip missing"},
			damage: func(f map[string]string) {
				f["sub/1.zip"] = "\x00" + f["sub/1.zip"][1:]
				f["sub/2.zip"] += "x"
				f["more"] = "m"
				delete(f, "sub/5.zip")
			}},
		"nothing to compare": {knows: all, want: []string{". kind"}, damage: func(f map[string]string) { clear(f) }},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			files := ten()
			transfertest.MakeTree(t, dir+"/good", files)
			m, err := checksum.MakeManifest(t.Context(), dir+"/good", nil)
			if err != nil {
				t.Fatal(err)
			}
			if tc.damage != nil {
				tc.damage(files)
			}
			if len(files) == 0 {
				transfertest.MakeTree(t, dir, map[string]string{"there": "a file"})
			} else {
				transfertest.MakeTree(t, dir+"/there", files)
			}
			h := &hasher{Backend: plain{local.New(nil)}, knows: tc.knows}
			v, err := new(transfer.Copier).Verify(t.Context(), transfer.Location{Backend: h, Path: dir + "/there"}, m, nil)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, d := range v.Differences {
				got = append(got, d.Path+" "+string(d.Kind))
			}
			if strings.Join(got, ", ") != strings.Join(tc.want, ", ") || v.By != tc.by {
				t.Errorf("differences %q by %s, want %q by %s", got, v.By, tc.want, tc.by)
			}
		})
	}
}

// plain hides what a disk can do beside the methods of a Backend.
type plain struct{ transfer.Backend }

func TestVerifyMissing(t *testing.T) {
	_, err := new(transfer.Copier).Verify(t.Context(), transfer.Location{Backend: local.New(nil), Path: t.TempDir() + "/none"}, &checksum.Manifest{}, nil)
	if !errors.Is(err, transfer.ErrNotExist) {
		t.Errorf("error %v, want ErrNotExist", err)
	}
}

// TestReadBackBy: what the far side can only hash by Adler-32 is compared so, the
// result says it, and a byte that flipped on the way is found.
func TestReadBackBy(t *testing.T) {
	j, from, to := sites(t, ten())
	h := &hasher{Backend: plain{local.New(nil)}, knows: []checksum.Algorithm{checksum.Adler32}}
	j.Target.Backend, j.ReadBack = h, true
	j.BeforeCommit = nil
	res, err := new(transfer.Copier).Copy(t.Context(), j)
	if err != nil {
		t.Fatal(err)
	}
	if !res.ReadBack || res.ReadBackBy != checksum.Adler32 {
		t.Errorf("read back %v by %v, want by adler32", res.ReadBack, res.ReadBackBy)
	}
	transfertest.SameTree(t, from, to)

	// The same again finds the copy, compares it, and says by what.
	j.Claim = "again"
	if res, err = new(transfer.Copier).Copy(t.Context(), j); err != nil || !res.Adopted || res.ReadBackBy != checksum.Adler32 {
		t.Errorf("%+v, %v; want it adopted by adler32", res, err)
	}
	b, err := os.ReadFile(to + "/sub/3.zip")
	if err != nil {
		t.Fatal(err)
	}
	b[7] ^= 1
	if err := os.WriteFile(to+"/sub/3.zip", b, 0o644); err != nil {
		t.Fatal(err)
	}
	j.Claim = "third"
	if res, err = new(transfer.Copier).Copy(t.Context(), j); err != nil || res.Adopted || res.Sent != res.Bytes {
		t.Errorf("%+v, %v; want all sent again", res, err)
	}
	transfertest.SameTree(t, from, to)
}
