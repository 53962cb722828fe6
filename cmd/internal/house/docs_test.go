package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// TestDocs: every package has a comment, and every exported name has one that
// is not empty.
func TestDocs(t *testing.T) {
	const root = "../../.."
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		if n := d.Name(); p != root && (strings.HasPrefix(n, ".") || n == "testdata") {
			return fs.SkipDir
		}
		checkFolder(t, p)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func checkFolder(t *testing.T, dir string) {
	files, err := filepath.Glob(dir + "/*.go")
	if err != nil {
		t.Fatal(err)
	}
	fset := token.NewFileSet()
	said, any := false, false
	for _, f := range files {
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		any = true
		tree, err := parser.ParseFile(fset, f, nil, parser.ParseComments)
		if err != nil {
			t.Error(err)
			continue
		}
		said = said || tree.Doc != nil
		for _, d := range tree.Decls {
			checkDecl(t, fset, d)
		}
	}
	if any && !said {
		t.Errorf("%s: the package has no comment", dir)
	}
}

func checkDecl(t *testing.T, fset *token.FileSet, d ast.Decl) {
	missing := func(n *ast.Ident) {
		if n.IsExported() {
			t.Errorf("%s: %s has no comment", fset.Position(n.Pos()), n.Name)
		}
	}
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Doc == nil && exportedReceiver(d) {
			missing(d.Name)
		}
	case *ast.GenDecl:
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.TypeSpec:
				if d.Doc == nil && s.Doc == nil {
					missing(s.Name)
				}
			case *ast.ValueSpec:
				// A comment on the group, or at the end of the line, will do.
				if d.Doc == nil && s.Doc == nil && s.Comment == nil {
					for _, n := range s.Names {
						missing(n)
					}
				}
			}
		}
	}
}

// exportedReceiver reports whether a function can be seen from outside: it is no
// method, or one of an exported type.
func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	typ := d.Recv.List[0].Type
	if s, ok := typ.(*ast.StarExpr); ok {
		typ = s.X
	}
	n, ok := typ.(*ast.Ident)
	return ok && n.IsExported()
}
