package checksum

import (
	"os"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// TestDropCache asks the kernel how many pages of a file are in memory.
func TestDropCache(t *testing.T) {
	f, err := os.Create(t.TempDir() + "/f")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var fs unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &fs); err != nil {
		t.Fatal(err)
	}
	if fs.Type != unix.EXT4_SUPER_MAGIC && fs.Type != unix.XFS_SUPER_MAGIC {
		t.Skipf("the temporary directory is on a file system of type %#x, which may have no medium; set TMPDIR to one on ext4 or xfs", fs.Type)
	}
	const size = 8 << 20
	if _, err := f.Write(make([]byte, size)); err != nil {
		t.Fatal(err)
	}
	resident := func() (n int) {
		m, err := syscall.Mmap(int(f.Fd()), 0, size, syscall.PROT_READ, syscall.MAP_SHARED)
		if err != nil {
			t.Fatal(err)
		}
		defer syscall.Munmap(m)
		pages := make([]byte, size/os.Getpagesize())
		if _, _, e := syscall.Syscall(syscall.SYS_MINCORE, uintptr(unsafe.Pointer(&m[0])), size, uintptr(unsafe.Pointer(&pages[0]))); e != 0 {
			t.Fatal(e)
		}
		for _, p := range pages {
			n += int(p & 1)
		}
		return n
	}
	before := resident()
	if err := dropCache(f); err != nil {
		t.Fatal(err)
	}
	if after := resident(); before == 0 || after > 0 {
		t.Errorf("%d pages are in memory; %d were before", after, before)
	}
}
