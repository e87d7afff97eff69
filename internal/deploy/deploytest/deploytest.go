// Package deploytest makes programs that say what they are and do nothing, for
// tests of deployments: an ELF header, and the build information that the go
// command writes. To pack one takes no time.
package deploytest

import (
	"debug/elf"
	"encoding/binary"
	"runtime"
)

// Program is a program for a machine that was built of a package, in the form
// that debug/buildinfo describes.
func Program(machine elf.Machine, pkg string) ([]byte, error) {
	const sentinel = "0123456789abcdef" // the go command puts 16 bytes on both sides
	module := sentinel + "path\t" + pkg + "\n" + sentinel
	info := append([]byte("\xff Go buildinf:\x08\x02"), make([]byte, 16)...)
	for _, text := range []string{runtime.Version(), module} {
		info = append(binary.AppendUvarint(info, uint64(len(text))), text...)
	}
	header := elf.Header64{
		Type: uint16(elf.ET_EXEC), Machine: uint16(machine), Version: uint32(elf.EV_CURRENT),
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
