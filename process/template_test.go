package process_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cax-go/cax/process"
	"github.com/google/go-cmp/cmp"
)

// TestQuote: every byte but NUL comes through every shell that is here.
func TestQuote(t *testing.T) {
	for _, shell := range []string{"sh", "bash", "dash", "ksh"} {
		t.Run(shell, func(t *testing.T) {
			path, err := exec.LookPath(shell)
			if err != nil {
				t.Skip(err)
			}
			var all []string
			for c := 1; c < 256; c++ {
				all = append(all, string([]byte{byte(c)}), "a"+string([]byte{byte(c), byte(c)})+"'b")
			}
			var b strings.Builder
			for _, s := range all {
				b.WriteString(`printf '%s\000' ` + process.Quote(s) + "\n")
			}
			script := filepath.Join(t.TempDir(), "script")
			if err := os.WriteFile(script, []byte(b.String()), 0o600); err != nil {
				t.Fatal(err)
			}
			out, err := exec.CommandContext(t.Context(), path, script).Output()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(append(all, ""), strings.Split(string(out), "\x00")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestTemplate(t *testing.T) {
	data := map[string]any{"S": "it's $(x)", "L": []string{"a", "", "b c"}, "N": 7, "E": "", "None": []string{}}
	for _, tc := range []struct{ name, text, want string }{
		{"word", "echo {{.S}}\n", `echo 'it'\''s $(x)'` + "\n"},
		{"list", "{{.L}}\n", "'a' '' 'b c'\n"},
		{"number", "n={{.N}}\n", "n='7'\n"},
		{"empty", "n={{.E}}\n", "n=''\n"},
		{"empty list", "x {{.None}}\n", "x \n"},
		{"said twice", "{{.S | sh}}\n", `'it'\''s $(x)'` + "\n"},
		{"through functions", `{{trimprefix "it" .S | printf "%s-%s" "a"}}` + "\n", `'a-'\''s $(x)'` + "\n"},
		{"constant", `{{"a b"}}` + "\n", "'a b'\n"},
		{"within a word", "/data/{{.N}}/x\n", "/data/'7'/x\n"},
		{"if", "{{if .E}}a {{.E}}{{else}}b {{.N}}{{end}}\n", "b '7'\n"},
		{"range", "{{range .L}}echo {{.}}\n{{end}}", "echo 'a'\necho ''\necho 'b c'\n"},
		{"variable", "{{$x := .N}}echo {{$x}}\n", "echo '7'\n"},
		{"substitution", "x=$(echo {{.N}})\n", "x=$(echo '7')\n"},
		{"substitution in quotes", `x="$(echo {{.N}} "y")"` + "\n", `x="$(echo '7' "y")"` + "\n"},
		{"after a comment", "# it's\necho {{.N}} # don't\nx={{.N}}\n", "# it's\necho '7' # don't\nx='7'\n"},
		{"no comment", "echo a#b $# ${#x} {{.N}}\n", "echo a#b $# ${#x} '7'\n"},
		{"after quotes", `echo "it's" 'say "' \' \" {{.N}}` + "\n", `echo "it's" 'say "' \' \" '7'` + "\n"},
		{"here-string", "cat <<<{{.N}}\n", "cat <<<'7'\n"},
		{"case", "case {{.N}} in\n7) echo {{.N}};;\n(8) ;;\nesac\n", "case '7' in\n7) echo '7';;\n(8) ;;\nesac\n"},
		{"arithmetic", "n=$((1 + (2)))\necho {{.N}}\n", "n=$((1 + (2)))\necho '7'\n"},
		{"pid", "echo $$ {{.N}}\n", "echo $$ '7'\n"},
		{"trimmed", "y\n{{- if .N}}\nx {{.N}}\n{{- end}}\n", "y\nx '7'\n"},
		{"comment of the template", "{{/* it's */}}x\n", "x\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tmpl, err := process.ParseTemplate("test", "#!/bin/bash\n"+tc.text)
			if err != nil {
				t.Fatal(err)
			}
			for range 2 { // executing changes nothing
				got, err := tmpl.Execute(data)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff("#!/bin/bash\n"+tc.want, string(got)); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

// TestTemplateRefused: where quotes would not hold, a value may not stand.
func TestTemplateRefused(t *testing.T) {
	for _, tc := range []struct{ name, text string }{
		{"double quotes", "#!/bin/sh\necho \"{{.X}}\"\n"},
		{"single quotes", "#!/bin/sh\necho '{{.X}}'\n"},
		{"comment", "#!/bin/sh\n# {{.X}}\n"},
		{"directive", "#!/bin/sh\n#SBATCH --job-name={{.X}}\n"},
		{"first line", "#!/bin/sh {{.X}}\n"},
		{"backquotes", "#!/bin/sh\nx=`echo {{.X}}`\n"},
		{"backquotes anywhere", "#!/bin/sh\nx=`date`\n"},
		{"here-document", "#!/bin/sh\ncat <<EOF\n{{.X}}\nEOF\n"},
		{"here-document, word", "#!/bin/sh\ncat <<{{.X}}\n"},
		{"here-document, quoted", "#!/bin/sh\ncat <<'EOF'\nEOF\n"},
		{"here-document, escaped", "#!/bin/sh\ncat <<\\EOF\nEOF\n"},
		{"parameter", "#!/bin/sh\necho ${x:-{{.X}}}\n"},
		{"parameter in quotes", "#!/bin/sh\necho \"${x:-{{.X}}}\"\n"},
		{"quotes in a parameter", "#!/bin/sh\necho \"${x:-\"y\"}\" {{.X}}\n"},
		{"arithmetic", "#!/bin/bash\necho $(({{.X}} + 1))\n"},
		{"arithmetic command", "#!/bin/bash\n(( {{.X}} ))\n"},
		{"substitution in arithmetic", "#!/bin/bash\necho $(( $(echo {{.X}}) ))\n"},
		{"after a dollar", "#!/bin/bash\necho ${{.X}}\n"},
		{"after a backslash", "#!/bin/bash\necho \\{{.X}}\n"},
		{"ANSI quotes", "#!/bin/bash\necho $'it\\'s' {{.X}}\n"},
		{"quotes in a substitution in quotes", "#!/bin/bash\necho \"$(echo \"{{.X}}\")\"\n"},
		{"case in a substitution", "#!/bin/bash\necho \"$(case x in x) echo \"{{.X}}\";; esac)\"\n"},
		{"quotes opened in a branch", "#!/bin/sh\n{{if .X}}\"{{end}}{{.X}}\n"},
		{"quotes opened in a loop", "#!/bin/sh\n{{range .X}}\"{{end}}{{.X}}\n"},
		{"comment that depends on a value", "#!/bin/sh\necho {{.X}}#it's\n"},
		{"open quotes", "#!/bin/sh\necho 'a\n"},
		{"open substitution", "#!/bin/sh\necho $(a\n"},
		{"open backslash", "#!/bin/sh\necho \\"},
		{"define", "#!/bin/sh\n{{define \"a\"}}'{{end}}\n"},
		{"template", "#!/bin/sh\n{{template \"a\"}}\n"},
		{"block", "#!/bin/sh\n{{block \"a\" .}}x{{end}}\n"},
		{"no shell", "echo {{.X}}\n"},
		{"csh", "#!/bin/csh\necho {{.X}}\n"},
		{"python", "#!/usr/bin/env python3\nprint({{.X}})\n"},
		{"no template", "#!/bin/sh\n{{.X\n"},
		{"unknown function", "#!/bin/sh\n{{nope .X}}\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := process.ParseTemplate("test", tc.text); !errors.Is(err, process.ErrInvalid) {
				t.Errorf("error %v, want ErrInvalid", err)
			}
		})
	}
}

// TestTemplateLine: the message tells where.
func TestTemplateLine(t *testing.T) {
	_, err := process.ParseTemplate("job.sh", "#!/bin/sh\necho {{.X}}\n{{- if .X}}\necho \"{{.Y}}\"\n{{end}}")
	if err == nil || !strings.Contains(err.Error(), "line 4:") || !strings.Contains(err.Error(), "{{.Y}}") {
		t.Errorf("error %v does not name line 4", err)
	}
}

func TestTemplateData(t *testing.T) {
	tmpl, err := process.ParseTemplate("test", "#!/bin/sh\necho {{.X}}\n")
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string]any{
		"missing": map[string]any{}, "no field": struct{ Y string }{}, "NUL": map[string]any{"X": "a\x00b"},
		"NUL in a list": map[string]any{"X": []string{"\x00"}}, "nil": map[string]any{"X": nil}, "map": map[string]any{"X": map[string]int{}},
	} {
		if s, err := tmpl.Execute(data); !errors.Is(err, process.ErrInvalid) {
			t.Errorf("%s: %q, error %v, want ErrInvalid", name, s, err)
		}
	}
}

// FuzzTemplate: whatever text a template has, if it is accepted, a value cannot
// make the shell run something. The template's own text is not run either: the
// shell only reads it (-n), and then the script in which the value has been
// replaced by a plain word must be just as good.
func FuzzTemplate(f *testing.F) {
	for _, s := range []string{"echo {{.X}}\n", "echo \"{{.X}}\"\n", "x=$(a {{.X}} \"b\")\n", "a 'b' # c\n{{.X}}", "${a}{{.X}}", "case a in b) {{.X}};; esac", "$((1))"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		tmpl, err := process.ParseTemplate("fuzz", "#!/bin/bash\n"+text)
		if err != nil {
			return
		}
		valid := func(value string) bool {
			s, err := tmpl.Execute(map[string]string{"X": value})
			if err != nil {
				return false
			}
			cmd := exec.CommandContext(t.Context(), "bash", "-n")
			cmd.Stdin = strings.NewReader(string(s))
			return cmd.Run() == nil
		}
		if valid("plain") && !valid("'\"`$( \\ ") {
			t.Errorf("a value breaks out of %q", text)
		}
	})
}

// TestDefaultTemplate: the job runs the command in its folder, with what was set up,
// and ends with its exit code.
func TestDefaultTemplate(t *testing.T) {
	tmpl, err := process.ParseTemplate("default", process.DefaultTemplate())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	env := filepath.Join(dir, "it's set up")
	if err := os.WriteFile(env, []byte("said=\"$1\"; export said\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name  string
		setup []string
		code  int
		out   string
	}{
		{"plain", nil, 0, ""},
		{"fails", nil, 3, ""},
		{"set up", []string{"source", env, "$(evil)"}, 4, "$(evil)"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			work := filepath.Join(dir, "work of 'us'", tc.name)
			script, err := tmpl.Execute(process.JobData{
				Use: "raw", Number: 5000, Name: "160315_1432", Dir: work, Setup: tc.setup,
				Command: []string{"sh", "-c", `printf %s "$said" >out; exit "$1"`, "sh", string(rune('0' + tc.code))},
			})
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), "bash", "-c", string(script))
			msg, _ := cmd.CombinedOutput()
			if got := cmd.ProcessState.ExitCode(); got != tc.code {
				t.Errorf("exit code %d, want %d: %s", got, tc.code, msg)
			}
			out, err := os.ReadFile(filepath.Join(work, "out"))
			if err != nil || string(out) != tc.out {
				t.Errorf("it left %q, %v; want %q", out, err, tc.out)
			}
		})
	}
}

func TestScript(t *testing.T) {
	for _, tc := range []struct {
		script     process.Script
		shell      []string
		directives []string
	}{
		{"#!/bin/sh\n", []string{"/bin/sh"}, nil},
		{"#! /bin/bash -l\n\n#SBATCH --mem=1\n# x\n#SBATCH -q a\r\ntrue\n#SBATCH --late\n", []string{"/bin/bash", "-l"}, []string{"#SBATCH --mem=1", "#SBATCH -q a"}},
		{"#!/usr/bin/env bash\ntrue", []string{"/usr/bin/env", "bash"}, nil},
		{"#!/usr/bin/env python\n", nil, nil},
		{"#!/usr/bin/env\n", nil, nil},
		{"#!/bin/tcsh\n", nil, nil},
		{"#!\n", nil, nil},
		{"", nil, nil},
	} {
		got, err := tc.script.Interpreter()
		if diff := cmp.Diff(tc.shell, got); diff != "" || (err != nil) != (tc.shell == nil) {
			t.Errorf("%q: %s, %v", tc.script, diff, err)
		}
		if diff := cmp.Diff(tc.directives, tc.script.Directives()); tc.shell != nil && diff != "" {
			t.Errorf("%q: %s", tc.script, diff)
		}
	}
}
