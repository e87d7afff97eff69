package main

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/constant"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// A declaration is a function, or a variable or constant of a package, with what
// its source names.
type declaration struct {
	uses   map[string]bool // other declarations, by their full names
	names  map[string]bool // variables of the environment
	values map[string]bool // constants, as constant.Value writes them exactly
}

// sources are the declarations of the command and of all that it imports of the
// module, by their full names: what is called through an interface is not
// followed, what is passed on is.
//
//nolint:gochecknoglobals // it takes seconds, and two tests ask.
var sources = sync.OnceValues(readSources)

// A listed is a package as go list tells of it.
type listed struct {
	ImportPath, Dir, Export string
	GoFiles                 []string
	Module                  *struct{ Path string }
}

func readSources() (map[string]*declaration, error) {
	out, err := exec.Command("go", "list", "-export", "-deps", "-json=ImportPath,Dir,Export,GoFiles,Module", ".").Output()
	if err != nil {
		return nil, err
	}
	var packages []listed
	exports := map[string]string{}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		exports[p.ImportPath] = p.Export
		if p.Module != nil && p.Module.Path == modulePath {
			packages = append(packages, p)
		}
	}
	set := token.NewFileSet()
	config := types.Config{Importer: importer.ForCompiler(set, "gc", func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) })}
	all := map[string]*declaration{}
	for _, p := range packages {
		if err := readPackage(set, &config, p, all); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func readPackage(set *token.FileSet, config *types.Config, p listed, all map[string]*declaration) error {
	var files []*ast.File
	for _, name := range p.GoFiles {
		file, err := parser.ParseFile(set, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		files = append(files, file)
	}
	info := &types.Info{Uses: map[*ast.Ident]types.Object{}, Defs: map[*ast.Ident]types.Object{}, Types: map[ast.Expr]types.TypeAndValue{}}
	if _, err := config.Check(p.ImportPath, set, files, info); err != nil {
		return err
	}
	for _, file := range files {
		for _, decl := range file.Decls {
			switch decl := decl.(type) {
			case *ast.FuncDecl:
				all[fullName(info.Defs[decl.Name])] = declared(info, decl)
			case *ast.GenDecl:
				for _, spec := range decl.Specs {
					if value, ok := spec.(*ast.ValueSpec); ok {
						for _, name := range value.Names {
							all[fullName(info.Defs[name])] = declared(info, value)
						}
					}
				}
			}
		}
	}
	return nil
}

// fullName is that of something of a package, or of a method; empty for what is
// neither.
func fullName(object types.Object) string {
	switch object := object.(type) {
	case *types.Func:
		return object.Origin().FullName()
	case *types.Var, *types.Const:
		if object.Pkg() != nil && object.Parent() == object.Pkg().Scope() {
			return object.Pkg().Path() + "." + object.Name()
		}
	}
	return ""
}

var settingName = regexp.MustCompile(`^REKEY(_[A-Z]+)+$`)

func declared(info *types.Info, node ast.Node) *declaration {
	d := &declaration{map[string]bool{}, map[string]bool{}, map[string]bool{}}
	ast.Inspect(node, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok {
			d.uses[fullName(info.Uses[id])] = true
		}
		if e, ok := n.(ast.Expr); ok && info.Types[e].Value != nil {
			value := info.Types[e].Value
			d.values[value.ExactString()] = true
			if value.Kind() == constant.String && settingName.MatchString(constant.StringVal(value)) {
				d.names[constant.StringVal(value)] = true
			}
		}
		return true
	})
	return d
}

// reach is all that a declaration leads to, itself included, but for what is
// behind the boundaries.
func reach(all map[string]*declaration, from string, boundaries ...string) map[string]bool {
	seen := map[string]bool{}
	todo := []string{from}
	for len(todo) > 0 {
		at := todo[0]
		todo = todo[1:]
		if seen[at] || all[at] == nil || at != from && slices.Contains(boundaries, at) {
			continue
		}
		seen[at] = true
		todo = slices.AppendSeq(todo, maps.Keys(all[at].uses))
	}
	return seen
}

// reads reports whether a declaration leads to one that names a variable.
func reads(all map[string]*declaration, from, name string, boundaries ...string) bool {
	for at := range reach(all, from, boundaries...) {
		if all[at].names[name] {
			return true
		}
	}
	return false
}

// fromEnv is how a consumer takes its settings, whoever it is.
const fromEnv = modulePath + "/runtime/secrets.FromEnv"

var (
	flagName     = regexp.MustCompile("`--[a-z-]+`")
	word         = regexp.MustCompile(`[a-z]+`)
	rekeyCommand = regexp.MustCompile("`rekey ([a-z]+)")
)

// TestTheSettingsSayWhoReadsEachVariable holds the column "read by": it names
// each function that reads the variable by itself, secrets.FromEnv if that does,
// and no others; a command that it names does read it.
func TestTheSettingsSayWhoReadsEachVariable(t *testing.T) {
	t.Parallel()
	all, err := sources()
	if err != nil {
		t.Fatal(err)
	}
	for name, row := range rowsOf(t, "Variables") {
		if len(row) < 4 {
			continue // a label, and no variable
		}
		by := row[2]
		words := word.FindAllString(flagName.ReplaceAllString(by, ""), -1)
		for function := range functions {
			reading := reads(all, modulePath+"/functions/"+function+".New", name, fromEnv)
			if named := slices.Contains(words, function); named != reading {
				t.Errorf("docs/settings.md: %s names the function %s as a reader: %v, but it is one: %v", name, function, named, reading)
			}
		}
		if named, reading := strings.Contains(by, "`secrets.FromEnv`"), all[fromEnv].names[name]; named != reading {
			t.Errorf("docs/settings.md: %s names secrets.FromEnv as a reader: %v, but it is one: %v", name, named, reading)
		}
		for _, m := range rekeyCommand.FindAllStringSubmatch(by, -1) {
			if constructor := "(*" + modulePath + "/cmd/rekey.app)." + m[1] + "Command"; !reads(all, constructor, name) {
				t.Errorf("docs/settings.md: %s names rekey %s as a reader, which is none", name, m[1])
			}
		}
	}
}

// elsewhere are packages that have the default of what others read: they hand an
// empty value on.
var elsewhere = map[string][]string{
	"REKEY_DATABASE_PORT": {"/rotation/postgres.", "/runtime/secretspgx."},
	"REKEY_STRIPE_URL":    {"/rotation/apikey."}, // that of stripe-go is its own
}

// has reports whether a declaration leads to a constant, or a package does that
// has the default of the variable.
func has(all map[string]*declaration, from, name, value string) bool {
	for at := range reach(all, from) {
		if all[at].values[value] {
			return true
		}
	}
	for at, d := range all {
		if d.values[value] && slices.ContainsFunc(elsewhere[name], func(where string) bool { return strings.Contains(at, modulePath+where) }) {
			return true
		}
	}
	return false
}

// product are the packages whose settings the table has defaults of.
var product = regexp.MustCompile(`^\(?\*?` + modulePath + `/(functions|runtime|rotation)\b`)

// TestTheSettingsSayTheDefaultOfEachVariable holds the column "default" to the
// constants that those lead to who read the variable.
func TestTheSettingsSayTheDefaultOfEachVariable(t *testing.T) {
	t.Parallel()
	all, err := sources()
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for name, row := range rowsOf(t, "Variables") {
		if len(row) < 4 || !strings.HasPrefix(row[0], "`") || row[0] == "`false`" {
			continue
		}
		checked++
		text := quoted.FindStringSubmatch(row[0])[1]
		want := strconv.Quote(text)
		if d, err := time.ParseDuration(text); err == nil {
			want = strconv.FormatInt(int64(d), 10)
		} else if n, err := strconv.Atoi(text); err == nil {
			want = strconv.Itoa(n)
		}
		readers := 0
		for from, d := range all {
			if !d.names[name] || !product.MatchString(from) {
				continue
			}
			readers++
			if !has(all, from, name, want) {
				t.Errorf("docs/settings.md: the default of %s is %s, which %s does not have", name, row[0], from)
			}
		}
		if readers == 0 {
			t.Errorf("docs/settings.md: %s has the default %s, but nothing reads it", name, row[0])
		}
	}
	if checked < 8 {
		t.Errorf("only %d defaults were held to the code", checked)
	}
}
