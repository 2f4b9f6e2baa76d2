# `cmake --install`: the library, its headers and a package for find_package(flame).
include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

install(TARGETS flame flame_core EXPORT flame_targets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY lib/include/flame DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(DIRECTORY lib/core lib/driver lib/tensor lib/autograd lib/ops
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/flame/lib
  FILES_MATCHING PATTERN "*.h" PATTERN "*.inc")
install(EXPORT flame_targets NAMESPACE flame:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/flame)
configure_package_config_file(cmake/flame-config.cmake.in ${CMAKE_BINARY_DIR}/flame-config.cmake
  INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/flame)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/flame-config-version.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/flame-config.cmake ${CMAKE_BINARY_DIR}/flame-config-version.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/flame)

if(FLAME_INSTALL_SIM)
  install(TARGETS flame_sim flame_sim_runtime flame_sim_kernels EXPORT flame_sim_targets
    ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
  set_target_properties(flame_sim PROPERTIES EXPORT_NAME sim)
  install(DIRECTORY conformance/sim DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/flame/conformance
    FILES_MATCHING PATTERN "*.h" PATTERN "tests" EXCLUDE PATTERN "install" EXCLUDE)
  install(FILES conformance/sim/install/sim.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/flame)
  install(EXPORT flame_sim_targets NAMESPACE flame:: FILE flame-sim-targets.cmake
    DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/flame)
endif()
