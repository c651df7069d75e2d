// Random operands for the kernels' tests.
#pragma once

#include <initializer_list>
#include <random>
#include <vector>

#include "genmod/core/types.hpp"

namespace genmod::test {

using Random = std::mt19937;

inline Index pick(Random& random, std::initializer_list<Index> from) { return from.begin()[random() % from.size()]; }

// Uniform in [-1, 1).
template <class T>
std::vector<T> numbers(Random& random, Index count) {
    std::vector<T> result(static_cast<std::size_t>(count));
    std::uniform_real_distribution<double> uniform(-1, 1);
    for (T& value : result) value = static_cast<T>(uniform(random));
    return result;
}

}  // namespace genmod::test
