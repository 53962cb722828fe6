package checksum

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// dropCache writes a file's dirty pages to the medium and drops all its pages, so
// that what is read next comes from there. It is advice: a file system that
// ignores it, or has no medium, is read as it is.
func dropCache(f *os.File) {
	_ = f.Sync()
	_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
}

func openNonblock(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
}
