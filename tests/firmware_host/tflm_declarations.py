"""Holds the C++ of bundles against declarations of what it touches of TensorFlow Lite Micro.

No package ships TensorFlow Lite Micro's headers. With the real library the C++ is compiled and linked by hand.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from c_programs import CMSIS_DSP

#: What is declared; the resolver gets the methods that are called.
_TFLM = {
    "micro/micro_mutable_op_resolver.h": """
#pragma once
enum TfLiteStatus { kTfLiteOk = 0, kTfLiteError = 1 };
namespace tflite {
struct TFLMRegistration {};
REGISTRATIONS
template <unsigned int N> class MicroMutableOpResolver { public: METHODS };
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
    "micro/micro_interpreter.h": """
#pragma once
#include <cstddef>
#include <cstdint>
#include "tensorflow/lite/micro/micro_allocator.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
struct TfLiteTensor { union { char* raw; } data; std::size_t bytes; };
namespace tflite {
struct Model;
class MicroInterpreter {
 public:
  template <class Resolver> MicroInterpreter(const Model*, const Resolver&, std::uint8_t*, std::size_t) {}
  template <class Resolver> MicroInterpreter(const Model*, const Resolver&, MicroAllocator*) {}
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


def check_for_tflm(folder: Path, tmp_path: Path) -> int:
    """Compiles all C++ of a bundle, strictly and without linking; gives how many sources there are.

    Args:
        folder: the bundle.
        tmp_path: for the declarations.
    """
    if shutil.which("g++") is None:
        pytest.skip("needs g++")
    resolvers = "".join(path.read_text() for path in folder.rglob("*_resolver.h"))
    typed = sorted(set(re.findall(r"tflite::(Register_\w+)\(\)", resolvers)))
    added = sorted(set(re.findall(r"resolver->(Add\w+)\(", resolvers)))
    words = {
        "REGISTRATIONS": "\n".join(f"TFLMRegistration {name}();" for name in typed),
        "METHODS": "\n".join(f"TfLiteStatus {name}(const TFLMRegistration& = {{}});" for name in added),
    }
    for file, text in _TFLM.items():
        path = tmp_path / "tensorflow" / "lite" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        for word, declared in words.items():
            text = text.replace(word, declared)
        path.write_text(text)
    sources = [str(path) for path in sorted(folder.rglob("*.cc"))]
    strict = ["-std=c++11", "-Wall", "-Wextra", "-Werror", "-pedantic", "-Wconversion", "-fno-rtti", "-fno-exceptions"]
    includes = [f"-I{folder}", f"-I{folder / 'kmtl'}", "-isystem", str(tmp_path)]
    dsp = ["-D__GNUC_PYTHON__", "-isystem", str(CMSIS_DSP / "Include"), "-isystem", str(CMSIS_DSP / "PrivateInclude")]
    command = ["g++", *strict, "-fsyntax-only", *includes, *dsp, *sources]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return len(sources)
