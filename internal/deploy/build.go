package deploy

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/flate"
	"golang.org/x/sync/errgroup"
)

var (
	// ErrNoSource means that there is nothing to build the functions of.
	ErrNoSource = errors.New("the functions' source is not here")
	// ErrArtifacts means that a folder lacks what was to be built already, or
	// has it for another machine than Lambda's.
	ErrArtifacts = errors.New("not all that was built is usable")
)

// bootstrap is what Lambda starts of a function with an OS-only runtime.
const bootstrap = "bootstrap"

// A Package is the deployment package of a function or of a layer with an
// extension.
type Package struct {
	// CodeURI is what the template says of a function's code, as in
	// functions/login/bootstrap, or of a layer's content, as in
	// dist/layers/rekey-agent.
	CodeURI string
	// Program is the bootstrap, or the extension.
	Program []byte
	// Hash is the SHA-256, in hex, of the program and of its place in the
	// package. It names the package, which is made of nothing else.
	Hash string
}

// Zip makes the package's file.
func (p Package) Zip() ([]byte, error) {
	archive, err := pack(unitOf(p.CodeURI).entry, p.Program)
	if err != nil {
		return nil, fmt.Errorf("packing %s: %w", p.CodeURI, err)
	}
	return archive, nil
}

// Source says where bootstraps come from.
type Source struct {
	// Root is the folder with the module's go.mod, to build from.
	Root string
	// Artifacts is a folder with programs that are built already, as `make
	// build` leaves them in dist: a function's at CodeUri/bootstrap, a layer's
	// at layers/NAME/extensions/NAME. If it is empty they are built.
	Artifacts string
	// Here says that they go to a system that runs on this machine, which takes
	// programs for this machine too.
	Here bool
}

// FindSource looks for the module in a folder and those above it. The error
// wraps [ErrNoSource].
func FindSource(dir, module string) (Source, error) {
	for at := dir; ; at = filepath.Dir(at) {
		data, err := os.ReadFile(filepath.Join(at, "go.mod")) //nolint:gosec // a go.mod on the way up.
		if err == nil && strings.HasPrefix(string(data), "module "+module+"\n") {
			return Source{Root: at}, nil
		}
		if at == filepath.Dir(at) {
			return Source{}, fmt.Errorf("%w: neither %s nor a folder above it has the module %s", ErrNoSource, dir, module)
		}
	}
}

// A unit is how the program of a package is built and packed.
type unit struct {
	pkg   string // of the module
	file  string // below the folder of what is built
	entry string // of the zip file
}

// layers is where the template's layers have their content: what is built.
const layers = "dist/layers/"

// unitOf reads a CodeUri. A layer's program is the command of that name.
func unitOf(uri string) unit {
	if layer, ok := strings.CutPrefix(uri, layers); ok {
		entry := "extensions/" + layer
		return unit{pkg: "cmd/" + layer, file: "layers/" + layer + "/" + entry, entry: entry}
	}
	return unit{pkg: uri, file: uri + "/" + bootstrap, entry: bootstrap}
}

// Check sees whether packages can be made, named by their CodeUri, before any
// is. The error wraps [ErrNoSource] or [ErrArtifacts], and names each file that
// is in the way.
func (s Source) Check(codeURIs []string) error {
	if s.Artifacts == "" {
		if _, err := exec.LookPath("go"); err != nil {
			return fmt.Errorf("%w: there is no go command: %w", ErrNoSource, err)
		}
		return nil
	}
	var wrong []string
	for _, uri := range codeURIs {
		file := unitOf(uri).file
		if fault := s.faultOf(filepath.Join(s.Artifacts, filepath.FromSlash(file))); fault != "" {
			wrong = append(wrong, file+" "+fault)
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	return fmt.Errorf("%w: in %s, %s", ErrArtifacts, s.Artifacts, strings.Join(wrong, ", "))
}

// faultOf says why Lambda could not run a program, which may be a script; empty
// if it can.
func (s Source) faultOf(path string) string {
	file, err := os.Open(path) //nolint:gosec // what is to be deployed.
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "is missing"
	case err != nil:
		return "cannot be read: " + err.Error()
	}
	defer file.Close() //nolint:errcheck // it was only read.
	var start [2]byte
	if _, err := file.ReadAt(start[:], 0); err == nil && string(start[:]) == "#!" {
		return ""
	}
	program, err := elf.NewFile(file)
	if err != nil {
		return "is no program for Linux"
	}
	runsHere := s.Here && program.Machine == elf.EM_X86_64 && runtime.GOARCH == "amd64"
	if program.Machine != elf.EM_AARCH64 && !runsHere {
		return "is for " + strings.TrimPrefix(program.Machine.String(), "EM_") + ", not for arm64"
	}
	return ""
}

// Build makes the packages of functions and layers, named by their CodeUri,
// several at a time. What was built before and has not changed is not linked again.
func Build(ctx context.Context, from Source, codeURIs []string) ([]Package, error) {
	packages := make([]Package, len(codeURIs))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, uri := range codeURIs {
		group.Go(func() (err error) {
			packages[i], err = buildOne(ctx, from, uri)
			return err
		})
	}
	return packages, group.Wait()
}

func buildOne(ctx context.Context, from Source, uri string) (Package, error) {
	u := unitOf(uri)
	file := filepath.Join(from.Artifacts, filepath.FromSlash(u.file))
	if from.Artifacts == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return Package{}, fmt.Errorf("finding a folder for what is built: %w", err)
		}
		file = filepath.Join(cache, "rekey", "build", name(from.Root), filepath.FromSlash(u.file))
		if err := compile(ctx, from.Root, u.pkg, file); err != nil {
			return Package{}, err
		}
	}
	program, err := os.ReadFile(file) //nolint:gosec // what was built, or is to be deployed.
	if err != nil {
		return Package{}, fmt.Errorf("reading the program of %s: %w", uri, err)
	}
	return Package{CodeURI: uri, Program: program, Hash: hash([]byte(u.entry), []byte{0}, program)}, nil
}

// name tells checkouts apart.
func name(root string) string { return filepath.Base(root) + "-" + hash([]byte(root))[:8] }

// hash is the SHA-256 of parts, in hex.
func hash(parts ...[]byte) string {
	sum := sha256.New()
	for _, part := range parts {
		sum.Write(part)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// BuildFlags are those of go build that make programs small, as in the
// Makefile's build. The SDKs are compiled without inlining: what an invocation
// does with them waits for a network anyway, and packages get up to a ninth
// smaller.
func BuildFlags() []string {
	return []string{
		"-trimpath", "-tags", "lambda.norpc", "-ldflags", "-s -w",
		"-gcflags", "github.com/aws/...=-l", "-gcflags", "go.mongodb.org/...=-l",
	}
}

// compile builds a program as AWS Lambda wants it. The go command leaves a
// file that is up to date as it is.
func compile(ctx context.Context, root, pkg, file string) error {
	args := slices.Concat([]string{"build", "-buildvcs=false"}, BuildFlags(), []string{"-o", file, "./" + path.Clean(pkg)})
	cmd := exec.CommandContext(ctx, "go", args...) //nolint:gosec // a package of the module.
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=arm64")
	out, err := cmd.CombinedOutput()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, exec.ErrNotFound):
		return fmt.Errorf("building %s: %w: there is no go command", pkg, ErrNoSource)
	case err != nil:
		return fmt.Errorf("building %s: %w: %s", pkg, err, bytes.TrimSpace(out))
	}
	return nil
}

// pack makes a zip file that depends on nothing but the program.
func pack(entry string, program []byte) ([]byte, error) {
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	w.RegisterCompressor(zip.Deflate, func(to io.Writer) (io.WriteCloser, error) {
		return flate.NewWriter(to, flate.BestCompression)
	})
	header := &zip.FileHeader{Name: entry, Method: zip.Deflate, Modified: time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)}
	header.SetMode(0o755)
	file, err := w.CreateHeader(header)
	if err != nil {
		return nil, err
	}
	if _, err := file.Write(program); err != nil {
		return nil, err
	}
	err = w.Close()
	return out.Bytes(), err
}
