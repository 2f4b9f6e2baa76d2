# ctest: installs this build, builds tools/consumer against the installation, and runs it.
#   cmake -DBUILD=<build folder> -DSOURCE=<source folder> -P consumer_test.cmake
set(prefix ${BUILD}/consumer/install)
set(work ${BUILD}/consumer/build)
file(REMOVE_RECURSE ${prefix})

function(run)
  execute_process(COMMAND ${ARGV} RESULT_VARIABLE rc)
  if(NOT rc EQUAL 0)
    list(JOIN ARGV " " line)
    message(FATAL_ERROR "exit ${rc}: ${line}")
  endif()
endfunction()

run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${prefix})
run(${CMAKE_COMMAND} -G Ninja -S ${SOURCE}/tools/consumer -B ${work} -DCMAKE_BUILD_TYPE=Release
    -DCMAKE_PREFIX_PATH=${prefix})
run(${CMAKE_COMMAND} --build ${work})
run(${work}/digits_sim)

# On a GPU the program trains there; without one it says so with exit code 3, and never computes.
execute_process(COMMAND ${work}/digits RESULT_VARIABLE rc ERROR_VARIABLE err OUTPUT_VARIABLE out)
message("${out}${err}")
if(NOT rc EQUAL 0 AND NOT (rc EQUAL 3 AND err MATCHES "GPU|driver|device"))
  message(FATAL_ERROR "digits: exit ${rc}")
endif()
