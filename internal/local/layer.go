package local

import (
	"cmp"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/rekey-go/rekey/internal/local/lambda"
	"github.com/rekey-go/rekey/internal/local/template"
)

// makeLayer makes a layer of its extensions: this binary, where ContentUri
// names one that it is, and else the programs in the folder extensions, relative
// to the template. The rest of a layer, which AWS puts below /opt, is left out.
func (e *deployment) makeLayer(r template.Resource) error {
	var p struct {
		LayerName  string `yaml:"LayerName"`
		ContentURI string `yaml:"ContentUri"`
	}
	if err := e.plan.Properties(r.ID, &p); err != nil {
		return err
	}
	all, err := e.layer(r, p.ContentURI)
	if err != nil {
		return err
	}
	arn := "arn:aws:lambda:" + Region + ":" + Account + ":layer:" + cmp.Or(p.LayerName, e.nameFor(r.ID)) + ":1"
	e.layers[arn] = all
	e.plan.Set(r.ID, arn, nil)
	return nil
}

// layer finds the extensions of a layer.
func (e *deployment) layer(r template.Resource, content string) ([]lambda.Extension, error) {
	if command, err := e.opts.Command(content); err == nil {
		return []lambda.Extension{{Name: path.Base(content), Command: command}}, nil
	}
	if bucket, key, ok := strings.Cut(strings.TrimPrefix(content, objectScheme), "/"); ok && strings.HasPrefix(content, objectScheme) {
		all, err := e.objectLayer(bucket, key)
		if err != nil {
			return nil, r.Errorf("build it for this machine or for Linux on arm64, with the programs in extensions", "layer %q: %v", r.ID, err)
		}
		return all, nil
	}
	source := content
	if !filepath.IsAbs(source) {
		source = filepath.Join(filepath.Dir(e.file), source)
	}
	source, err := filepath.Abs(source) // the extensions run in another folder
	if err == nil {
		_, err = os.Stat(source)
	}
	if content == "" || err != nil {
		return nil, r.Errorf("ContentUri names a folder, relative to the template, with the programs in extensions; build it first", "layer %q: %v", r.ID, err)
	}
	files, err := os.ReadDir(filepath.Join(source, "extensions"))
	if err != nil {
		e.warn(r.File, r.Line, r.Column, "the engine takes only extensions of layers, and %s has none", r.ID)
	}
	var all []lambda.Extension
	for _, file := range files {
		if !file.IsDir() {
			all = append(all, lambda.Extension{Name: file.Name(), Command: []string{filepath.Join(source, "extensions", file.Name())}})
		}
	}
	return all, nil
}

// extensions are those that a function's layers bring.
func (e *deployment) extensions(r template.Resource, layers []string) []lambda.Extension {
	var all []lambda.Extension
	for _, arn := range layers {
		brings, ok := e.layers[arn]
		if !ok {
			e.warn(r.File, r.Line, r.Column, "the engine has no layer %s; %s runs without it", arn, r.ID)
		}
		all = append(all, brings...)
	}
	return all
}
