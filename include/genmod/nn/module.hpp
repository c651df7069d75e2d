// Modules: structs of parameters, tensors and other modules, which name their parts once.
#pragma once

#include <any>
#include <array>
#include <concepts>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "genmod/autograd/var.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"

namespace genmod::nn {

// How a leaf lies in memory compared with PyTorch's files: equal; equal, the weight [out, in] of a linear layer;
// [out, kh, kw, in] for the file's [out, in, kh, kw]; [in, kh, kw, out] for the file's [in, out, kh, kw]. Leaves that
// are `linear` or `conv` are read by ops::linear and ops::conv2d alone, so that nn::freeze may pack them.
enum class Layout { as_is, linear, conv, conv_transposed };

namespace detail {

inline bool& cloning() {
    thread_local bool now = false;
    return now;
}

}  // namespace detail

// Base of every module. A module is moved, never copied, because a copy would share the weights: copying one throws
// Error. nn::clone makes an independent one.
//
// A module has `static void visit(auto& self, auto&& f)`, which calls f(name, part) or f(name, part, layout) for each
// part: a Var (trained), a Tensor (only saved), a module, or a vector, array, optional or variant of modules. Names are
// those of the published checkpoints. A part that is empty (a bias that is not there, say) is passed over.
struct Module {
    Module() = default;
    Module(Module&&) = default;
    Module& operator=(Module&&) = default;
    Module(const Module&) {
        check(detail::cloning(), "a module was copied, which would share its weights: move it, or use nn::clone");
    }
    Module& operator=(const Module&) = delete;
    ~Module() = default;
};

template <class Type>
concept IsModule = std::derived_from<std::remove_cvref_t<Type>, Module>;

namespace detail {

template <class>
inline constexpr bool is_leaf = false;
template <class T>
inline constexpr bool is_leaf<Var<T>> = true;
template <class T>
inline constexpr bool is_leaf<Tensor<T>> = true;

template <class>
inline constexpr bool is_list = false;
template <class Part>
inline constexpr bool is_list<std::vector<Part>> = true;
template <class Part, std::size_t count>
inline constexpr bool is_list<std::array<Part, count>> = true;

template <class>
inline constexpr bool is_optional = false;
template <class Part>
inline constexpr bool is_optional<std::optional<Part>> = true;

template <class>
inline constexpr bool is_variant = false;
template <class... Parts>
inline constexpr bool is_variant<std::variant<Parts...>> = true;

inline std::string join(const std::string& prefix, std::string_view name) {
    if (prefix.empty() || name.empty()) return prefix + std::string(name);
    return prefix + "." + std::string(name);
}

// What a module's visit() sees: it leads `f` to the leaves below, with their full keys.
template <class F>
class LeafWalk {
public:
    LeafWalk(std::string prefix, F& f) : prefix_(std::move(prefix)), f_(f) {}

    template <class Part>
    void operator()(std::string_view name, Part& part, Layout layout = Layout::as_is) const {
        using Kind = std::remove_const_t<Part>;
        const std::string key = join(prefix_, name);
        if constexpr (is_leaf<Kind>) {
            if (part.empty()) return;
            if constexpr (std::invocable<F&, const std::string&, Part&, Layout>)
                f_(key, part, layout);
            else
                f_(key, part);
        } else {
            walk(LeafWalk(key, f_), part);
        }
    }

private:
    template <class Part>
    static void walk(const LeafWalk& below, Part& part) {
        using Kind = std::remove_const_t<Part>;
        if constexpr (is_list<Kind>) {
            for (std::size_t k = 0; k < part.size(); ++k) below(std::to_string(k), part[k]);
        } else if constexpr (is_optional<Kind>) {
            if (part) below("", *part);
        } else if constexpr (is_variant<Kind>) {
            std::visit([&](auto& chosen) { below("", chosen); }, part);
        } else if constexpr (!std::same_as<Kind, std::monostate>) {
            static_assert(IsModule<Kind>, "a module derives from nn::Module");
            Kind::visit(part, below);
        }
    }

    std::string prefix_;
    F& f_;
};

}  // namespace detail

// Calls f(key, leaf) or f(key, leaf, layout) for every Var and Tensor of a module (or of a vector or optional of them)
// that is not empty, in the order of visit(): f("down_blocks.0.resnets.1.conv1.weight", var). A const model gives
// const leaves.
template <class Model, class F>
void for_each_leaf(Model& model, F&& f) {
    detail::LeafWalk<std::remove_reference_t<F>>("", f)("", model);
}

// The trained leaves, in the order of visit(). Copies of a Var share its numbers and its gradient.
template <class T, class Model>
std::vector<Var<T>> parameters(const Model& model) {
    std::vector<Var<T>> list;
    for_each_leaf(model, [&]<class Part>(const std::string&, const Part& part) {
        if constexpr (std::same_as<Part, Var<T>>)
            if (part.requires_grad()) list.push_back(part);
    });
    return list;
}

// How many numbers are trained.
template <class Model>
Index count(const Model& model) {
    Index numbers = 0;
    for_each_leaf(model, [&](const std::string&, const auto& part) {
        if constexpr (requires { part.requires_grad(); }) numbers += part.requires_grad() ? part.size() : 0;
    });
    return numbers;
}

// Forgets the collected gradients.
template <class Model>
void zero_grad(Model& model) {
    for_each_leaf(model, [](const std::string&, auto& part) {
        if constexpr (requires { part.zero_grad(); }) part.zero_grad();
    });
}

// An independent model with the same options and numbers, without gradients.
template <class Model>
Model clone(const Model& model) {
    Model copy = [&] {
        struct Scope {
            Scope() { detail::cloning() = true; }
            ~Scope() { detail::cloning() = false; }
        } scope;
        return Model(model);
    }();
    for_each_leaf(copy, []<class Part>(const std::string&, Part& part) {
        if constexpr (requires { part.requires_grad(); }) {
            if (part.packed() != nullptr) return;  // never written, and so shared
            part = part.requires_grad() ? Part::parameter(part.value().clone()) : Part(part.value().clone());
        } else {
            part = part.clone();
        }
    });
    return copy;
}

// Calls f(key, to_leaf, from_leaf) for the leaves of two modules. Throws Error before the first call when they differ
// in keys, types or shapes.
template <class To, class From, class F>
void for_each_pair(To& to, const From& from, F&& f) {
    std::vector<std::pair<std::string, std::any>> sources;
    for_each_leaf(from, [&](const std::string& key, const auto& leaf) { sources.emplace_back(key, &leaf); });
    std::size_t next = 0;
    const auto source = [&]<class Leaf>(const std::string& key, const Leaf& leaf) -> const Leaf& {
        check(next < sources.size(), "for_each_pair: ", key, " has no counterpart");
        const auto& [from_key, pointer] = sources[next++];
        const auto* found = std::any_cast<const Leaf*>(&pointer);
        check(found != nullptr && from_key == key && (*found)->shape() == leaf.shape(), "for_each_pair: ", key, " ",
              leaf.shape(), " does not fit ", from_key,
              found == nullptr ? std::string() : to_string((*found)->shape()));
        return **found;
    };
    for_each_leaf(std::as_const(to), [&](const std::string& key, const auto& leaf) { source(key, leaf); });
    check(next == sources.size(), "for_each_pair: ", next, " leaves for ", sources.size());
    next = 0;
    for_each_leaf(to, [&](const std::string& key, auto& leaf) { f(key, leaf, source(key, leaf)); });
}

// Overwrites the numbers of `to` with those of `from`. Throws Error when keys, types or shapes differ; `to` is
// unchanged then.
template <class To, class From>
void copy(const From& from, To& to) {
    for_each_pair(to, from, []<class Leaf>(const std::string&, Leaf& target, const Leaf& source) {
        if constexpr (requires { target.assign(source); })
            target.assign(source);
        else
            target.value().assign(source.value());
    });
}

}  // namespace genmod::nn
