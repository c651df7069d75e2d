// Reverse-mode differentiation: backward() adds to the leaves, grad() is pure.
#pragma once

#include <algorithm>
#include <memory>
#include <unordered_map>
#include <utility>
#include <vector>

#include "genmod/autograd/node.hpp"
#include "genmod/autograd/var.hpp"
#include "genmod/core/error.hpp"

namespace genmod {

namespace detail {

// All nodes that `root` was made from, by ascending creation number: inputs before their users.
template <class T>
std::vector<Node<T>*> history(Node<T>* root) {
    std::unordered_map<Node<T>*, bool> seen{{root, true}};
    std::vector<Node<T>*> nodes{root};
    for (std::size_t k = 0; k < nodes.size(); ++k)
        for (const auto& input : nodes[k]->inputs)
            if (input != nullptr && seen.try_emplace(input.get(), true).second) nodes.push_back(input.get());
    std::sort(nodes.begin(), nodes.end(), [](const Node<T>* a, const Node<T>* b) { return a->order < b->order; });
    return nodes;
}

template <class T>
using GradSlots = std::unordered_map<Node<T>*, GradSlot<T>>;

// Sends `dy` from the last of `nodes` back to the wanted slots; interior gradients are dropped as soon as they are
// used.
template <class T>
void propagate(const std::vector<Node<T>*>& nodes, GradSlots<T>& slots, const Tensor<T>& dy,
               const std::unordered_map<Node<T>*, bool>& kept) {
    slots[nodes.back()].give(dy);
    for (auto node = nodes.rbegin(); node != nodes.rend(); ++node) {
        GradSlot<T>& slot = slots[*node];
        if ((*node)->leaf() || !slot.wanted || slot.grad.empty()) continue;
        std::vector<GradSlot<T>*> targets;
        targets.reserve((*node)->inputs.size());
        for (const auto& input : (*node)->inputs) targets.push_back(input ? &slots[input.get()] : nullptr);
        Sinks<T> sinks(std::move(targets));
        const Tensor<T> grad = kept.contains(*node) ? slot.grad : std::exchange(slot.grad, {});
        (*node)->backward(grad, sinks);
    }
}

template <class T>
void check_output_grad(const Var<T>& y, const Tensor<T>& dy) {
    check(dy.shape() == y.shape(), "grad: gradient of shape ", dy.shape(), " for a value of shape ", y.shape());
}

}  // namespace detail

// Adds the gradient of <dy, y> to every leaf that y was made from. Throws Error when y remembers nothing or dy does not
// have its shape. Not to be called by two threads whose graphs share leaves: use grad() there.
template <class T>
void backward(const Var<T>& y, const Tensor<T>& dy) {
    detail::check_output_grad(y, dy);
    check(y.requires_grad(), "backward: the value does not depend on any parameter, or was computed under NoGrad");
    const auto nodes = detail::history(y.node().get());
    detail::GradSlots<T> slots;
    for (Node<T>* node : nodes) {
        GradSlot<T>& slot = slots[node];
        slot.shape = node->shape;
        slot.wanted = true;
        if (node->leaf()) slot.grad = std::move(node->grad);
    }
    detail::propagate(nodes, slots, dy, {});
    for (Node<T>* node : nodes)
        if (node->leaf()) node->grad = std::move(slots[node].grad);
}

// The same for a loss of one number.
template <class T>
void backward(const Var<T>& loss) {
    check(loss.size() == 1, "backward: expected a loss of one number, found shape ", loss.shape());
    backward(loss, Tensor<T>::full(loss.shape(), T(1)));
}

// The gradients of <dy, y> with respect to `inputs`, zeros where y does not depend on one. Touches nothing else, so
// that threads may share a constant model, and computes only what leads to the inputs.
template <class T>
std::vector<Tensor<T>> grad(const Var<T>& y, const std::vector<Var<T>>& inputs, const Tensor<T>& dy) {
    detail::check_output_grad(y, dy);
    std::unordered_map<Node<T>*, bool> asked;
    for (const Var<T>& input : inputs)
        if (input.requires_grad()) asked[input.node().get()] = true;
    detail::GradSlots<T> slots;
    if (y.requires_grad()) {
        const auto nodes = detail::history(y.node().get());
        for (Node<T>* node : nodes) {
            GradSlot<T>& slot = slots[node];
            slot.shape = node->shape;
            slot.wanted = asked.contains(node);
            for (const auto& input : node->inputs)
                slot.wanted = slot.wanted || (input != nullptr && slots[input.get()].wanted);
        }
        detail::propagate(nodes, slots, dy, asked);
    }
    std::vector<Tensor<T>> grads;
    for (const Var<T>& input : inputs) {
        const auto slot = slots.find(input.node().get());
        const bool found = input.requires_grad() && slot != slots.end() && !slot->second.grad.empty();
        grads.push_back(found ? slot->second.grad : Tensor<T>::zeros(input.shape()));
    }
    return grads;
}

}  // namespace genmod
