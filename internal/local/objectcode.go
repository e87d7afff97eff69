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
	"path/filepath"
	"runtime"

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
	program, err := bootstrapOf(archive)
	if err != nil {
		return fmt.Errorf("s3://%s/%s: %w", bucket, key, err)
	}
	machine, err := machineOf(program)
	if err != nil {
		return fmt.Errorf("s3://%s/%s: %w", bucket, key, err)
	}
	if machine == runtime.GOARCH {
		if f.Code, err = e.Lambda.Unpack(archive); err != nil {
			return err
		}
		f.Command = []string{filepath.Join(f.Code.Dir, gobuild.Bootstrap)}
		return nil
	}
	info, err := buildinfo.Read(bytes.NewReader(program))
	if err != nil {
		return fmt.Errorf("s3://%s/%s: its bootstrap is for %s, and this machine is %s", bucket, key, machine, runtime.GOARCH)
	}
	if f.Command, err = e.opts.Command(info.Path); err != nil {
		return fmt.Errorf("s3://%s/%s: its bootstrap is for %s, this machine is %s, and %s is no function of this binary", bucket, key, machine, runtime.GOARCH, info.Path)
	}
	sum := sha256.Sum256(archive)
	f.Code = lambda.Code{SHA256: base64.StdEncoding.EncodeToString(sum[:]), Size: int64(len(archive))}
	return nil
}

// maxBootstrap bounds what is unpacked of a stranger's archive.
const maxBootstrap = 250 << 20

// bootstrapOf reads the program of a deployment package.
func bootstrapOf(archive []byte) ([]byte, error) {
	files, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
	if err != nil {
		return nil, errors.New("it is no zip file")
	}
	file, err := files.Open(gobuild.Bootstrap)
	if err != nil {
		return nil, errors.New("it has no bootstrap")
	}
	defer func() { _ = file.Close() }() // only read
	program, err := io.ReadAll(io.LimitReader(file, maxBootstrap))
	if err != nil {
		return nil, fmt.Errorf("unpacking its bootstrap: %w", err)
	}
	return program, nil
}

// machineOf is the architecture of a program, as Go names it. A script runs on
// any.
func machineOf(program []byte) (string, error) {
	if bytes.HasPrefix(program, []byte("#!")) {
		return runtime.GOARCH, nil
	}
	file, err := elf.NewFile(bytes.NewReader(program))
	if err != nil {
		return "", errors.New("its bootstrap is no program for Linux")
	}
	switch file.Machine {
	case elf.EM_X86_64:
		return "amd64", nil
	case elf.EM_AARCH64:
		return "arm64", nil
	default:
		return "", fmt.Errorf("its bootstrap is for %s, which Lambda does not have", file.Machine)
	}
}
