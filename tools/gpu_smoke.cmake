add_executable(gpu_smoke gpu_smoke.cpp)
target_link_libraries(gpu_smoke PRIVATE flame flame_witness_cupti)
flame_target(gpu_smoke)
