# Writes one C++ source holding the text of every kernel file and the list of exported entries.
#   cmake -DOUT=... -DFILES="a;b" -DCXX=g++ -P embed_kernels.cmake
set(files_table "")
set(exports_table "")
foreach(file ${FILES})
  get_filename_component(name ${file} NAME)
  file(READ ${file} text)
  # Compilers limit the length of one literal: cut into pieces of 8000 characters.
  string(LENGTH "${text}" length)
  set(at 0)
  set(literal "")
  while(at LESS length)
    string(SUBSTRING "${text}" ${at} 8000 piece)
    string(APPEND literal "R\"FLAMEKERNEL(${piece})FLAMEKERNEL\"\n")
    math(EXPR at "${at} + 8000")
  endwhile()
  string(APPEND files_table "    {\"${name}\",\n${literal}},\n")
  if(name MATCHES "\\.cu$")
    get_filename_component(dir ${file} DIRECTORY)
    execute_process(COMMAND ${CXX} -E -P -std=c++20 -DFLAME_LIST_EXPORTS -I${dir} -x c++ ${file}
      OUTPUT_VARIABLE preprocessed RESULT_VARIABLE rc ERROR_VARIABLE err)
    if(rc)
      message(FATAL_ERROR "listing the exports of ${name}: ${err}")
    endif()
    string(REGEX MATCHALL "FLAME_KERNEL_EXPORT\\([^;)]*\\)" found "${preprocessed}")
    foreach(export ${found})
      string(REGEX REPLACE "FLAME_KERNEL_EXPORT\\((.*)\\)" "\\1" expression "${export}")
      string(REGEX REPLACE "[ \n\t]+" " " expression "${expression}")
      string(STRIP "${expression}" expression)
      string(APPEND exports_table "    {\"${name}\", \"${expression}\"},\n")
    endforeach()
  endif()
endforeach()
file(WRITE ${OUT}.new "// Generated from kernels/.\n#include \"lib/jit/embedded.h\"\n\nnamespace flame::jit {\n
static const EmbeddedFile kFiles[] = {\n${files_table}};\n
static const EmbeddedExport kExports[] = {\n${exports_table}    {\"\", \"\"},\n};\n
std::span<const EmbeddedFile> embedded_files() { return kFiles; }
std::span<const EmbeddedExport> embedded_exports() {
  return std::span(kExports).first(std::size(kExports) - 1);
}\n
}  // namespace flame::jit\n")
execute_process(COMMAND ${CMAKE_COMMAND} -E copy_if_different ${OUT}.new ${OUT})
execute_process(COMMAND ${CMAKE_COMMAND} -E touch ${OUT})
