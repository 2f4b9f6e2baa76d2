# flame_target(<target>): the warnings and host sanitizers every target of ours is built with.
function(flame_target target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wshadow=local -Wno-missing-field-initializers)
  if(FLAME_SANITIZE)
    target_compile_options(${target} PRIVATE -fsanitize=${FLAME_SANITIZE} -fno-omit-frame-pointer)
    target_link_options(${target} PUBLIC -fsanitize=${FLAME_SANITIZE})
  endif()
endfunction()

# flame_test(<name> SOURCES ... LIBS ...): one GoogleTest program; its tests are found when ctest runs,
# not when it is built.
function(flame_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LIBS;LABELS" ${ARGN})
  find_package(GTest REQUIRED)
  include(GoogleTest)
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_LIBS} GTest::gtest GTest::gtest_main)
  flame_target(${name})
  gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT 900)
endfunction()
