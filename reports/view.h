// The data that the templates are filled with.
#pragma once
#include <filesystem>
#include <kainjow/mustache.hpp>
#include <string>
#include <string_view>

#include "reports/report.h"

namespace flame::reports {

// How text is made safe: mustache escapes HTML itself; Markdown cells need it done.
enum class Format : unsigned char { kHtml, kMarkdown };

kainjow::mustache::data make_view(const Run& run, const Summary& summary, Time now, Format format);

// The text of a file of templates/.
std::string template_text(std::string_view name);
// That file, filled in. Throws FileError where it is no template.
std::string render(std::string_view name, kainjow::mustache::data view);
void write_text(const std::filesystem::path& path, const std::string& text);  // throws FileError

}  // namespace flame::reports
