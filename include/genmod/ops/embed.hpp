// Looking up rows of a table.
#pragma once

#include <utility>
#include <vector>

#include "genmod/autograd/var.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/kernels/embed.hpp"

namespace genmod::ops {

// indices [...], table [entries, width] -> [..., width]. Throws Error when an index is not in 0..entries-1.
template <class T>
Var<T> embed(const Tensor<Index>& indices, const Var<T>& table) {
    check(table.rank() == 2, "embed: expected a table [entries, width], found ", table.shape());
    const Index entries = table.dim(0), width = table.dim(1), count = indices.size();
    for (const Index index : indices)
        check(index >= 0 && index < entries, "embed: index ", index, " is not in 0..", entries - 1);
    Tensor<T> y(indices.shape().inserted(indices.rank(), width));
    kernels::embed(count, width, indices.data(), table.data(), y.data());
    Var<T> result(std::move(y));
    if (recording(table))
        result.attach({table}, [indices, entries, width, count](const Tensor<T>& dy, Sinks<T>& sinks) {
            if (auto dtable = sinks[0])
                kernels::embed_backward(count, width, entries, indices.data(), dy.data(), dtable.data, dtable.mode);
        });
    return result;
}
template <class T>
Var<T> embed(const std::vector<Index>& indices, const Var<T>& table) {
    return embed(Tensor<Index>::from({static_cast<Index>(indices.size())}, indices), table);
}

}  // namespace genmod::ops
