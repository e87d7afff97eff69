package local

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"debug/buildinfo"
	"debug/elf"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/rekey-go/rekey/internal/local/gobuild"
	"github.com/rekey-go/rekey/internal/local/lambda"
)

// objectScheme begins the CodeUri of a package in S3.
const objectScheme = "s3://"

// loadObject sets what a function is started with whose deployment package is
// an object. A bootstrap for this machine is run as it is. One for another
// architecture, as functions on AWS mostly are, cannot be: where it was built
// of a function of this binary, which Go's build information in it tells, that
// runs in its place.
func (e *deployment) loadObject(f *lambda.Function, bucket, key string) error {
	archive, err := e.Objects.Object(bucket, key)
	if err != nil {
		return err
	}
	programs, err := programsOf(archive, gobuild.Bootstrap)
	if err == nil && len(programs) == 0 {
		err = errors.New("it has no bootstrap")
	}
	if err != nil {
		return fmt.Errorf("s3://%s/%s: %w", bucket, key, err)
	}
	stand, err := standIn(programs[gobuild.Bootstrap])
	if err != nil {
		return fmt.Errorf("s3://%s/%s: its bootstrap %w", bucket, key, err)
	}
	if stand == "" {
		if f.Code, err = e.Lambda.Unpack(archive); err != nil {
			return err
		}
		f.Command = []string{filepath.Join(f.Code.Dir, gobuild.Bootstrap)}
		return nil
	}
	if f.Command, err = e.opts.Command(stand); err != nil {
		return fmt.Errorf("s3://%s/%s: its bootstrap is not for this machine, and %s is no function of this binary", bucket, key, stand)
	}
	sum := sha256.Sum256(archive)
	f.Code = lambda.Code{SHA256: base64.StdEncoding.EncodeToString(sum[:]), Size: int64(len(archive))}
	return nil
}

// extensions is the folder of a layer with the programs that are started
// beside a function.
const extensions = "extensions/"

// objectLayer finds the extensions of a layer that is an object. What is said
// of bootstraps in [deployment.loadObject] is true of them.
func (e *deployment) objectLayer(bucket, key string) ([]lambda.Extension, error) {
	archive, err := e.Objects.Object(bucket, key)
	if err != nil {
		return nil, err
	}
	programs, err := programsOf(archive, extensions+"*")
	if err != nil {
		return nil, fmt.Errorf("s3://%s/%s: %w", bucket, key, err)
	}
	var all []lambda.Extension
	for _, name := range slices.Sorted(maps.Keys(programs)) {
		one := lambda.Extension{Name: path.Base(name)}
		stand, err := standIn(programs[name])
		if err == nil && stand == "" {
			one.Command, err = e.unpacked(one.Name, programs[name])
		} else if err == nil {
			one.Command, err = e.opts.Command("layers/" + path.Base(stand))
		}
		if err != nil {
			return nil, fmt.Errorf("s3://%s/%s: %s %w", bucket, key, name, err)
		}
		all = append(all, one)
	}
	return all, nil
}

// unpacked writes a program to a folder of its own.
func (e *deployment) unpacked(name string, program []byte) ([]string, error) {
	dir, err := e.Lambda.NewCodeDir()
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, name)
	return []string{file}, os.WriteFile(file, program, 0o700) //nolint:gosec // a program.
}

// standIn is the Go package that a program for another machine was built of,
// and empty for one that runs here.
func standIn(program []byte) (pkg string, err error) {
	machine, err := machineOf(program)
	if err != nil || machine == runtime.GOARCH {
		return "", err
	}
	info, err := buildinfo.Read(bytes.NewReader(program))
	if err != nil {
		return "", fmt.Errorf("is for %s, and this machine is %s", machine, runtime.GOARCH)
	}
	return info.Path, nil
}

// maxProgram bounds what is unpacked of a stranger's archive.
const maxProgram = 250 << 20

// programsOf reads the files of an archive whose names match a pattern.
func programsOf(archive []byte, pattern string) (map[string][]byte, error) {
	files, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
	if err != nil {
		return nil, errors.New("it is no zip file")
	}
	programs := make(map[string][]byte)
	for _, f := range files.File {
		if match, err := path.Match(pattern, f.Name); err != nil || !match || f.FileInfo().IsDir() {
			continue
		}
		file, err := f.Open()
		if err != nil {
			return nil, fmt.Errorf("unpacking %s: %w", f.Name, err)
		}
		program, err := io.ReadAll(io.LimitReader(file, maxProgram))
		if err := errors.Join(err, file.Close()); err != nil {
			return nil, fmt.Errorf("unpacking %s: %w", f.Name, err)
		}
		programs[f.Name] = program
	}
	return programs, nil
}

// machineOf is the architecture of a program, as Go names it. A script runs on
// any.
func machineOf(program []byte) (string, error) {
	if bytes.HasPrefix(program, []byte("#!")) {
		return runtime.GOARCH, nil
	}
	file, err := elf.NewFile(bytes.NewReader(program))
	if err != nil {
		return "", errors.New("is no program for Linux")
	}
	switch file.Machine {
	case elf.EM_X86_64:
		return "amd64", nil
	case elf.EM_AARCH64:
		return "arm64", nil
	default:
		return "", fmt.Errorf("is for %s, which Lambda does not have", file.Machine)
	}
}
