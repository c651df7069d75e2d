// The extents of a tensor.
#pragma once

#include <array>
#include <cstddef>
#include <initializer_list>
#include <limits>
#include <string>

#include "genmod/core/error.hpp"
#include "genmod/core/types.hpp"

namespace genmod {

// Up to eight extents, outermost first. Rank 0 is a scalar. Extents may be zero, never negative.
class Shape {
public:
    static constexpr Index max_rank = 8;

    Shape() = default;

    // Throws Error when there are more than eight extents, one is negative, or the product does not fit an Index.
    Shape(std::initializer_list<Index> extents) : Shape(extents.begin(), static_cast<Index>(extents.size())) {}

    Shape(const Index* extents, Index count) {
        check(count >= 0 && count <= max_rank, "Shape: rank ", count, " is not in 0..", max_rank);
        rank_ = count;
        for (Index axis = 0; axis < count; ++axis) set(axis, extents[axis]);
    }

    Index rank() const { return rank_; }

    // Number of elements; 1 for a scalar.
    Index size() const {
        Index product = 1;
        for (Index axis = 0; axis < rank_; ++axis) product *= extents_[at(axis)];
        return product;
    }

    // Extent of an axis; negative axes count from the end. Throws Error when there is no such axis.
    Index dim(Index axis) const { return extents_[at(resolve(axis))]; }

    // Position of an axis, negative ones counted from the end. Throws Error when there is no such axis.
    Index resolve(Index axis) const {
        const Index position = axis < 0 ? axis + rank_ : axis;
        check(position >= 0 && position < rank_, "Shape: axis ", axis, " does not exist in ", *this);
        return position;
    }

    // The same shape with one extent replaced.
    Shape with(Index axis, Index extent) const {
        Shape result = *this;
        result.set(resolve(axis), extent);
        return result;
    }

    // The same shape with an extent put before position `axis` (0..rank).
    Shape inserted(Index axis, Index extent) const {
        check(axis >= 0 && axis <= rank_ && rank_ < max_rank, "Shape: cannot insert at ", axis, " in ", *this);
        Shape result;
        result.rank_ = rank_ + 1;
        for (Index i = 0, j = 0; i < result.rank_; ++i) result.set(i, i == axis ? extent : extents_[at(j++)]);
        return result;
    }

    // The same shape without one axis.
    Shape without(Index axis) const {
        const Index gone = resolve(axis);
        Shape result;
        for (Index i = 0; i < rank_; ++i)
            if (i != gone) result.extents_[at(result.rank_++)] = extents_[at(i)];
        return result;
    }

    // Product of the extents of axes first..last-1.
    Index product(Index first, Index last) const {
        Index result = 1;
        for (Index axis = first; axis < last; ++axis) result *= extents_[at(axis)];
        return result;
    }

    friend bool operator==(const Shape& a, const Shape& b) {
        if (a.rank_ != b.rank_) return false;
        for (Index axis = 0; axis < a.rank_; ++axis)
            if (a.extents_[at(axis)] != b.extents_[at(axis)]) return false;
        return true;
    }

    friend std::string to_string(const Shape& shape) {
        std::string text = "[";
        for (Index axis = 0; axis < shape.rank_; ++axis)
            text += (axis == 0 ? "" : ", ") + std::to_string(shape.extents_[at(axis)]);
        return text + "]";
    }

private:
    static constexpr std::size_t at(Index axis) { return static_cast<std::size_t>(axis); }

    void set(Index axis, Index extent) {
        check(extent >= 0, "Shape: extent ", extent, " of axis ", axis, " is negative");
        extents_[at(axis)] = extent;
        Index product = 1;
        for (Index i = 0; i < rank_; ++i) {
            const Index factor = extents_[at(i)] == 0 ? Index{1} : extents_[at(i)];  // 0 may be replaced later
            check(product <= std::numeric_limits<Index>::max() / 16 / factor, "Shape: too many elements to count");
            product *= factor;
        }
    }

    std::array<Index, max_rank> extents_{};
    Index rank_ = 0;
};

}  // namespace genmod
