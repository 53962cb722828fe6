// Command massive-tsm copies many runs to tape or back, with a log for each.
package main

import (
	"context"
	"os"

	"github.com/cax-go/cax/cmd/internal/command"
)

func main() {
	ctx, stop := command.Signals(context.Background())
	code := command.Run(ctx, newApp(os.Stdin, os.Stdout, os.Stderr), os.Args)
	stop()
	os.Exit(code)
}
