// Charts as inline SVG, coloured by the page's style sheet so that they follow light and dark.
#pragma once
#include <string>
#include <vector>

namespace flame::reports {

// "h0" (far inside the bound) to "h4", "bad" above 1 or NaN, "none" for -1. CSS classes.
const char* headroom_class(double r);

// How many of `values` (r, from 1e-6 to 10 on a log scale) lie where, the worst marked, the bound
// at 1 drawn. Empty string for no values.
std::string headroom_strip(const std::vector<double>& values, const std::string& title);
// The scale that belongs above a column of strips.
std::string headroom_axis();

// A bar of `share` (0 to 1) of the full width.
std::string bar(double share, const char* css_class, const std::string& title);

// A badge: `label` on the left, `text` on the right in the colour of `state` ("pass", "fail", ...).
std::string badge(const std::string& label, const std::string& text, const std::string& state);

std::string escape_html(const std::string& text);

}  // namespace flame::reports
