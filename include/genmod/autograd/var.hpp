// A tensor that may remember how it was made.
#pragma once

#include <initializer_list>
#include <memory>
#include <utility>
#include <vector>

#include "genmod/autograd/node.hpp"
#include "genmod/core/context.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"

namespace genmod {

namespace kernels {
template <class T>
struct PackedWeights;  // kernels/packed.hpp
}

namespace detail {

[[noreturn]] inline void refuse_frozen(const Shape& shape) {
    fail(ErrorCode::argument, "a frozen weight of shape ", shape,
         " is read by its own layer only, and never written: see nn/freeze.hpp");
}
[[noreturn]] inline void refuse_rounded(const Shape& shape) {
    fail(ErrorCode::argument, "numbers of shape ", shape,
         " that were rounded to bf16 for a layer are read by its product only: see ops/rounded.hpp");
}

}  // namespace detail

// The value of an op together with the node that leads back to its inputs. A Var made from a tensor is a constant;
// parameter() makes a leaf, whose gradient is asked for. Copies share value and node.
template <class T>
class Var {
public:
    using value_type = T;

    Var() = default;
    Var(Tensor<T> value) : value_(std::move(value)) {}  // NOLINT: tensors are welcome wherever ops want Vars

    // A leaf that gradients flow to.
    static Var parameter(Tensor<T> value) {
        Var result(std::move(value));
        result.node_ = std::make_shared<Node<T>>(result.shape(), std::vector<std::shared_ptr<Node<T>>>{});
        return result;
    }

    // A weight of the given shape in the form that products read. It has no value() (nn/freeze.hpp).
    static Var frozen(const Shape& shape, std::shared_ptr<const kernels::PackedWeights<T>> packed) {
        Var result(Tensor<T>(shape, nullptr));
        result.packed_ = std::move(packed);
        return result;
    }

    // Numbers as a product in bf16 rounds them, which alone reads them. They have no value() (ops/rounded.hpp).
    static Var rounded(const Tensor<bf16>& numbers) {
        Var result(Tensor<T>(numbers.shape(), nullptr));
        result.half_ = numbers.storage();
        return result;
    }

    // True for a Var that was never given a value: an absent bias, say.
    bool empty() const { return value_.empty() && !stored_otherwise(); }

    // Throws Error for a frozen weight and for rounded numbers, as data() and item() do.
    const Tensor<T>& value() const {
        check_value();
        return value_;
    }
    Tensor<T>& value() {
        check_value();
        return value_;
    }
    const Shape& shape() const { return value_.shape(); }
    Index rank() const { return value_.rank(); }
    Index size() const { return stored_otherwise() ? shape().size() : value_.size(); }
    Index dim(Index axis) const { return value_.dim(axis); }
    const T* data() const { return value().data(); }
    T item() const { return value().item(); }

    // What a frozen weight has; null for every other Var.
    const std::shared_ptr<const kernels::PackedWeights<T>>& packed() const { return packed_; }
    // Rounded numbers; null for every other Var.
    const std::shared_ptr<bf16[]>& half() const { return half_; }

    bool requires_grad() const { return node_ != nullptr; }
    // What backward() collected for this leaf; empty before.
    const Tensor<T>& grad() const { return node_->grad; }
    Tensor<T>& grad() { return node_->grad; }
    void zero_grad() {
        if (node_ != nullptr) node_->grad = {};
    }

    // The same value as a constant.
    Var detach() const { return Var(value()); }

    // Records how this value was made. `backward` is called as backward(dy, sinks); sinks[i] belongs to inputs[i]. It
    // may capture tensors, never Vars: a Var would keep its own node alive.
    template <class Backward>
    void attach(const std::vector<Var>& inputs, Backward backward) {
        std::vector<std::shared_ptr<Node<T>>> nodes;
        nodes.reserve(inputs.size());
        for (const Var& input : inputs) nodes.push_back(input.node_);
        node_ = std::make_shared<FunctionNode<T, Backward>>(shape(), std::move(nodes), std::move(backward));
    }

    const std::shared_ptr<Node<T>>& node() const { return node_; }

private:
    bool stored_otherwise() const { return packed_ != nullptr || half_ != nullptr; }
    void check_value() const {
        if (packed_ != nullptr) detail::refuse_frozen(shape());
        if (half_ != nullptr) detail::refuse_rounded(shape());
    }

    Tensor<T> value_;
    std::shared_ptr<Node<T>> node_;
    std::shared_ptr<const kernels::PackedWeights<T>> packed_;
    std::shared_ptr<bf16[]> half_;
};

// Whether an op on these inputs has to remember how its result is made.
template <class... Vars>
bool recording(const Vars&... inputs) {
    return context().recording && (inputs.requires_grad() || ...);
}

// The same for a list.
template <class T>
bool recording(const std::vector<Var<T>>& inputs) {
    if (!context().recording) return false;
    for (const Var<T>& input : inputs)
        if (input.requires_grad()) return true;
    return false;
}

}  // namespace genmod
