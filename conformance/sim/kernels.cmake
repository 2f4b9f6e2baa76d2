# flame_sim_kernels(<target> <file.cu>...): kernel files as a library for the simulated device. Link it
# through flame_sim_link_kernels, which keeps the registrars of its exports.
#
# Every file is compiled inside a namespace of its own: under NVRTC each is a program of its own, and
# two files may have different functions of one name.
function(flame_sim_kernels target)
  set(sources "")
  foreach(file ${ARGN})
    get_filename_component(name ${file} NAME)
    get_filename_component(stem ${file} NAME_WE)
    string(MAKE_C_IDENTIFIER "flame_kernel_${stem}" space)
    set(wrapper ${CMAKE_CURRENT_BINARY_DIR}/${target}/${stem}.cpp)
    file(CONFIGURE OUTPUT ${wrapper} CONTENT "// Generated: ${name} as the simulated device compiles it.
#define FLAME_KERNEL_FILE \"${name}\"
#include \"conformance/sim/shim.h\"
namespace ${space} {
#include \"${file}\"
}
" @ONLY)
    list(APPEND sources ${wrapper})
  endforeach()
  # A library needs a source even when there is no kernel yet.
  set(empty ${CMAKE_CURRENT_BINARY_DIR}/${target}/empty.cpp)
  file(CONFIGURE OUTPUT ${empty} CONTENT "namespace flame::sim { int ${target}_empty() { return 0; } }\n")
  add_library(${target} STATIC ${sources} ${empty})
  target_link_libraries(${target} PUBLIC flame_sim_runtime PRIVATE $<BUILD_INTERFACE:flame_cuda_headers>)
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/kernels)
  # What warnings a kernel deserves is NVRTC's to say; -g1 gives reports their lines.
  target_compile_options(${target} PRIVATE -O2 -g1 -w)
  if(FLAME_SANITIZE)
    target_compile_options(${target} PRIVATE -fsanitize=${FLAME_SANITIZE} -fno-omit-frame-pointer)
  endif()
  if(FLAME_INSTRUMENT)
    # The compiler cuts vectors into scalars before it instruments them: alignment is checked first.
    target_compile_options(${target} PRIVATE -fsanitize=thread,alignment
      -fsanitize-undefined-trap-on-error)
  endif()
endfunction()
