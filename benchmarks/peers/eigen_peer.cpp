// Eigen's matrix product. Run by compare.py: eigen_peer ROW plain.
#include <Eigen/Core>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>

#include "benchmarks/serve.hpp"
#include "benchmarks/shapes.hpp"

namespace {

using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

std::function<void()> prepare(const std::string& family, const std::string& sizes, const std::string& variant) {
    const bool transposed = family == "linear";
    if ((family != "product" && !transposed) || variant != "plain")
        throw std::invalid_argument("Eigen has no " + family + " " + variant);
    const benchmarks::Product s(sizes);
    struct Operands {
        Matrix a, b, c;
    };
    const auto o = std::make_shared<Operands>();
    o->a = Matrix::Random(s.m, s.k);
    o->b = transposed ? Matrix::Random(s.n, s.k) : Matrix::Random(s.k, s.n);
    o->c = Matrix::Zero(s.m, s.n);
    if (transposed) return [o] { o->c.noalias() = o->a * o->b.transpose(); };
    return [o] { o->c.noalias() = o->a * o->b; };
}

}  // namespace

int main(int argc, char** argv) {
    const std::string version = std::to_string(EIGEN_WORLD_VERSION) + "." + std::to_string(EIGEN_MAJOR_VERSION) + "." +
                                std::to_string(EIGEN_MINOR_VERSION);
    return benchmarks::serve_peer(argc, argv, "Eigen " + version, prepare);
}
