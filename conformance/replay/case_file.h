// A case file: an op's inputs, and the outputs and gradients that somebody else computed of them in
// float64. A safetensors file whose metadata says what it is:
//
//   schema  "flame-case/1"
//   op      PyTorch's functional name
//   attrs   a JSON object of the non-tensor arguments, under PyTorch's names
//   dtype   the dtype that the op is to run in
//
// and whose tensors are input.<parameter> (list arguments: input.tensors.<i>), output.<i>,
// grad_output.<i> and grad.<parameter>. Without grad_output it is forward only.
#pragma once
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "lib/core/op_def.h"
#include "lib/io/safetensors.h"
#include "reference/host_tensor.h"

namespace flame::conformance {

struct CaseFile {
  std::string path, name;  // name: the file's, without folder and ending
  const OpDef* op = nullptr;
  DType dtype = DType::kFloat32;
  Attrs attrs;  // completed
  // One per op->inputs; a list parameter takes the rest. Undefined where the file has none.
  std::vector<reference::HostTensor> inputs;
  std::vector<std::string> input_names;  // "input", "tensors.1"
  std::vector<reference::HostTensor> outputs, grad_outputs;
  // One per input; undefined where the file has none.
  std::vector<reference::HostTensor> grads;
};

// The op a case file names, without looking at the rest. Throws FileError.
std::string case_op(const io::SafetensorsFile& file);

// Throws FileError for anything that does not fit the form above or the op's parameters,
// UnknownOpError for an op that FLAME does not have, ValueError for arguments that it does not
// have.
CaseFile read_case(const io::SafetensorsFile& file);

// The arguments in `json`: numbers, bools, strings, null and lists of integers. Throws FileError.
Attrs attrs_from_json(std::string_view json);

}  // namespace flame::conformance
