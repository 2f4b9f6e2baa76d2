// From a kernel's name in machine code back to the name it was exported under.
#pragma once
#include <string>
#include <string_view>

namespace flame::jit {

// "_Z13unary_forwardI3ExpfEvPKT0_PS1_x" -> "unary_forward<Exp,float>": demangled, without return
// type, parameters and spaces, and with literals as an export spells them ("(bool)1" -> "true",
// "4u" -> "4"). A name that is not mangled comes back as it is.
std::string expression_of(std::string_view lowered);

// The demangled name as a person reads it, parameters included.
std::string demangle(std::string_view lowered);

}  // namespace flame::jit
