package command_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/cax-go/cax/cmd/internal/command"
	"github.com/google/go-cmp/cmp"
	"github.com/urfave/cli/v2"
)

func app() *cli.App {
	return &cli.App{
		Name: "cax",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "host"},
			&cli.StringFlag{Name: "log-file"},
			&cli.BoolFlag{Name: "dry-run", Aliases: []string{"disable_database_update"}},
			&cli.Int64Flag{Name: "run"},
		},
		Commands: []*cli.Command{
			{Name: "register", Flags: []cli.Flag{&cli.StringFlag{Name: "type"}, &cli.StringSliceFlag{Name: "tag"}}},
			{Name: "status", Flags: []cli.Flag{&cli.StringSliceFlag{Name: "type"}}},
			{Name: "db", Subcommands: []*cli.Command{{Name: "init"}, {Name: "export", Flags: []cli.Flag{&cli.StringFlag{Name: "format"}}}}},
		},
	}
}

func TestPermute(t *testing.T) {
	for _, tc := range []struct {
		name, args, want string
	}{
		{"nothing", "", ""},
		{"global only", "--host A --dry-run", "--host=A --dry-run"},
		{"before", "--host A register --type raw P", "--host=A register --type=raw -- P"},
		{"after", "register --type raw --host A P", "--host=A register --type=raw -- P"},
		{"after the path", "register P --type raw --host A --dry-run", "--host=A --dry-run register --type=raw -- P"},
		{"command flag before the command", "--type raw status", "status --type=raw"},
		{"one dash", "-host A status", "--host=A status"},
		{"equals", "status --host=A --type=raw", "--host=A status --type=raw"},
		{"alias", "--disable_database_update status", "--disable_database_update status"},
		{"alias with hyphens", "--disable-database-update status", "--disable_database_update status"},
		{"underscore", "--log_file x status", "--log-file=x status"},
		{"negative value", "status --run -1", "--run=-1 status"},
		{"subcommand", "db --host A export --format x out", "--host=A db export --format=x -- out"},
		{"subcommand flag early", "db --format x export", "db export --format=x"},
		{"end of flags", "register -- --host", "register -- --host"},
		{"dash is an argument", "register -", "register -- -"},
		{"repeated slice", "register --tag a P --tag b", "register --tag=a --tag=b -- P"},
		{"same twice", "--host A status --host A", "--host=A --host=A status"},
		{"value that looks like a flag", "--host=--run status", "--host=--run status"},
		{"argument called like a command", "register status", "register -- status"},
		{"argument called help", "register help", "register -- help"},
		{"help flag anywhere", "register P --help", "register --help"},
		{"help command", "help register", "register --help"},
		{"help of a subcommand", "help db init", "db init --help"},
		{"help alone", "help", "--help"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := command.Permute(app(), strings.Fields(tc.args))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tc.want, strings.Join(got, " ")); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestPermuteRefuses(t *testing.T) {
	for _, tc := range []struct {
		name, args string
		wantNext   string // in the next step
	}{
		{"unknown command", "statsu", "did you mean status?"},
		{"unknown subcommand", "db exprot", "did you mean export?"},
		{"nothing near", "frobnicate", "it has register, status, db"},
		{"unknown flag", "--hots A", "did you mean --host?"},
		{"unknown flag of a command", "register --tpye raw", "did you mean --type?"},
		{"flag of another command", "status --tag x", "it belongs to cax register"},
		{"flag of another command, before", "--tag x status", "it belongs to cax register"},
		{"command flag without a command", "--type raw", "it belongs to cax register"},
		{"no value", "status --host", ""},
		{"value is a flag", "--host --dry-run", "--host=--dry-run"},
		{"twice", "--run 1 status --run 2", "once"},
		{"arguments without a command", "-- x", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := command.Permute(app(), strings.Fields(tc.args))
			var usage *command.UsageError
			if !errors.As(err, &usage) {
				t.Fatalf("got %q, %v; want a usage error", got, err)
			}
			if !strings.Contains(usage.Next, tc.wantNext) {
				t.Errorf("next step is %q, want %q in it", usage.Next, tc.wantNext)
			}
		})
	}
}

func TestPrintable(t *testing.T) {
	for _, tc := range []struct{ name, in, want string }{
		{"plain", `a b "c" \ ä`, `a b "c" \ ä`},
		{"newline", "a\nb", `a\nb`},
		{"escape", "a\x1b[31m", `a\x1b[31m`},
		{"not UTF-8", "a\xffb", `a\xffb`},
		{"right to left", "a\u202eb", `a\u202eb`},
		{"quotes stay", "\"\n\\", `"\n\`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := command.Printable(tc.in); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}
