package lambda

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

const (
	// maxZip and maxUnzipped are AWS's limits for code that comes in a request.
	maxZip      = 50 << 20
	maxUnzipped = 250 << 20
	// bootstrap is the program of a function with an OS-only runtime.
	bootstrap = "bootstrap"
)

// A Code is an unpacked deployment package.
type Code struct {
	// Dir is the function's LAMBDA_TASK_ROOT and working directory.
	Dir string
	// SHA256 of the zip file, in base 64, and its Size in bytes.
	SHA256 string
	Size   int64
}

// Unpack unpacks a deployment package, a zip file with an executable
// bootstrap, for a function to be defined. The package is a stranger's: no
// file of it gets outside of its folder, which is there until Close.
func (s *Service) Unpack(archive []byte) (Code, error) {
	if len(archive) > maxZip {
		return Code{}, invalidParameter("Zipped size must be smaller than %d bytes", maxZip)
	}
	files, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
	if err != nil {
		return Code{}, invalidParameter("Could not unzip uploaded file. Please check your file, then try to upload again.")
	}
	dir, err := s.NewCodeDir()
	if err != nil {
		return Code{}, err
	}
	if err := unzip(dir, files); err != nil {
		return Code{}, errors.Join(err, os.RemoveAll(dir))
	}
	sum := sha256.Sum256(archive)
	return Code{Dir: dir, SHA256: base64.StdEncoding.EncodeToString(sum[:]), Size: int64(len(archive))}, nil
}

// codeDir is the folder of all unpacked code, made when it is first needed.
func (s *Service) codeDir() (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return "", errClosed
	}
	if s.code != "" {
		return s.code, nil
	}
	dir, err := os.MkdirTemp("", "rekey-lambda-")
	if err != nil {
		return "", fmt.Errorf("making the folder of the functions' code: %w", err)
	}
	s.code = dir
	return dir, nil
}

// unzip unpacks an archive into a directory. The root refuses names, and
// symbolic links on the way, that lead outside.
func unzip(dir string, archive *zip.Reader) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("opening the folder of a function's code: %w", err)
	}
	defer func() { _ = root.Close() }()
	left := int64(maxUnzipped)
	for _, file := range archive.File {
		n, err := unzipFile(root, file, left)
		if err != nil {
			return err
		}
		if left -= n; left < 0 {
			return invalidParameter("Unzipped size must be smaller than %d bytes", maxUnzipped)
		}
	}
	info, err := root.Stat(bootstrap)
	if err != nil || !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0 {
		return invalidParameter("the deployment package has no executable file %s at its top, which the engine starts", bootstrap)
	}
	return nil
}

// unzipFile unpacks one file of at most limit bytes; one that is larger gives
// a size above the limit.
func unzipFile(root *os.Root, file *zip.File, limit int64) (size int64, err error) {
	name := filepath.FromSlash(strings.TrimSuffix(file.Name, "/"))
	switch mode := file.Mode(); {
	case !filepath.IsLocal(name):
		return 0, invalidParameter("the deployment package has the file %q, which is outside of it", file.Name)
	case mode.IsDir():
		return 0, tried(file, root.MkdirAll(name, 0o755))
	case !mode.IsRegular():
		return 0, invalidParameter("the deployment package has %q, which is neither file nor folder: the engine unpacks no links", file.Name)
	}
	if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return 0, tried(file, err)
	}
	from, err := file.Open()
	if err != nil {
		return 0, tried(file, err)
	}
	defer func() { _ = from.Close() }() // only read
	to, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, file.Mode().Perm()|0o600)
	if err != nil {
		return 0, tried(file, err)
	}
	size, err = io.Copy(to, io.LimitReader(from, limit+1))
	return size, tried(file, errors.Join(err, to.Close()))
}

// tried makes a refusal of what went wrong with a file of an archive.
func tried(file *zip.File, err error) error {
	if err == nil {
		return nil
	}
	return invalidParameter("Could not unzip uploaded file: unpacking %q: %v", file.Name, err)
}

// NewCodeDir makes an empty folder for a function's code. It is there until
// Close.
func (s *Service) NewCodeDir() (string, error) {
	parent, err := s.codeDir()
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp(parent, "code-")
	if err != nil {
		return "", fmt.Errorf("making the folder of a function's code: %w", err)
	}
	return dir, nil
}
