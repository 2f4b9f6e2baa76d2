// The data that the templates are filled with.
#pragma once
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

}  // namespace flame::reports
