// A table as Markdown and as a picture.
#pragma once

#include <algorithm>
#include <array>
#include <cctype>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "examples/support/canvas.hpp"
#include "genmod/core/tensor.hpp"

namespace examples {

class Table {
public:
    explicit Table(std::vector<std::string> titles) : rows_{std::move(titles)} {}

    void add(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }

    std::string markdown() const {
        std::string lines;
        for (std::size_t row = 0; row < rows_.size(); ++row) {
            lines += "|";
            for (const std::string& cell : rows_[row]) lines += " " + cell + " |";
            lines += "\n";
            if (row > 0) continue;
            lines += "|";
            for (std::size_t k = 0; k < rows_[0].size(); ++k) lines += "---|";
            lines += "\n";
        }
        return lines;
    }

    // [1, height, width, 3] in [-1, 1], in small letters; a line below the titles.
    Tensor<float> picture() const {
        constexpr Index letter = 8, line = 20, margin = 10, gap = 16;
        constexpr std::array<float, 3> black{-1, -1, -1};
        std::vector<Index> left{margin};
        for (std::size_t k = 0; k < rows_[0].size(); ++k) {
            std::size_t widest = 0;
            for (const auto& row : rows_)
                if (k < row.size()) widest = std::max(widest, plain(row[k]).size());
            left.push_back(left.back() + letter * static_cast<Index>(widest) + gap);
        }
        const Index below_titles = margin + line;
        Canvas canvas{left.back(), below_titles + line * static_cast<Index>(rows_.size() - 1) + margin};
        canvas.line(margin, below_titles - 6.0, static_cast<double>(left.back() - margin), below_titles - 6.0, black);
        for (std::size_t row = 0; row < rows_.size(); ++row)
            for (std::size_t k = 0; k < rows_[row].size(); ++k)
                canvas.text(left[k], margin + line * static_cast<Index>(row), plain(rows_[row][k]), black);
        return canvas.picture;
    }

private:
    // In the letters that a canvas has.
    static std::string plain(std::string cell) {
        for (const auto& [from, to] : {std::pair<std::string, std::string>{"±", "+-"}, {"é", "e"}})
            for (std::size_t at = cell.find(from); at != std::string::npos; at = cell.find(from))
                cell.replace(at, from.size(), to);
        for (char& c : cell) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
        return cell;
    }

    std::vector<std::vector<std::string>> rows_;
};

}  // namespace examples
