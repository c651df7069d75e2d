// Losses of generator and discriminator, of logits [n] -> [], means over the batch.
#pragma once

#include "genmod/autograd/var.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/ops/activation.hpp"
#include "genmod/ops/arithmetic.hpp"
#include "genmod/ops/loss.hpp"
#include "genmod/ops/reduce.hpp"

namespace genmod::gan {

// non_saturating: Goodfellow et al. 2014, section 3. hinge: Lim and Ye 2017, eq. 12 and 13. wasserstein: Arjovsky et
// al. 2017, to be used with a gradient penalty.
enum class LossKind { non_saturating, hinge, wasserstein };

// What the discriminator minimises. non_saturating: -log sigmoid(real) - log(1 - sigmoid(made)), where `real_label`
// below 1 smooths the first to that label (Salimans et al. 2016, section 3.4). hinge: max(0, 1 - real) + max(0, 1 +
// made). wasserstein: made - real. Throws Error unless real_label is in 0..1 and 1 where it has no meaning.
template <class T>
Var<T> discriminator_loss(LossKind kind, const Var<T>& real, const Var<T>& made, double real_label = 1) {
    check(real_label > 0 && real_label <= 1 && (real_label == 1 || kind == LossKind::non_saturating),
          "GAN: a label of ", real_label, " for real samples");
    Var<T> of_real, of_made;
    switch (kind) {
        case LossKind::non_saturating:
            of_real =
                ops::bce_with_logits_loss(real, Var<T>(Tensor<T>::full(real.shape(), static_cast<T>(real_label))));
            of_made = ops::bce_with_logits_loss(made, Var<T>(Tensor<T>::zeros(made.shape())));
            break;
        case LossKind::hinge:
            of_real = ops::mean(ops::relu(ops::add_scalar(ops::negate(real), 1)));
            of_made = ops::mean(ops::relu(ops::add_scalar(made, 1)));
            break;
        case LossKind::wasserstein:
            of_real = ops::negate(ops::mean(real));
            of_made = ops::mean(made);
            break;
    }
    return ops::add(of_real, of_made);
}

// What the generator minimises: -log sigmoid(made), else -made.
template <class T>
Var<T> generator_loss(LossKind kind, const Var<T>& made) {
    if (kind == LossKind::non_saturating)
        return ops::bce_with_logits_loss(made, Var<T>(Tensor<T>::full(made.shape(), T(1))));
    return ops::negate(ops::mean(made));
}

}  // namespace genmod::gan
