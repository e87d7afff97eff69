package main

import (
	"debug/elf"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// bootstraps is the script command "bootstraps": it sets ARTIFACTS to a folder
// with programs for arm64 in the place of the functions' own. They are empty:
// the engine goes by what their build information says they are.
func bootstraps(t *testing.T) func(ts *testscript.TestScript, neg bool, args []string) {
	t.Helper()
	dir := t.TempDir()
	build := sync.OnceValue(func() error { return writeEmpty(dir) })
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg || len(args) > 0 {
			ts.Fatalf("usage: bootstraps")
		}
		ts.Check(build())
		ts.Setenv("ARTIFACTS", dir)
	}
}

// writeEmpty writes an empty program for each function, and one for the agent's
// layer.
func writeEmpty(dir string) error {
	files := map[string]string{"cmd/" + extensionName: "layers/" + extensionName + "/extensions/" + extensionName}
	for name := range functions {
		uri := "functions/" + name + "/bootstrap"
		files[uri] = uri + "/bootstrap"
	}
	for pkg, file := range files {
		program, err := emptyProgram(modulePath + "/" + pkg)
		if err != nil {
			return err
		}
		file = filepath.Join(dir, filepath.FromSlash(file))
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, program, 0o600)); err != nil {
			return err
		}
	}
	return nil
}

// emptyProgram is a program for arm64 that consists of the build information of a
// package, in the form that debug/buildinfo describes: a deployment packs it in no
// time.
func emptyProgram(pkg string) ([]byte, error) {
	const sentinel = "0123456789abcdef" // the go command puts 16 bytes on both sides
	module := sentinel + "path\t" + pkg + "\n" + sentinel
	info := append([]byte("\xff Go buildinf:\x08\x02"), make([]byte, 16)...)
	for _, text := range []string{runtime.Version(), module} {
		info = append(binary.AppendUvarint(info, uint64(len(text))), text...)
	}
	header := elf.Header64{
		Type: uint16(elf.ET_EXEC), Machine: uint16(elf.EM_AARCH64), Version: uint32(elf.EV_CURRENT),
		Ehsize: 64, Phoff: 64, Phentsize: 56, Phnum: 1,
	}
	copy(header.Ident[:], elf.ELFMAG)
	header.Ident[elf.EI_CLASS], header.Ident[elf.EI_DATA], header.Ident[elf.EI_VERSION] = byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)
	size := uint64(len(info))
	data := elf.Prog64{Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_W), Off: 64 + 56, Vaddr: 1 << 16, Filesz: size, Memsz: size}
	program, err := binary.Append(nil, binary.LittleEndian, &header)
	if err == nil {
		program, err = binary.Append(program, binary.LittleEndian, &data)
	}
	return append(program, info...), err
}
