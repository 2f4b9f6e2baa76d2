#include "reports/svg.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "lib/core/error.h"
#include "reports/charts.h"
#include "reports/view.h"

namespace flame::reports {
namespace {

std::string attribute(std::string_view name, std::string_view value) {
  std::string out;
  if (!value.empty()) out.append(" ").append(name).append("=\"").append(value).append("\"");
  return out;
}

std::string coordinates(double x, double y) {
  return attribute("x", px(x)) + attribute("y", px(y));
}

}  // namespace

std::string px(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f", value);
  std::string out = text;
  if (out.ends_with(".0")) out.resize(out.size() - 2);
  return out == "-0" ? "0" : out;
}

Svg::Svg(double width, double height, const std::string& label)
    : width_(width), height_(height), label_(label) {}

void Svg::rect(double x, double y, double w, double h, std::string_view css, double radius) {
  body_ +=
      str_cat("<rect", coordinates(x, y), attribute("width", px(w)), attribute("height", px(h)),
              radius > 0 ? attribute("rx", px(radius)) : "", attribute("class", css), "/>");
}

void Svg::line(double x1, double y1, double x2, double y2, std::string_view css) {
  body_ += str_cat("<line", attribute("x1", px(x1)), attribute("y1", px(y1)),
                   attribute("x2", px(x2)), attribute("y2", px(y2)), attribute("class", css), "/>");
}

void Svg::circle(double x, double y, double r, std::string_view css) {
  body_ += str_cat("<circle", attribute("cx", px(x)), attribute("cy", px(y)), attribute("r", px(r)),
                   attribute("class", css), "/>");
}

void Svg::path(const std::string& d, std::string_view css) {
  body_ += str_cat("<path", attribute("d", d), attribute("class", css), "/>");
}

void Svg::text(double x, double y, const std::string& text, std::string_view css,
               std::string_view anchor) {
  body_ += str_cat("<text", coordinates(x, y), attribute("class", css),
                   anchor == "start" ? std::string() : attribute("text-anchor", anchor), ">",
                   escape_html(text), "</text>");
}

void Svg::open(const std::string& hover, std::string_view css) {
  body_ += str_cat("<g", attribute("class", css), ">");
  if (!hover.empty()) body_ += str_cat("<title>", escape_html(hover), "</title>");
}

void Svg::close() { body_ += "</g>\n"; }

std::string Svg::inline_text() const {
  return str_cat("<svg class=\"chart\" role=\"img\"", attribute("aria-label", escape_html(label_)),
                 frame(0), ">", body_, "</svg>");
}

std::string Svg::file_text() const {
  constexpr double kMargin = 14;
  return str_cat("<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"chart\" role=\"img\"",
                 frame(kMargin), "><title>", escape_html(label_), "</title><style>",
                 template_text("charts.css"), "</style>\n<rect class=\"paper\"",
                 coordinates(-kMargin, -kMargin), attribute("width", px(width_ + 2 * kMargin)),
                 attribute("height", px(height_ + 2 * kMargin)), "/>\n", body_, "</svg>\n");
}

std::string Svg::frame(double margin) const {
  const std::string w = px(width_ + 2 * margin), h = px(height_ + 2 * margin);
  return str_cat(attribute("width", w), attribute("height", h),
                 attribute("viewBox", str_cat(px(-margin), " ", px(-margin), " ", w, " ", h)));
}

LogScale::LogScale(double a, double b, double from, double to)
    : a_(a), b_(b), from_(from), to_(to) {}

double LogScale::operator()(double value) const {
  const double inside = value >= a_ ? std::min(value, b_) : a_;
  return from_ + (to_ - from_) * std::log(inside / a_) / std::log(b_ / a_);
}

void draw_mark(Svg& svg, Mark mark, double x, double y, double r, std::string_view css) {
  switch (mark) {
    case Mark::kCircle:
      svg.circle(x, y, r, css);
      return;
    case Mark::kSquare:
      svg.rect(x - 0.88 * r, y - 0.88 * r, 1.76 * r, 1.76 * r, css);
      return;
    case Mark::kDiamond: {
      const double d = 1.25 * r;
      svg.path(str_cat("M", px(x), " ", px(y - d), "l", px(d), " ", px(d), "l", px(-d), " ", px(d),
                       "l", px(-d), " ", px(-d), "z"),
               css);
      return;
    }
  }
}

}  // namespace flame::reports
