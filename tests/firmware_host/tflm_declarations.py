"""Holds the C++ of bundles against declarations of what it touches of TensorFlow Lite Micro.

No package ships TensorFlow Lite Micro's headers. With the real library the C++ is compiled and linked by hand. A small
library, with what `BUILD_TYPE=release` has and lacks, stands in where a bundle's own `CMakeLists.txt` links one.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

#: What is declared; the resolver gets the methods that are called.
_TFLM = {
    # As TensorFlow Lite Micro has it: the library has the function where its error messages were not stripped.
    "micro/micro_log.h": """
#pragma once
#ifndef TF_LITE_STRIP_ERROR_STRINGS
void MicroPrintf(const char* format, ...);
#else
namespace tflite { template <typename... Args> void Unused(Args&&... args) { (void)(sizeof...(args)); } }
#define MicroPrintf(...) tflite::Unused(__VA_ARGS__)
#endif
""",
    "micro/micro_mutable_op_resolver.h": """
#pragma once
#include "tensorflow/lite/micro/micro_log.h"
enum TfLiteStatus { kTfLiteOk = 0, kTfLiteError = 1 };
namespace tflite {
struct TFLMRegistration {};
REGISTRATIONS
template <unsigned int N> class MicroMutableOpResolver {
 public:
  METHODS
 private:
  TfLiteStatus Add(const TFLMRegistration*) { return kTfLiteError; }
  TfLiteStatus Add(const TFLMRegistration&) {
    MicroPrintf("the resolver is too small (%d).", static_cast<int>(N));
    return kTfLiteError;
  }
};
}
""",
    "micro/micro_allocator.h": """
#pragma once
#include <cstddef>
#include <cstdint>
namespace tflite {
class MicroAllocator {
 public:
  static MicroAllocator* Create(std::uint8_t*, std::size_t);
};
}
""",
    "micro/micro_resource_variable.h": """
#pragma once
#include "tensorflow/lite/micro/micro_allocator.h"
namespace tflite {
class MicroResourceVariables {
 public:
  static MicroResourceVariables* Create(MicroAllocator*, int);
};
}
""",
    "micro/micro_interpreter.h": """
#pragma once
#include <cstddef>
#include <cstdint>
#include "tensorflow/lite/micro/micro_allocator.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/micro/micro_resource_variable.h"
struct TfLiteTensor { union { char* raw; } data; std::size_t bytes; };
namespace tflite {
struct Model;
class MicroInterpreter {
 public:
  template <class Resolver>
  MicroInterpreter(const Model*, const Resolver&, MicroAllocator*, MicroResourceVariables* = nullptr) {}
  TfLiteStatus AllocateTensors();
  TfLiteStatus Invoke();
  TfLiteTensor* input(std::size_t);
  TfLiteTensor* output(std::size_t);
  std::size_t inputs_size() const;
  std::size_t outputs_size() const;
  std::size_t arena_used_bytes() const;
};
}
""",
    "schema/schema_generated.h": """
#pragma once
namespace tflite { struct Model; const Model* GetModel(const void*); }
""",
}
#: The library to these, as far as bundles call it. It starts no network.
_LIBRARY = """
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_log.h"
#include "tensorflow/lite/schema/schema_generated.h"
#ifndef TF_LITE_STRIP_ERROR_STRINGS
void MicroPrintf(const char*, ...) {}
#endif
namespace tflite {
const Model* GetModel(const void*) { return nullptr; }
MicroAllocator* MicroAllocator::Create(std::uint8_t*, std::size_t) { return nullptr; }
MicroResourceVariables* MicroResourceVariables::Create(MicroAllocator*, int) { return nullptr; }
TfLiteStatus MicroInterpreter::AllocateTensors() { return kTfLiteError; }
TfLiteStatus MicroInterpreter::Invoke() { return kTfLiteError; }
TfLiteTensor* MicroInterpreter::input(std::size_t) { return nullptr; }
TfLiteTensor* MicroInterpreter::output(std::size_t) { return nullptr; }
std::size_t MicroInterpreter::inputs_size() const { return 0; }
std::size_t MicroInterpreter::outputs_size() const { return 0; }
std::size_t MicroInterpreter::arena_used_bytes() const { return 0; }
DEFINITIONS
}
"""
#: What TensorFlow Lite Micro's makefile defines for `BUILD_TYPE=release`.
RELEASE = ("TF_LITE_STATIC_MEMORY", "NDEBUG", "TF_LITE_STRIP_ERROR_STRINGS")


def check_for_tflm(folder: Path, tmp_path: Path) -> int:
    """Compiles all C++ of a bundle, strictly and without linking; gives how many sources there are.

    Args:
        folder: the bundle.
        tmp_path: for the declarations.
    """
    if shutil.which("g++") is None:
        pytest.skip("needs g++")
    declare(folder, tmp_path)
    sources = [str(path) for path in sorted(folder.rglob("*.cc"))]
    strict = ["-std=c++11", "-Wall", "-Wextra", "-Werror", "-pedantic", "-Wconversion", "-fno-rtti", "-fno-exceptions"]
    includes = [f"-I{folder}", f"-I{folder / 'kmtl'}", "-isystem", str(tmp_path)]
    _run("g++", *strict, "-fsyntax-only", *includes, *sources)
    return len(sources)


def built_by_cmake(folder: Path, bundles: Path, tmp_path: Path) -> set[str]:
    """Configures a project and builds all of it as a firmware's author would; gives the names of its programs.

    Args:
        folder: of the project: a bundle's, or one above several.
        bundles: has the resolvers of all bundles somewhere below.
        tmp_path: for the library that stands in for a release of TensorFlow Lite Micro, and for what is built.
    """
    for tool in ("g++", "cmake"):
        if shutil.which(tool) is None:
            pytest.skip(f"needs {tool}")
    headers, build = tmp_path / "tflm", tmp_path / "build"
    registrations = declare(bundles, headers)
    source, built = headers / "library.cc", headers / "library.o"
    source.write_text(_LIBRARY.replace("DEFINITIONS", registrations.replace("();", "() { return {}; }")))
    defined = [f"-D{name}" for name in RELEASE]
    _run("g++", "-std=c++17", *defined, f"-I{headers}", "-c", str(source), "-o", str(built))
    library = headers / "libtensorflow-microlite.a"
    _run("ar", "rcs", str(library), str(built))
    options = [f"-DTFLM_INCLUDE_DIRS={headers}", f"-DTFLM_LIBRARY={library}"]
    _run("cmake", "-S", str(folder), "-B", str(build), *options)
    _run("cmake", "--build", str(build))
    made = [path for path in build.rglob("*") if "CMakeFiles" not in path.parts and path.is_file()]
    return {path.name for path in made if path.stat().st_mode & 0o100}


def declare(folder: Path, headers: Path) -> str:
    """Writes the declarations that the bundles below a folder need; gives those of the kernels' registrations."""
    resolvers = "".join(path.read_text() for path in folder.rglob("*_resolver.h"))
    typed = sorted(set(re.findall(r"tflite::(Register_\w+)\(\)", resolvers)))
    signal = sorted(set(re.findall(r"tflite::tflm_signal::(Register_\w+)\(\)", resolvers)))
    # Kernels of the signal library are registered by pointers.
    pointed = set(re.findall(r"resolver->(Add\w+)\(tflite::tflm_signal::", resolvers))
    added = sorted(set(re.findall(r"resolver->(Add\w+)\(", resolvers)))
    registrations = "\n".join(
        [f"TFLMRegistration {name}();" for name in typed]
        + [f"namespace tflm_signal {{ TFLMRegistration* {name}(); }}" for name in signal]
    )
    kinds = {name: "* r = nullptr" if name in pointed else "& r = {}" for name in added}
    methods = [
        f"TfLiteStatus {name}(const TFLMRegistration{kind}) {{ return Add(r); }}" for name, kind in kinds.items()
    ]
    for file, text in _TFLM.items():
        path = headers / "tensorflow" / "lite" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("REGISTRATIONS", registrations).replace("METHODS", "\n  ".join(methods)))
    return registrations


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
