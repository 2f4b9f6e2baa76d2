// How far the device's functions may be from the correctly rounded result: the one table behind
// every tolerance. Source: CUDA C++ Programming Guide, "Mathematical Functions", tables of maximum
// ULP errors (default compiler options); the larger of the float and the double figure. Figures
// there are relative to the correctly rounded result, so half an ulp is added.
#pragma once

namespace flame::reference {

// In units of u, the unit roundoff: 1 ulp is at most 2 u, correct rounding costs 1 u.
constexpr double function_error(double max_ulp) { return 2 * max_ulp + 1; }

// x + y, x * y, x / y and sqrt are correctly rounded (IEEE 754).
inline constexpr double kCorrectlyRounded = function_error(0);
//                                                      float  double
inline constexpr double kExpError = function_error(2);    // 2      1
inline constexpr double kExpm1Error = function_error(1);  // 1      1
inline constexpr double kLogError = function_error(1);    // 1      1
inline constexpr double kLog1pError = function_error(1);  // 1      1
inline constexpr double kRsqrtError = function_error(2);  // 2      1
inline constexpr double kSinError = function_error(2);    // 2      2
inline constexpr double kCosError = function_error(2);    // 2      2
inline constexpr double kTanhError = function_error(2);   // 2      1
inline constexpr double kErfError = function_error(2);    // 2      2
inline constexpr double kErfcError = function_error(5);   // 4      5
inline constexpr double kPowError = function_error(4);    // 4      2

}  // namespace flame::reference
