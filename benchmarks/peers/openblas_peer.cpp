// OpenBLAS's matrix product. Run by compare.py: openblas_peer ROW plain.
#include <cblas.h>

#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include "benchmarks/serve.hpp"
#include "benchmarks/shapes.hpp"

namespace {

std::vector<float> operand(std::int64_t size) {
    std::vector<float> values(static_cast<std::size_t>(size));
    for (std::size_t k = 0; k < values.size(); ++k) values[k] = static_cast<float>(k * 7919 % 201) / 100 - 1;
    return values;
}

std::function<void()> prepare(const std::string& family, const std::string& sizes, const std::string& variant) {
    const bool transposed = family == "linear";
    if ((family != "product" && !transposed) || variant != "plain")
        throw std::invalid_argument("OpenBLAS has no " + family + " " + variant);
    const benchmarks::Product s(sizes);
    const auto m = static_cast<int>(s.m), n = static_cast<int>(s.n), k = static_cast<int>(s.k);
    return [=, a = operand(s.m * s.k), b = operand(s.k * s.n), c = operand(s.m * s.n)]() mutable {
        cblas_sgemm(CblasRowMajor, CblasNoTrans, transposed ? CblasTrans : CblasNoTrans, m, n, k, 1, a.data(), k,
                    b.data(), transposed ? k : n, 0, c.data(), n);
    };
}

}  // namespace

int main(int argc, char** argv) { return benchmarks::serve_peer(argc, argv, openblas_get_config(), prepare); }
