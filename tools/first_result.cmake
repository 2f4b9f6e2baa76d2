add_executable(first_result first_result.cpp)
target_link_libraries(first_result PRIVATE flame)
flame_target(first_result)
