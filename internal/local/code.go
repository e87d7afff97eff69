package local

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/rekey-go/rekey/internal/local/gobuild"
	"github.com/rekey-go/rekey/internal/local/lambda"
	"github.com/rekey-go/rekey/internal/local/template"
)

// load sets what a template's function is started with: a function of this
// binary, where CodeUri names one, and else the user's own code, which lies
// relative to the template.
func (e *deployment) load(r template.Resource, p *functionProperties, f *lambda.Function) (err error) {
	var unknown error
	if f.Command, unknown = e.opts.Command(p.CodeURI); unknown == nil {
		return nil
	}
	if bucket, key, ok := strings.Cut(strings.TrimPrefix(p.CodeURI, objectScheme), "/"); ok && strings.HasPrefix(p.CodeURI, objectScheme) {
		if err := e.loadObject(f, bucket, key); err != nil {
			return r.Errorf("build it for this machine or for Linux on arm64, with the bootstrap at the top of the zip file", "function %q: %v", r.ID, err)
		}
		return nil
	}
	source := p.CodeURI
	if !filepath.IsAbs(source) {
		source = filepath.Join(filepath.Dir(e.file), source)
	}
	if _, err := os.Stat(source); p.CodeURI == "" || err != nil {
		return r.Errorf("CodeUri names a folder functions/NAME/bootstrap, or relative to the template a folder with a Go program or a bootstrap, or a zip file",
			"function %q: %v", r.ID, unknown)
	}
	if p.Runtime != "" && !strings.HasPrefix(p.Runtime, "provided.") {
		return r.Errorf("write the function in Go with Runtime: provided.al2023, or give it a bootstrap of its own",
			"function %q: the engine has no runtime %s", r.ID, p.Runtime)
	}
	if f.Code, err = e.code(source); err != nil {
		return r.Errorf("mend the function's code, or name other code in CodeUri", "function %q: %v", r.ID, err)
	}
	f.Command = []string{filepath.Join(f.Code.Dir, gobuild.Bootstrap)}
	return nil
}

// code makes a function's code of a zip file, a folder with a bootstrap, or
// one with a Go program.
func (e *deployment) code(source string) (lambda.Code, error) {
	if strings.HasSuffix(source, ".zip") {
		archive, err := os.ReadFile(source) //nolint:gosec // the template's own file.
		if err != nil {
			return lambda.Code{}, fmt.Errorf("reading the deployment package: %w", err)
		}
		return e.Lambda.Unpack(archive)
	}
	if info, err := os.Stat(filepath.Join(source, gobuild.Bootstrap)); err == nil && info.Mode().IsRegular() {
		dir, err := filepath.Abs(source)
		return lambda.Code{Dir: dir}, err
	}
	if !gobuild.Has(source) {
		return lambda.Code{}, fmt.Errorf("%s has neither a bootstrap nor a Go program", source)
	}
	dir, err := e.Lambda.NewCodeDir()
	if err != nil {
		return lambda.Code{}, err
	}
	return lambda.Code{Dir: dir}, gobuild.Build(context.Background(), source, dir)
}
