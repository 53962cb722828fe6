package checksum

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// dropCache writes a file's dirty pages to the medium and drops all its pages, so
// that what is read next comes from there. It is advice: a file system that
// ignores it, or has no medium, is read as it is. Pages that cannot be written are
// an error, though: dropping them would lose data, and the medium is failing.
func dropCache(f *os.File) error {
	err := f.Sync()
	if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.EROFS) && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
	return nil
}

func openNonblock(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
}
