#include "reports/charts.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "reports/summary.h"

namespace flame::reports {
namespace {

// The strip's geometry in pixels, and its scale in decades.
constexpr double kWidth = 350, kHeight = 16;
constexpr double kFirstDecade = -6, kLastDecade = 1;
constexpr int kBins = 70, kBoundBin = 60;  // ten bins a decade

double x_of(double r) {
  if (std::isnan(r)) return kWidth;
  const double decade = std::clamp(std::log10(std::max(r, 1e-300)), kFirstDecade, kLastDecade);
  return (decade - kFirstDecade) / (kLastDecade - kFirstDecade) * kWidth;
}

std::string number(double v) {
  char text[24];
  std::snprintf(text, sizeof text, "%.1f", v);
  return text;
}

std::string rect(double x, double y, double w, double h, const std::string& rest) {
  return "<rect x=\"" + number(x) + "\" y=\"" + number(y) + "\" width=\"" + number(w) +
         "\" height=\"" + number(h) + "\" " + rest + "/>";
}

std::string open_svg(double width, double height, const std::string& css_class) {
  return "<svg class=\"" + css_class + "\" width=\"" + number(width) + "\" height=\"" +
         number(height) + "\" viewBox=\"0 0 " + number(width) + " " + number(height) + "\">";
}

}  // namespace

const char* headroom_class(double r) {
  if (r == -1) return "none";
  if (!(r <= 1)) return "bad";
  if (r <= 0.05) return "h0";
  if (r <= 0.2) return "h1";
  if (r <= 0.4) return "h2";
  if (r <= 0.7) return "h3";
  return "h4";
}

std::string headroom_strip(const std::vector<double>& values, const std::string& title) {
  if (values.empty()) return "";
  std::vector<int> bins(kBins);
  double worst = values.front();
  for (const double r : values) {
    // What is within the bound, the bound itself included, lies left of it.
    const double last = r <= 1 ? kBoundBin - 1.0 : kBins - 1.0;
    ++bins[std::size_t(std::min(last, x_of(r) / kWidth * kBins))];
    if (worse(r, worst)) worst = r;
  }
  const double most = *std::max_element(bins.begin(), bins.end());
  std::string out = open_svg(kWidth + 4, kHeight, "strip");
  out += "<title>" + escape_html(title) + "</title>";
  out += rect(0, kHeight - 1, kWidth, 1, "class=\"line\"");
  const double bound = x_of(1);
  for (int i = 0; i < kBins; ++i) {
    if (bins[std::size_t(i)] == 0) continue;
    const double x = i * kWidth / kBins;
    // Logarithmic height: one case out of ten thousand must stay visible.
    const double share = (1 + std::log(double(bins[std::size_t(i)]))) / (1 + std::log(most));
    const double height = std::max(3.0, share * (kHeight - 2));
    const double middle =
        std::pow(10, kFirstDecade + (i + 0.5) / kBins * (kLastDecade - kFirstDecade));
    out += rect(x, kHeight - 1 - height, kWidth / kBins - 0.6, height,
                std::string("class=\"") +
                    headroom_class(i >= kBoundBin ? 2 : std::min(middle, 1.0)) + "\"");
  }
  out += rect(bound, 0, 1.2, kHeight, "class=\"bound\"");
  out += rect(std::min(x_of(worst), kWidth), 0, 2, kHeight,
              std::string("class=\"worst ") + headroom_class(worst) + "\"");
  return out + "</svg>";
}

std::string headroom_axis() {
  std::string out = open_svg(kWidth + 4, 14, "axis");
  const char* labels[] = {"1e-6", "1e-5", "1e-4", "0.001", "0.01", "0.1", "1 = bound"};
  for (int d = 0; d <= 6; ++d) {
    out += "<text x=\"" + number(x_of(std::pow(10, d - 6))) + "\" y=\"11\" text-anchor=\"" +
           (d == 0 ? "start" : "middle") + "\">" + labels[d] + "</text>";
  }
  return out + "</svg>";
}

std::string bar(double share, const char* css_class, const std::string& title) {
  constexpr double kBar = 220;
  const double width = std::clamp(share, 0.0, 1.0) * kBar;
  return open_svg(kBar, 10, "bar") + "<title>" + escape_html(title) + "</title>" +
         rect(0, 0, kBar, 10, "class=\"track\"") +
         rect(0, 0, share > 0 ? std::max(width, 1.0) : 0, 10,
              std::string("class=\"") + css_class + "\"") +
         "</svg>";
}

std::string badge(const std::string& label, const std::string& text, const std::string& state) {
  // Verdana 11 is about 6.6 pixels a character.
  const double left = 6.6 * double(label.size()) + 12, right = 6.6 * double(text.size()) + 12;
  const char* colour = state == "pass" ? "#2e7d32" : state == "fail" ? "#c62828" : "#b26a00";
  std::string out = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" + number(left + right) +
                    "\" height=\"20\" role=\"img\">";
  out += "<title>" + escape_html(label + ": " + text) + "</title>";
  out += rect(0, 0, left, 20, "fill=\"#444\"");
  out += rect(left, 0, right, 20, std::string("fill=\"") + colour + "\"");
  out += "<g fill=\"#fff\" font-family=\"Verdana,sans-serif\" font-size=\"11\">";
  out += "<text x=\"6\" y=\"14\">" + escape_html(label) + "</text>";
  out += "<text x=\"" + number(left + 6) + "\" y=\"14\">" + escape_html(text) + "</text>";
  return out + "</g></svg>\n";
}

std::string escape_html(const std::string& text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        // XML has no control characters, not even escaped ones.
        out += static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t' ? ' ' : c;
    }
  }
  return out;
}

}  // namespace flame::reports
