// Coupling layers: a network reads one part of a sample and says how to move the other (Dinh et al. 2015, 2017).
#pragma once

#include <utility>

#include "genmod/autograd/var.hpp"
#include "genmod/core/error.hpp"
#include "genmod/flows/mask.hpp"
#include "genmod/flows/transform.hpp"
#include "genmod/nn/module.hpp"

namespace genmod::flows {

// `Element` moves numbers one by one: element.forward(x, parameters) and .inverse(y, parameters) give y and, in
// log_det, the log |dy/dx| of each number, for x [..., c] and parameters [..., element.parameters() * c].
// `Network` is network(kept) or, when conditional, network(kept, context).
template <class T, class Network, class Element>
struct Coupling : nn::Module {
    static constexpr const char* name = "coupling";
    Network network;
    Element element;
    Mask mask;

    Coupling(Network net, Element move, Mask what) : network(std::move(net)), element(std::move(move)), mask(what) {}

    // x [n, ..., c]
    Transformed<T> forward(const Var<T>& x, const Var<T>& context = {}) const {
        const Var<T> seen = kept(mask, x);
        return finish(seen, element.forward(moved(mask, x), ask(seen, context)));
    }
    Transformed<T> inverse(const Var<T>& y, const Var<T>& context = {}) const {
        const Var<T> seen = kept(mask, y);
        return finish(seen, element.inverse(moved(mask, y), ask(seen, context)));
    }

    static void visit(auto& self, auto&& f) {
        f("network", self.network);
        f("element", self.element);
    }

private:
    Var<T> ask(const Var<T>& seen, const Var<T>& context) const {
        if constexpr (requires { network(seen, context); })
            if (!context.empty()) return network(seen, context);
        if constexpr (requires { network(seen); })
            return network(seen);
        else
            fail(ErrorCode::argument, "coupling: the network needs a context");
    }
    Transformed<T> finish(const Var<T>& seen, const Transformed<T>& numbers) const {
        return {joined(mask, seen, numbers.y), per_sample(counted(mask, numbers.log_det))};
    }
};

}  // namespace genmod::flows
