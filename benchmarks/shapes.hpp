// The rows of the benchmarks are named by what they do: product_256x128x1152. These read the sizes back. Only the
// standard library, because the programs of other libraries (peers/) read the same names.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <vector>

namespace benchmarks {

// The numbers of a row's name behind the word `family` and an underline; what stands between them does not matter.
inline std::vector<std::int64_t> numbers(const std::string& text) {
    std::vector<std::int64_t> found;
    for (std::size_t at = 0; at < text.size(); ++at) {
        if (text[at] < '0' || text[at] > '9') continue;
        std::size_t length = 0;
        found.push_back(std::stoll(text.substr(at, 9), &length));
        at += length - 1;
    }
    return found;
}

// Exactly `count` numbers from 1 on. Throws std::invalid_argument otherwise.
inline std::vector<std::int64_t> numbers(const std::string& text, std::size_t count) {
    const std::vector<std::int64_t> found = numbers(text);
    bool right = found.size() == count;
    for (const std::int64_t number : found) right = right && number >= 1;
    if (!right) throw std::invalid_argument("\"" + text + "\" does not name " + std::to_string(count) + " sizes");
    return found;
}

// MxNxK: c [m, n] = a [m, k] b [k, n].
struct Product {
    std::int64_t m, n, k;

    explicit Product(const std::string& sizes) {
        const auto all = numbers(sizes, 3);
        m = all[0], n = all[1], k = all[2];
    }

    double gflop() const { return 2e-9 * static_cast<double>(m * n * k); }
};

// NxHxWxIN_OUT, with _kK for a kernel other than 3 x 3 and _sS for a stride other than 1; padded by (K - 1) / 2.
struct Convolution {
    std::int64_t n, height, width, in, out, kernel = 3, stride = 1;

    explicit Convolution(const std::string& sizes) {
        const std::size_t kernel_at = sizes.find("_k"), stride_at = sizes.find("_s");
        const auto all = numbers(sizes.substr(0, kernel_at < stride_at ? kernel_at : stride_at), 5);
        n = all[0], height = all[1], width = all[2], in = all[3], out = all[4];
        if (kernel_at != std::string::npos) kernel = std::atoi(sizes.c_str() + kernel_at + 2);
        if (stride_at != std::string::npos) stride = std::atoi(sizes.c_str() + stride_at + 2);
        if (kernel < 1 || stride < 1 || out_height() < 1 || out_width() < 1)
            throw std::invalid_argument("\"" + sizes + "\" does not name a convolution");
    }

    std::int64_t padding() const { return (kernel - 1) / 2; }
    std::int64_t out_height() const { return (height + 2 * padding() - kernel) / stride + 1; }
    std::int64_t out_width() const { return (width + 2 * padding() - kernel) / stride + 1; }
    double gflop() const {
        return 2e-9 * static_cast<double>(n * out_height() * out_width() * out) *
               static_cast<double>(kernel * kernel * in);
    }
};

}  // namespace benchmarks
