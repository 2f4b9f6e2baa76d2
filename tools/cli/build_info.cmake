# Writes build_info.h: the commit that is being built. Runs at every build, changes the file only
# when the commit does.
#   cmake -DSOURCE=... -DOUT=... -P build_info.cmake
set(commit unknown)
set(dirty false)
execute_process(COMMAND git rev-parse --short=12 HEAD WORKING_DIRECTORY ${SOURCE}
  OUTPUT_VARIABLE head OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE rc)
if(rc EQUAL 0)
  set(commit ${head})
  execute_process(COMMAND git status --porcelain --untracked-files=no WORKING_DIRECTORY ${SOURCE}
    OUTPUT_VARIABLE changed ERROR_QUIET)
  if(changed)
    set(dirty true)
  endif()
endif()
file(WRITE ${OUT}.new "#pragma once\n#define FLAME_COMMIT \"${commit}\"\n#define FLAME_DIRTY ${dirty}\n")
execute_process(COMMAND ${CMAKE_COMMAND} -E copy_if_different ${OUT}.new ${OUT})
