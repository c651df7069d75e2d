// One recorded operation: the numbers of its inputs and how a gradient travels back through it.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/kernels/elementwise.hpp"

namespace genmod {

// Where one gradient is to be put: `data` holds as many numbers as the input; null when nobody asked for it.
template <class T>
struct Sink {
    T* data = nullptr;
    Accumulate mode = Accumulate::write;
    explicit operator bool() const { return data != nullptr; }
};

// A gradient that is being collected from several users of one value.
template <class T>
struct GradSlot {
    Tensor<T> grad;
    Shape shape;
    bool wanted = false;

    Sink<T> sink() {
        if (!wanted) return {};
        if (grad.empty()) {
            grad = Tensor<T>(shape);
            return {grad.data(), Accumulate::write};
        }
        if (!grad.unique()) grad = grad.clone();
        return {grad.data(), Accumulate::add};
    }

    // Takes a finished gradient. The first one is shared, not copied.
    void give(const Tensor<T>& addend) {
        if (!wanted) return;
        if (grad.empty()) {
            grad = addend.reshape(shape);
            return;
        }
        kernels::accumulate(addend.data(), sink().data, addend.size());
    }
};

// The gradients of a node's inputs, as its backward function sees them.
template <class T>
class Sinks {
public:
    explicit Sinks(std::vector<GradSlot<T>*> slots) : slots_(std::move(slots)) {}

    bool wanted(std::size_t input) const { return slots_[input] != nullptr && slots_[input]->wanted; }
    // Call it once for each contribution: the first is to be written, later ones added.
    Sink<T> operator[](std::size_t input) { return wanted(input) ? slots_[input]->sink() : Sink<T>{}; }
    // Hands over a finished tensor with as many numbers as the input.
    void give(std::size_t input, const Tensor<T>& grad) {
        if (wanted(input)) slots_[input]->give(grad);
    }

private:
    std::vector<GradSlot<T>*> slots_;
};

template <class T>
class Node {
public:
    Node(const Shape& value_shape, std::vector<std::shared_ptr<Node>> from)
        : shape(value_shape), inputs(std::move(from)), order(next_order()) {}

    // Releases the chain of inputs without recursion, so that a long one does not overflow the stack.
    virtual ~Node() {
        std::vector<std::shared_ptr<Node>> doomed = std::move(inputs);
        while (!doomed.empty()) {
            const std::shared_ptr<Node> node = std::move(doomed.back());
            doomed.pop_back();
            if (node == nullptr || node.use_count() > 1) continue;
            for (auto& input : node->inputs) doomed.push_back(std::move(input));
            node->inputs.clear();
        }
    }
    Node(const Node&) = delete;
    Node& operator=(const Node&) = delete;

    // Adds to the sinks what `dy`, the gradient of this node's value, contributes to each input. A leaf has none.
    virtual void backward(const Tensor<T>& /*dy*/, Sinks<T>& /*sinks*/) {}

    bool leaf() const { return inputs.empty(); }

    Shape shape;
    std::vector<std::shared_ptr<Node>> inputs;  // null where an input is a constant
    std::uint64_t order;                        // creation number: inputs have smaller ones
    Tensor<T> grad;                             // of a leaf: what backward() collected so far

private:
    static std::uint64_t next_order() {
        static std::atomic<std::uint64_t> counter{0};
        return counter.fetch_add(1, std::memory_order_relaxed);
    }
};

// A node whose backward function is a lambda (const Tensor<T>& dy, Sinks<T>&). It may hold tensors, never Vars.
template <class T, class Backward>
class FunctionNode final : public Node<T> {
public:
    FunctionNode(const Shape& value_shape, std::vector<std::shared_ptr<Node<T>>> from, Backward backward)
        : Node<T>(value_shape, std::move(from)), backward_(std::move(backward)) {}

    void backward(const Tensor<T>& dy, Sinks<T>& sinks) override { backward_(dy, sinks); }

private:
    Backward backward_;
};

}  // namespace genmod
