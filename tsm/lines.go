package tsm

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
)

// longestLine bounds what is kept of a line; the rest of a longer one is passed over.
const longestLine = 1 << 20

// eachLine calls f for each line, without its end, and without what a carriage return
// overwrote. The last line may have no end: a prompt. It returns the reader's error.
func eachLine(r io.Reader, f func(string)) error {
	br := bufio.NewReaderSize(r, 64<<10)
	var long []byte
	for {
		part, err := br.ReadSlice('\n')
		if room := longestLine - len(long); len(part) > room {
			long = append(long, part[:room]...)
		} else {
			long = append(long, part...)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if len(long) > 0 {
			f(clean(long))
			long = long[:0]
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func clean(line []byte) string {
	line = bytes.TrimRight(line, "\r\n")
	if i := bytes.LastIndexByte(line, '\r'); i >= 0 {
		line = line[i+1:]
	}
	return strings.Clone(string(line))
}
