// A drawing, written as text: what the charts need of SVG and no more. Colours and fonts come from
// the style sheet (templates/charts.css), so that a chart follows light and dark.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace flame::reports {

// "12.5", "12": coordinates, a tenth of a pixel.
std::string px(double value);

class Svg {
 public:
  // `label`: what a reader who does not see it is told.
  Svg(double width, double height, const std::string& label);

  // Text, labels and hover texts are escaped; `css` is ours.
  void rect(double x, double y, double w, double h, std::string_view css, double radius = 0);
  void line(double x1, double y1, double x2, double y2, std::string_view css);
  void circle(double x, double y, double r, std::string_view css);
  void path(const std::string& d, std::string_view css);
  // anchor: "start", "middle", "end".
  void text(double x, double y, const std::string& text, std::string_view css = "",
            std::string_view anchor = "start");
  // Everything until close() belongs together; `hover` is shown when it is pointed at.
  void open(const std::string& hover, std::string_view css = "");
  void close();

  // Inside a page.
  std::string inline_text() const;
  // A file of its own: with its style sheet and its background.
  std::string file_text() const;

 private:
  std::string frame(double margin) const;  // its attributes
  double width_, height_;
  std::string label_, body_;
};

// From [a, b] to [from, to] pixels, linear in the logarithm. What lies outside is put on the edge,
// and what is no number at the beginning.
class LogScale {
 public:
  LogScale(double a, double b, double from, double to);
  double operator()(double value) const;
  double a() const { return a_; }
  double b() const { return b_; }

 private:
  double a_, b_, from_, to_;
};

// Circle, square or diamond around (x, y).
enum class Mark : unsigned char { kCircle, kSquare, kDiamond };
void draw_mark(Svg& svg, Mark mark, double x, double y, double r, std::string_view css);

}  // namespace flame::reports
