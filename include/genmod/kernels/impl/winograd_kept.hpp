// Winograd's transforms of weights that are kept from call to call.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <utility>

#include "genmod/core/memory.hpp"
#include "genmod/core/types.hpp"

namespace genmod::kernels {

// The bytes that the kept transforms of a model's weights may take: together, and an eighth of them each.
class TransformBudget {
public:
    explicit TransformBudget(Index bytes) : most_(bytes / 8), left_(bytes) {}

    bool take(Index bytes) {
        if (bytes > most_) return false;
        if (left_.fetch_sub(bytes) >= bytes) return true;
        left_ += bytes;
        return false;
    }

private:
    Index most_;
    std::atomic<Index> left_;
};

namespace detail {

// The transform of one layer's weights, made when it is first asked for. Threads may share it.
template <class T>
class KeptTransform {
public:
    explicit KeptTransform(std::shared_ptr<TransformBudget> budget) : budget_(std::move(budget)) {}

    // The `count` numbers that make(T*) writes, or null where the budget did not last.
    template <class Make>
    const T* get(Index count, const Make& make) {
        std::call_once(once_, [&] {
            if (!budget_->take(count * static_cast<Index>(sizeof(T)))) return;
            const std::shared_ptr<T[]> numbers = pooled<T>(count);
            make(numbers.get());
            numbers_ = numbers;
        });
        return numbers_.get();
    }

private:
    std::shared_ptr<TransformBudget> budget_;
    std::once_flag once_;
    std::shared_ptr<T[]> numbers_;
};

}  // namespace detail

}  // namespace genmod::kernels
