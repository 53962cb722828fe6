// Command ruciax uploads datasets into a Rucio catalogue and looks after their rules.
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
