# Finds the CUDA toolkit's headers: FLAME links none of its libraries (they are opened at run time).
# FLAME_CUDA_HOME: CUDA_HOME, CUDA_PATH, the folder of nvcc, or the usual place.
set(candidates $ENV{CUDA_HOME} $ENV{CUDA_PATH})
find_program(FLAME_NVCC nvcc)
if(FLAME_NVCC)
  get_filename_component(nvcc_real ${FLAME_NVCC} REALPATH)
  get_filename_component(nvcc_bin ${nvcc_real} DIRECTORY)
  get_filename_component(nvcc_home ${nvcc_bin} DIRECTORY)
  list(APPEND candidates ${nvcc_home})
endif()
list(APPEND candidates /usr/local/cuda /usr)
set(FLAME_CUDA_HOME "" CACHE PATH "The CUDA toolkit")
if(NOT FLAME_CUDA_HOME)
  foreach(home ${candidates})
    if(EXISTS ${home}/include/nvrtc.h)
      set(FLAME_CUDA_HOME ${home} CACHE PATH "The CUDA toolkit" FORCE)
      break()
    endif()
  endforeach()
endif()
if(NOT EXISTS ${FLAME_CUDA_HOME}/include/nvrtc.h)
  message(FATAL_ERROR
    "FLAME needs the CUDA toolkit 12.4 or later (headers, NVRTC, cuBLASLt; no GPU is needed to build).\n"
    "Looked at CUDA_HOME, CUDA_PATH, nvcc on PATH, /usr/local/cuda and /usr; none holds include/nvrtc.h.\n"
    "Install the package cuda-toolkit, or set CUDA_HOME to where it is.")
endif()
add_library(flame_cuda_headers INTERFACE)
target_include_directories(flame_cuda_headers SYSTEM INTERFACE $<BUILD_INTERFACE:${FLAME_CUDA_HOME}/include>)
