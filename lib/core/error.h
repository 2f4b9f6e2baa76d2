// Every error FLAME throws: one clear sentence that names the op and the values, in one typed
// class.
#pragma once
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>

namespace flame {

// Base of all of them. what() reads "<op or part>: <what is wrong, with the values>".
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

#define FLAME_ERROR(Name)     \
  class Name : public Error { \
   public:                    \
    using Error::Error;       \
  }
FLAME_ERROR(ShapeError);        // sizes that do not fit each other or the op; sizes that overflow
FLAME_ERROR(DTypeError);        // an element type the op does not take
FLAME_ERROR(DeviceError);       // tensors of different devices; an undefined tensor
FLAME_ERROR(IndexError);        // a dim or an index out of range
FLAME_ERROR(ValueError);        // an argument outside its domain
FLAME_ERROR(UnknownOpError);    // a name that is not in the manifest
FLAME_ERROR(AutogradError);     // backward where there is nothing to differentiate, or twice
FLAME_ERROR(VersionError);      // a tensor saved for backward was changed in place
FLAME_ERROR(NoDeviceError);     // no GPU, no driver, or one too old for the toolkit
FLAME_ERROR(OutOfMemoryError);  // device memory; everything allocated before stays valid
FLAME_ERROR(DriverError);       // a call of the driver or of cuBLASLt failed
FLAME_ERROR(JitError);          // a kernel did not compile, or its image is not what was asked for
FLAME_ERROR(FileError);         // a file that is missing, truncated, or lies about its contents
#undef FLAME_ERROR

// Anything printable, and a list of numbers as "(2, 3)".
template <class Part>
void write_part(std::ostream& out, const Part& part) {
  if constexpr (requires { out << part; }) {
    out << part;
  } else {
    out << '(';
    const char* separator = "";
    for (const auto& number : part) out << std::exchange(separator, ", ") << number;
    out << ')';
  }
}

// Concatenates the parts: str_cat("softmax: dim ", dim, " is out of range for shape ", shape).
template <class... Parts>
std::string str_cat(const Parts&... parts) {
  std::ostringstream out;
  (write_part(out, parts), ...);
  return out.str();
}

// Throws `E` with the parts as its message unless `ok`. Parts become text only then: give a shape
// or a device itself, not its to_string().
template <class E, class... Parts>
void check(bool ok, const Parts&... parts) {
  if (!ok) [[unlikely]]
    throw E(str_cat(parts...));
}

}  // namespace flame
