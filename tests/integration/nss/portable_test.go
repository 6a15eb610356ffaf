// Package nss_test reads off the built module what it may ask of a host: run
// after make build. The programs that exercise it are C; run.sh builds and runs
// them.
package nss_test

import (
	"bytes"
	"debug/elf"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// modules returns the built modules: the host's, and NSS_IAM_MODULES'.
func modules() []string {
	return append([]string{"../../../build/libnss_iam.so.2"}, strings.Fields(os.Getenv("NSS_IAM_MODULES"))...)
}

func TestTheModuleRunsOnEveryDistribution(t *testing.T) {
	for _, path := range modules() {
		t.Run(path, func(t *testing.T) {
			f, err := elf.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			checkSymbols(t, f)
			checkSegments(t, f)
			checkDynamic(t, f)
			checkCET(t, f)
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			// On arm64 the file is padded with zeros, for kernels with pages of 64 KiB.
			if used := len(data) - bytes.Count(data, make([]byte, 4096))*4096; used >= 40_000 {
				t.Errorf("the module has %d bytes, want less than 40,000", used)
			}
			if i := bytes.Index(data, []byte("runtime.")); i >= 0 {
				t.Errorf("the Go runtime is in the module: %q", data[i:i+40])
			}
		})
	}
}

func checkSymbols(t *testing.T, f *elf.File) {
	exports, err := os.ReadFile("../../../nss/exports.map")
	if err != nil {
		t.Fatal(err)
	}
	want := regexp.MustCompile(`_nss_iam_\w+`).FindAllString(string(exports), -1)
	symbols, err := f.DynamicSymbols()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range symbols {
		if s.Section != elf.SHN_UNDEF && s.Name == "" {
			continue // a section's own symbol
		}
		if s.Section != elf.SHN_UNDEF {
			got = append(got, s.Name)
			continue
		}
		if strings.HasPrefix(s.Version, "GLIBC_") && newer(s.Version) {
			t.Errorf("%s needs %s, newer than GLIBC_2.17", s.Name, s.Version)
		}
		for _, no := range []string{"malloc", "calloc", "getenv", "printf", "pthread_mutex", "pthread_once",
			"__tls_get_addr", "getpw", "getgr", "syslog"} {
			if strings.Contains(s.Name, no) {
				t.Errorf("the module calls %s", s.Name)
			}
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("exports %v, want %v", got, want)
	}
}

// newer reports whether a version GLIBC_x.y is above 2.17.
func newer(version string) bool {
	major, minor, _ := strings.Cut(strings.TrimPrefix(version, "GLIBC_"), ".")
	minor, _, _ = strings.Cut(minor, ".")
	x, err := strconv.Atoi(major)
	y, err2 := strconv.Atoi(minor)
	return err != nil || err2 != nil || x != 2 || y > 17
}

func checkSegments(t *testing.T, f *elf.File) {
	var relro bool
	for _, p := range f.Progs {
		switch p.Type {
		case elf.PT_TLS:
			t.Error("the module has thread-local storage")
		case elf.PT_GNU_STACK:
			if p.Flags&elf.PF_X != 0 {
				t.Error("the module wants an executable stack")
			}
		case elf.PT_GNU_RELRO:
			relro = true
		case elf.PT_LOAD:
			if p.Flags&(elf.PF_X|elf.PF_W) == elf.PF_X|elf.PF_W {
				t.Error("a segment is writable and executable")
			}
		}
	}
	if !relro {
		t.Error("the module has no read-only relocations")
	}
}

// checkCET reads the note that says of all code that it may run where the
// processor checks returns and indirect jumps (IBT, SHSTK).
func checkCET(t *testing.T, f *elf.File) {
	const feature1And, header = 0xc0000002, 16
	if f.Machine != elf.EM_X86_64 {
		return
	}
	s := f.Section(".note.gnu.property")
	if s == nil {
		t.Error("the module has no note about CET")
		return
	}
	note, err := s.Data()
	if err != nil {
		t.Fatal(err)
	}
	for at := header; at+12 <= len(note); {
		size := int(f.ByteOrder.Uint32(note[at+4:]))
		if f.ByteOrder.Uint32(note[at:]) == feature1And && f.ByteOrder.Uint32(note[at+8:])&3 == 3 {
			return
		}
		at += 8 + (size+7)/8*8
	}
	t.Errorf("the module is not ready for CET: % x", note)
}

func checkDynamic(t *testing.T, f *elf.File) {
	libraries, err := f.ImportedLibraries()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range libraries {
		if l != "libc.so.6" && !strings.HasPrefix(l, "ld-linux-") {
			t.Errorf("the module needs %s", l)
		}
	}
	if soname, _ := f.DynString(elf.DT_SONAME); !slices.Equal(soname, []string{"libnss_iam.so.2"}) {
		t.Errorf("soname %v", soname)
	}
	if text, _ := f.DynValue(elf.DT_TEXTREL); text != nil {
		t.Error("the module has text relocations")
	}
	flags, _ := f.DynValue(elf.DT_FLAGS)
	flags1, _ := f.DynValue(elf.DT_FLAGS_1)
	if len(flags) == 0 || elf.DynFlag(flags[0])&elf.DF_BIND_NOW == 0 {
		t.Error("the module is not bound at load")
	}
	if len(flags) > 0 && elf.DynFlag(flags[0])&elf.DF_STATIC_TLS != 0 {
		t.Error("the module wants static thread-local storage")
	}
	if len(flags1) == 0 || elf.DynFlag1(flags1[0])&elf.DF_1_NODELETE == 0 {
		t.Error("the module can be unloaded")
	}
	for _, tag := range []elf.DynTag{elf.DT_RPATH, elf.DT_RUNPATH, 36 /* DT_RELR */} {
		if v, _ := f.DynValue(tag); v != nil {
			t.Errorf("the module has %v", tag)
		}
	}
}
