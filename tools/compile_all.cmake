find_package(CLI11 REQUIRED)
add_executable(compile_all compile_all.cpp)
target_link_libraries(compile_all PRIVATE flame CLI11::CLI11)
flame_target(compile_all)
# The proof that every kernel is real on every architecture; needs NVRTC, no GPU.
add_test(NAME compile_all COMMAND compile_all)
set_tests_properties(compile_all PROPERTIES LABELS nvrtc TIMEOUT 1800)
