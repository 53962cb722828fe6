package process

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"strings"
	"text/template"
	"text/template/parse"
)

// A Template makes shell scripts. It is a text/template in which every value
// that is printed comes out quoted for the shell: {{.Name}} gives one word
// whatever bytes are in it, a list such as {{.Command}} one word for each
// element. The function sh does so and is applied to each action by itself. The
// functions base, dir and trimprefix (of prefix and text) take paths and texts apart.
//
// The first line names the shell: sh, bash, dash or ksh, as "#!/bin/bash". A
// value may stand wherever a word may stand. It may not stand within quotes, in a
// comment, in a here-document or in ${…}, because there its quotes would not
// hold; give it to a variable first, and use that:
//
//	work={{.Dir}}
//	cd "$work" || exit
//
// ParseTemplate refuses templates that do otherwise, and the few constructs that
// cannot be told apart without running the shell: here-documents, backquotes, $'…',
// quotes within ${…}, case within parentheses.
//
// A Template is safe for concurrent use.
type Template struct {
	name string
	t    *template.Template
}

// ParseTemplate reads a template. The error says in which line it is wrong, and
// wraps ErrInvalid. The name is for messages.
func ParseTemplate(name, text string) (*Template, error) {
	bad := func(err error, hint string) (*Template, error) {
		return nil, &Error{Op: "template", What: name, Kind: ErrInvalid, Err: err, Hint: hint}
	}
	if _, err := Script(text).Interpreter(); err != nil {
		return bad(err, `begin it with the line "#!/bin/bash" or "#!/bin/sh"`)
	}
	t, err := template.New(name).Option("missingkey=error").Funcs(template.FuncMap{
		"sh": quoteAny, "base": path.Base, "dir": path.Dir,
		"trimprefix": func(prefix, s string) string { return strings.TrimPrefix(s, prefix) },
	}).Parse(text)
	if err != nil {
		return bad(err, "")
	}
	if len(t.Templates()) > 1 {
		return bad(errors.New("define and block cannot be judged"), "write the script as one text")
	}
	c := checker{source: text}
	if err := c.list(t.Root); err != nil {
		return bad(err, "")
	}
	if err := c.lex.end(); err != nil {
		return bad(err, "")
	}
	return &Template{name: name, t: t}, nil
}

// Execute makes a script. A field that the data do not have is an error that
// wraps ErrInvalid, as is a value with a NUL byte.
func (t *Template) Execute(data any) (Script, error) {
	var b bytes.Buffer
	if err := t.t.Execute(&b, data); err != nil {
		return "", &Error{Op: "template", What: t.name, Kind: ErrInvalid, Err: err}
	}
	return Script(b.String()), nil
}

// A checker goes through a template as its text will come out, looks at each
// place where a value is printed, and has it quoted.
type checker struct {
	source string
	lex    lexer
}

// at says in which line an error is.
func (c *checker) at(pos int, err error) error {
	return fmt.Errorf("line %d: %w", 1+strings.Count(c.source[:min(pos, len(c.source))], "\n"), err)
}

func (c *checker) list(l *parse.ListNode) error {
	if l == nil {
		return nil
	}
	for _, n := range l.Nodes {
		if err := c.node(n); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) node(n parse.Node) error {
	pos := int(n.Position())
	switch n := n.(type) {
	case *parse.TextNode:
		if i, err := c.lex.text(n.Text); err != nil {
			return c.at(pos+i, err)
		}
		return nil
	case *parse.CommentNode:
		return nil
	case *parse.ActionNode:
		if len(n.Pipe.Decl) > 0 {
			return nil // prints nothing
		}
		if err := c.lex.value(); err != nil {
			return c.at(pos, fmt.Errorf("%s %w", n, err))
		}
		quoteLast(n.Pipe)
		return nil
	case *parse.IfNode:
		return c.branches(&n.BranchNode, false)
	case *parse.WithNode:
		return c.branches(&n.BranchNode, false)
	case *parse.RangeNode:
		return c.branches(&n.BranchNode, true)
	default:
		return c.at(pos, fmt.Errorf("%s is not allowed in a script", n))
	}
}

// branches follows both ways through an if, with or range: the place behind it
// must be the same on either. A range is gone through twice, since its text may
// follow itself.
func (c *checker) branches(n *parse.BranchNode, loop bool) error {
	before := c.lex
	if err := c.list(n.List); err != nil {
		return err
	}
	if loop {
		if err := c.lex.join(before); err != nil {
			return c.at(int(n.Pos), err)
		}
		if err := c.list(n.List); err != nil {
			return err
		}
	}
	after := c.lex
	c.lex = before
	if err := c.list(n.ElseList); err != nil {
		return err
	}
	if err := c.lex.join(after); err != nil {
		return c.at(int(n.Pos), err)
	}
	return nil
}

// quoteLast appends the function sh to a pipeline, unless that ends in it.
func quoteLast(p *parse.PipeNode) {
	last := p.Cmds[len(p.Cmds)-1]
	if id, ok := last.Args[0].(*parse.IdentifierNode); ok && id.Ident == "sh" {
		return
	}
	id := parse.NewIdentifier("sh").SetPos(p.Pos)
	p.Cmds = append(p.Cmds, &parse.CommandNode{NodeType: parse.NodeCommand, Pos: p.Pos, Args: []parse.Node{id}})
}
