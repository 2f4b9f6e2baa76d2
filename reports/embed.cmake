# Writes one C++ source holding the templates as text.
#   cmake -DOUT=... -DFILES="a;b" -P embed.cmake
set(table "")
foreach(file ${FILES})
  get_filename_component(name ${file} NAME)
  file(READ ${file} text)
  string(APPEND table "  if (name == \"${name}\") return R\"FLAMETEMPLATE(${text})FLAMETEMPLATE\";\n")
endforeach()
file(WRITE ${OUT} "// Generated from reports/templates/.\n#include \"reports/view.h\"\n
namespace flame::reports {\n
std::string template_text(std::string_view name) {\n${table}  return {};\n}\n
}  // namespace flame::reports\n")
