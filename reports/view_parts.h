// Parts of the view, by section of the page.
#pragma once
#include "reports/view.h"

namespace flame::reports {

using View = kainjow::mustache::data;

// A list whose items are pushed back; an object whose fields are set.
inline View make_list() { return View(View::type::list); }
inline View flag(bool on) { return View(on ? View::type::bool_true : View::type::bool_false); }

// `text` without what a Markdown table's cell cannot hold; HTML is escaped by the template.
std::string cell(std::string text, Format format);
// The same, and in Markdown without a '<' that could begin a tag: for names that records bring.
std::string plain(const std::string& text, Format format);
// "2026-11-20 10:30 UTC".
std::string utc(Time t);

// "f32" of "float32", "bf16" of "bfloat16".
std::string short_dtype(const std::string& dtype);
// "12%"; "-" of nothing.
std::string percent(std::int64_t part, std::int64_t whole);
// "a, b, c and 12 more".
std::string some_of(const std::vector<std::string>& names, std::size_t most);

void add_matrix(View& view, const Summary& summary);
void add_strips(View& view, const Run& run, const Summary& summary);
void add_kills(View& view, const Summary& summary);
void add_kernels(View& view, const Summary& summary);
void add_environment(View& view, const records::RunManifest& manifest, Format format);

}  // namespace flame::reports
