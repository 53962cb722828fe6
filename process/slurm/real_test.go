package slurm_test

import (
	"testing"
	"time"

	"github.com/cax-go/cax/process"
	"github.com/cax-go/cax/process/processtest"
	"github.com/cax-go/cax/process/slurm"
	"github.com/cax-go/cax/process/slurmtest"
)

// TestSuite: as every batch system. Slurm counts walltime in minutes.
func TestSuite(t *testing.T) {
	c := slurmtest.Start(t, &slurmtest.Options{CPUs: 32})
	processtest.Run(t, processtest.Harness{
		Open:     func(*testing.T) process.Batch { return slurm.New(&slurm.Options{Env: c.Env()}) },
		Walltime: time.Minute,
	})
}
