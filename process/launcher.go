package process

import (
	"slices"
	"strings"
)

// launcher makes the script that a batch system runs for each task of a
// submission: it runs the task's own script at most once, and leaves its exit code
// in one step. Its argument is the task's number; Slurm gives that of an array in
// the environment.
//
// Whoever makes the link "started" may run the task. Its text is unique, so that
// an answer that a network file system lost does not keep the task from running.
func launcher(dir string, interpreter, directives []string) string {
	var b strings.Builder
	b.WriteString("#!/bin/sh\n")
	for _, d := range directives {
		b.WriteString(d + "\n")
	}
	words := slices.Clone(interpreter)
	for i, w := range words {
		words[i] = Quote(w)
	}
	b.WriteString("dir=" + Quote(dir) + "\n" + `task=${1:-${SLURM_ARRAY_TASK_ID:-0}}
job=$dir/$task
me="run:$(uname -n):${SLURM_JOB_ID:-}:$$"
if ! ln -s "$me" "$job/started" 2>/dev/null && [ "$(readlink "$job/started")" != "$me" ]; then
	echo "cax: this job has been started before, or is not wanted any more" >&2
	exit 75
fi
cd "$job" || exit 75
signal=
trap 'signal=TERM; kill -TERM "$child" 2>/dev/null' TERM
` + strings.Join(words, " ") + ` ./script </dev/null &
child=$!
wait "$child"
code=$?
while [ -n "$signal" ] && kill -0 "$child" 2>/dev/null; do
	wait "$child"
	code=$?
done
if ! { echo "exit $code" >result.new && mv result.new result; }; then
	echo "cax: the exit code $code cannot be written" >&2
	[ "$code" != 0 ] || code=74
fi
exit "$code"
`)
	return b.String()
}
