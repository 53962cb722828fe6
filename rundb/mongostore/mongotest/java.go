package mongotest

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

//go:embed server
var source embed.FS

// startTimeout is how long the server may take to say its port.
const startTimeout = 60 * time.Second

// A javaServer is a running server. It ends when stdin is closed: by the end of
// this process, or once nothing refers to it any more.
type javaServer struct {
	uri   string
	stdin io.WriteCloser
}

// startJava builds the server if need be and starts it.
func startJava() (*javaServer, error) {
	dir, err := build()
	if err != nil {
		return nil, err
	}
	// A small heap is enough, and the machine is shared.
	cmd := exec.Command("java", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
		"-cp", filepath.Join(dir, "lib", "*")+string(os.PathListSeparator)+dir, "Server")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	port := make(chan int, 1)
	go func() {
		var n int
		if _, err := fmt.Fscanf(bufio.NewReader(out), "port %d\n", &n); err != nil {
			n = 0
		}
		port <- n
	}()
	select {
	case n := <-port:
		if n != 0 {
			return &javaServer{uri: fmt.Sprintf("mongodb://127.0.0.1:%d", n), stdin: stdin}, nil
		}
	case <-time.After(startTimeout):
	}
	cmd.Process.Kill()
	cmd.Wait()
	return nil, fmt.Errorf("it says no port: %s", bytes.TrimSpace(stderr.Bytes()))
}

// build returns the folder with the compiled server and its jars. The folder is
// named by the source, is made by one process at a time, and is complete when it
// is there.
func build() (string, error) {
	for _, tool := range []string{"java", "javac", "mvn"} {
		if _, err := exec.LookPath(tool); err != nil {
			return "", err
		}
	}
	cache := os.Getenv("CAX_TEST_CACHE")
	if cache == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return "", err
		}
		cache = filepath.Join(user, "cax-test")
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	lock, err := os.OpenFile(filepath.Join(cache, "mongotest.lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return "", err
	}
	id, err := sourceID()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "mongotest-"+id)
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return dir, err
	}
	tmp, err := os.MkdirTemp(cache, "mongotest-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp)
	if err := compile(tmp); err != nil {
		return "", err
	}
	return dir, os.Rename(tmp, dir)
}

func compile(dir string) error {
	for _, name := range []string{"pom.xml", "Server.java"} {
		b, err := source.ReadFile("server/" + name)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			return err
		}
	}
	for _, argv := range [][]string{
		{"mvn", "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=lib"},
		{"javac", "-cp", filepath.Join("lib", "*"), "-d", ".", "Server.java"},
	} {
		cmd := exec.Command(argv[0], argv[1:]...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", argv[0], err, bytes.TrimSpace(out))
		}
	}
	return nil
}

// sourceID names the source by its content.
func sourceID() (string, error) {
	h := sha256.New()
	for _, name := range []string{"pom.xml", "Server.java"} {
		b, err := source.ReadFile("server/" + name)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(h, "%s %d\n%s", name, len(b), b)
	}
	return hex.EncodeToString(h.Sum(nil)[:8]), nil
}
