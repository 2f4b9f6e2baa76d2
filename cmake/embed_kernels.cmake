# Writes one C++ source holding the text of every kernel file and the list of exported entries.
#   cmake -DOUT=... -DFILES="a;b" -DCXX=g++ -P embed_kernels.cmake
cmake_policy(VERSION 3.25)
set(files_table "")
set(exports_table "")
foreach(file ${FILES})
  get_filename_component(name ${file} NAME)
  file(READ ${file} text)
  if(text MATCHES "\\)FLAMEKERNEL\"")
    message(FATAL_ERROR "${name} holds the delimiter of the literal that it is embedded in")
  endif()
  # Compilers limit the length of one literal: cut into pieces of 8000 bytes. Adjacent ones join.
  string(LENGTH "${text}" length)
  set(at 0)
  set(literal "")
  while(at LESS length)
    string(SUBSTRING "${text}" ${at} 8000 piece)
    string(APPEND literal "R\"FLAMEKERNEL(${piece})FLAMEKERNEL\"\n")
    math(EXPR at "${at} + 8000")
  endwhile()
  if(literal STREQUAL "")
    set(literal "\"\"")
  endif()
  string(APPEND files_table "    {\"${name}\",\n${literal}},\n")
  if(name MATCHES "\\.cu$")
    # The preprocessor expands the export macros: whatever it leaves as FLAME_KERNEL_EXPORT(...) is
    # an entry. Blanks are set as launches spell them: "name<A, 4, float>".
    get_filename_component(dir ${file} DIRECTORY)
    execute_process(COMMAND ${CXX} -E -P -std=c++20 -DFLAME_LIST_EXPORTS -I${dir} -x c++ ${file}
      OUTPUT_VARIABLE preprocessed RESULT_VARIABLE rc ERROR_VARIABLE err)
    if(NOT rc EQUAL 0)
      message(FATAL_ERROR "listing the exports of ${name}: ${err}")
    endif()
    string(REGEX REPLACE "[;[]|]" " " preprocessed "${preprocessed}")  # what would upset CMake lists
    string(REGEX REPLACE "[ \n\t]+" " " preprocessed "${preprocessed}")
    string(REPLACE "FLAME_KERNEL_EXPORT" "\nFLAME_KERNEL_EXPORT" preprocessed "${preprocessed}")
    string(REGEX MATCHALL "\nFLAME_KERNEL_EXPORT ?\\([^\n]*" found "${preprocessed}")
    foreach(export IN LISTS found)
      # Up to the parenthesis that closes the export's own.
      string(REGEX REPLACE "^\nFLAME_KERNEL_EXPORT ?\\(" "" rest "${export}")
      set(depth 1)
      set(expression "")
      while(depth GREATER 0)
        if(NOT rest MATCHES "^([^()]*)([()])")
          message(FATAL_ERROR "${name}: an export without its closing parenthesis: ${export}")
        endif()
        set(before "${CMAKE_MATCH_1}")
        set(parenthesis "${CMAKE_MATCH_2}")
        string(LENGTH "${before}" skip)
        math(EXPR skip "${skip} + 1")
        string(SUBSTRING "${rest}" ${skip} -1 rest)
        if(parenthesis STREQUAL "(")
          math(EXPR depth "${depth} + 1")
        else()
          math(EXPR depth "${depth} - 1")
        endif()
        string(APPEND expression "${before}")
        if(depth GREATER 0)
          string(APPEND expression "${parenthesis}")
        endif()
      endwhile()
      string(REGEX REPLACE " *([<>,]) *" "\\1" expression "${expression}")
      string(REPLACE "," ", " expression "${expression}")
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
