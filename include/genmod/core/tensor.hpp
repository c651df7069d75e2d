// A tensor: a shape and a shared contiguous buffer.
#pragma once

#include <algorithm>
#include <initializer_list>
#include <memory>
#include <utility>
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/core/memory.hpp"
#include "genmod/core/shape.hpp"
#include "genmod/core/types.hpp"

namespace genmod {

// Numbers of one type, outermost axis first, without gaps. Copies share the buffer (as in NumPy); clone() does not.
template <class T>
class Tensor {
public:
    using value_type = T;

    Tensor() = default;

    // Uninitialised numbers.
    explicit Tensor(const Shape& shape) : shape_(shape), data_(pooled<T>(shape.size())) {}

    // A view of `data`, which keeps its owner alive.
    Tensor(const Shape& shape, std::shared_ptr<T[]> data) : shape_(shape), data_(std::move(data)) {}

    static Tensor full(const Shape& shape, T value) {
        Tensor result(shape);
        result.fill(value);
        return result;
    }
    static Tensor zeros(const Shape& shape) { return full(shape, T(0)); }

    // Copies `values`, which must be shape.size() many.
    static Tensor from(const Shape& shape, const std::vector<T>& values) {
        check(shape.size() == static_cast<Index>(values.size()), "Tensor: shape ", shape, " does not hold ",
              values.size(), " values");
        Tensor result(shape);
        std::copy(values.begin(), values.end(), result.data());
        return result;
    }

    // True for a tensor that was never given a shape.
    bool empty() const { return data_ == nullptr; }

    const Shape& shape() const { return shape_; }
    Index rank() const { return shape_.rank(); }
    Index size() const { return empty() ? 0 : shape_.size(); }
    Index dim(Index axis) const { return shape_.dim(axis); }

    T* data() { return data_.get(); }
    const T* data() const { return data_.get(); }
    T* begin() { return data(); }
    T* end() { return data() + size(); }
    const T* begin() const { return data(); }
    const T* end() const { return data() + size(); }

    // The k-th number in memory order, unchecked.
    T& operator[](Index k) { return data_[static_cast<std::ptrdiff_t>(k)]; }
    const T& operator[](Index k) const { return data_[static_cast<std::ptrdiff_t>(k)]; }

    // The number of a tensor that holds just one. Throws Error otherwise.
    T item() const {
        check(size() == 1, "Tensor: item() of a tensor of shape ", shape_);
        return data_[0];
    }

    void fill(T value) { std::fill(begin(), end(), value); }

    // The same numbers under another shape; one extent may be -1. Shares the buffer.
    Tensor reshape(std::initializer_list<Index> extents) const {
        std::vector<Index> resolved(extents);
        Index known = 1;
        for (const Index extent : resolved) known *= extent < 0 ? 1 : extent;
        for (Index& extent : resolved)
            if (extent == -1) extent = known == 0 ? 0 : size() / known;
        return reshape(Shape(resolved.data(), static_cast<Index>(resolved.size())));
    }
    Tensor reshape(const Shape& shape) const {
        check(shape.size() == size(), "Tensor: cannot reshape ", shape_, " to ", shape);
        return Tensor(shape, data_);
    }

    // Entries first..last-1 of axis 0. Shares the buffer.
    Tensor slice(Index first, Index last) const {
        check(rank() >= 1 && first >= 0 && first <= last && last <= dim(0), "Tensor: cannot slice ", first, "..", last,
              " of ", shape_);
        const Index stride = shape_.product(1, rank());
        return Tensor(shape_.with(0, last - first), std::shared_ptr<T[]>(data_, data_.get() + first * stride));
    }

    Tensor clone() const {
        Tensor result(shape_);
        std::copy(begin(), end(), result.begin());
        return result;
    }

    // Overwrites the numbers with those of `other`, which must have the same shape.
    void assign(const Tensor& other) {
        check(other.shape() == shape_, "Tensor: cannot assign ", other.shape(), " to ", shape_);
        std::copy(other.begin(), other.end(), begin());
    }

    // Whether nobody else holds the buffer.
    bool unique() const { return data_.use_count() == 1; }

    // The buffer and its ownership.
    const std::shared_ptr<T[]>& storage() const { return data_; }

private:
    Shape shape_;
    std::shared_ptr<T[]> data_;
};

// The same numbers in another type.
template <class To, class From>
Tensor<To> cast(const Tensor<From>& from) {
    Tensor<To> result(from.shape());
    std::transform(from.begin(), from.end(), result.begin(), [](From value) { return static_cast<To>(value); });
    return result;
}

}  // namespace genmod
