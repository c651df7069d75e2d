// oneDNN's products and convolutions at their best: its own layouts, weights packed beforehand. Run by compare.py:
//   onednn_peer ROW VARIANT     float or bf16; of convolutions also winograd (float); of products also plain (float,
//                               b as it lies)
#include <cstddef>
#include <cstdint>
#include <dnnl.hpp>
#include <functional>
#include <stdexcept>
#include <string>
#include <unordered_map>

#include "benchmarks/serve.hpp"
#include "benchmarks/shapes.hpp"

using dnnl::memory;

namespace {

struct Machine {
    dnnl::engine engine{dnnl::engine::kind::cpu, 0};
    dnnl::stream stream{engine};
};

Machine& machine() {
    static Machine here;
    return here;
}

memory::data_type type_of(const std::string& variant) {
    return variant == "bf16" ? memory::data_type::bf16 : memory::data_type::f32;
}

// What a primitive is planned from, in oneDNN 2 and in 3; gradients are planned behind the forward pass.
template <class Primitive, class... Arguments>
typename Primitive::primitive_desc plan_of(const Arguments&... arguments) {
#if DNNL_VERSION_MAJOR < 3
    return {typename Primitive::desc(arguments...), machine().engine};
#else
    return {machine().engine, arguments...};
#endif
}
template <class Primitive, class... Arguments>
typename Primitive::primitive_desc plan_behind(const dnnl::convolution_forward::primitive_desc& forward,
                                               const Arguments&... arguments) {
#if DNNL_VERSION_MAJOR < 3
    return {typename Primitive::desc(arguments...), machine().engine, forward};
#else
    return {machine().engine, arguments..., forward};
#endif
}

memory::data_type type_of(const memory::desc& layout) {
#if DNNL_VERSION_MAJOR < 3
    return layout.data_type();
#else
    return layout.get_data_type();
#endif
}

// Numbers of about 1 (as bf16 they are pairs of bytes that mean about 0.01).
memory filled(const memory::desc& layout) {
    memory values(layout, machine().engine);
    const std::size_t bytes = layout.get_size();
    if (type_of(layout) == memory::data_type::bf16) {
        auto* data = static_cast<std::uint16_t*>(values.get_data_handle());
        for (std::size_t k = 0; k < bytes / 2; ++k) data[k] = static_cast<std::uint16_t>(0x3c00 + k % 31);
    } else {
        auto* data = static_cast<float*>(values.get_data_handle());
        for (std::size_t k = 0; k < bytes / 4; ++k) data[k] = static_cast<float>(k * 7919 % 201) / 100 - 1;
    }
    return values;
}

std::function<void()> work(const dnnl::primitive& primitive, const std::unordered_map<int, memory>& operands) {
    return [=] {
        primitive.execute(machine().stream, operands);
        machine().stream.wait();
    };
}

std::function<void()> product(const benchmarks::Product& s, const std::string& variant, bool transposed) {
    const auto type = type_of(variant);
    const auto as_it_lies = transposed ? memory::format_tag::ba : memory::format_tag::ab;
    const memory::desc a({s.m, s.k}, type, memory::format_tag::ab);
    const memory::desc b({s.k, s.n}, type, variant == "plain" ? as_it_lies : memory::format_tag::any);
    const memory::desc c({s.m, s.n}, type, memory::format_tag::ab);
    const auto plan = plan_of<dnnl::matmul>(a, b, c);
    return work(dnnl::matmul(plan), {{DNNL_ARG_SRC, filled(plan.src_desc())},
                                     {DNNL_ARG_WEIGHTS, filled(plan.weights_desc())},
                                     {DNNL_ARG_DST, filled(plan.dst_desc())}});
}

struct Layouts {
    memory::desc x, weight, y;
    memory::dims strides, padding, end_padding;

    Layouts(const benchmarks::Convolution& s, memory::data_type type)
        : x({s.n, s.in, s.height, s.width}, type, memory::format_tag::any),
          weight({s.out, s.in, s.kernel, s.kernel}, type, memory::format_tag::any),
          y({s.n, s.out, s.out_height(), s.out_width()}, type, memory::format_tag::any),
          strides{s.stride, s.stride},
          padding{s.padding(), s.padding()},
          end_padding{(s.out_height() - 1) * s.stride + s.kernel - s.height - s.padding(),
                      (s.out_width() - 1) * s.stride + s.kernel - s.width - s.padding()} {}
};

dnnl::convolution_forward::primitive_desc forward_plan(const Layouts& l, dnnl::algorithm algorithm,
                                                       dnnl::prop_kind kind) {
    return plan_of<dnnl::convolution_forward>(kind, algorithm, l.x, l.weight, l.y, l.strides, l.padding, l.end_padding);
}

std::function<void()> convolution(const benchmarks::Convolution& s, const std::string& variant) {
    const Layouts l(s, type_of(variant));
    const auto algorithm =
        variant == "winograd" ? dnnl::algorithm::convolution_winograd : dnnl::algorithm::convolution_direct;
    const auto plan = forward_plan(l, algorithm, dnnl::prop_kind::forward_inference);
    return work(dnnl::convolution_forward(plan), {{DNNL_ARG_SRC, filled(plan.src_desc())},
                                                  {DNNL_ARG_WEIGHTS, filled(plan.weights_desc())},
                                                  {DNNL_ARG_DST, filled(plan.dst_desc())}});
}

std::function<void()> to_input(const benchmarks::Convolution& s, const std::string& variant) {
    const Layouts l(s, type_of(variant));
    const auto direct = dnnl::algorithm::convolution_direct;
    const auto plan =
        plan_behind<dnnl::convolution_backward_data>(forward_plan(l, direct, dnnl::prop_kind::forward_training), direct,
                                                     l.x, l.weight, l.y, l.strides, l.padding, l.end_padding);
    return work(dnnl::convolution_backward_data(plan), {{DNNL_ARG_DIFF_DST, filled(plan.diff_dst_desc())},
                                                        {DNNL_ARG_WEIGHTS, filled(plan.weights_desc())},
                                                        {DNNL_ARG_DIFF_SRC, filled(plan.diff_src_desc())}});
}

std::function<void()> to_weight(const benchmarks::Convolution& s, const std::string& variant) {
    const Layouts l(s, type_of(variant));
    const auto direct = dnnl::algorithm::convolution_direct;
    const auto plan = plan_behind<dnnl::convolution_backward_weights>(
        forward_plan(l, direct, dnnl::prop_kind::forward_training), direct, l.x, l.weight, l.y, l.strides, l.padding,
        l.end_padding);
    return work(dnnl::convolution_backward_weights(plan), {{DNNL_ARG_DIFF_DST, filled(plan.diff_dst_desc())},
                                                           {DNNL_ARG_SRC, filled(plan.src_desc())},
                                                           {DNNL_ARG_DIFF_WEIGHTS, filled(plan.diff_weights_desc())}});
}

std::function<void()> prepare(const std::string& family, const std::string& sizes, const std::string& variant) {
    const bool products = family == "product" || family == "linear";
    const bool known = variant == "float" || variant == "bf16" || (variant == "winograd" && family == "conv") ||
                       (variant == "plain" && products);
    try {
        if (known && products) return product(benchmarks::Product(sizes), variant, family == "linear");
        if (known && family == "conv") return convolution(benchmarks::Convolution(sizes), variant);
        if (known && family == "convinput") return to_input(benchmarks::Convolution(sizes), variant);
        if (known && family == "convweight") return to_weight(benchmarks::Convolution(sizes), variant);
    } catch (const dnnl::error& error) {
        throw std::invalid_argument("oneDNN has no " + variant + " for " + family + "_" + sizes + ": " + error.message);
    }
    throw std::invalid_argument("oneDNN has no " + family + " " + variant);
}

}  // namespace

int main(int argc, char** argv) {
    const dnnl_version_t* v = dnnl_version();
    const std::string version =
        std::to_string(v->major) + "." + std::to_string(v->minor) + "." + std::to_string(v->patch);
    return benchmarks::serve_peer(argc, argv, "oneDNN " + version, prepare);
}
