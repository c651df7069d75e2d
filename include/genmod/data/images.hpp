// A set of labelled pictures in memory, as bytes; a batch of them becomes numbers when it is asked for.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/io/image.hpp"

namespace genmod::data {

struct BatchOptions {
    Index pad_to = 0;            // height and width to pad to, the picture in the middle (28 -> 32); 0: none
    std::uint8_t pad_value = 0;  // the byte to pad with
    bool flip = false;           // mirror every second picture or so, left to right, drawn by (seed, step, place)
    std::uint64_t seed = 0, step = 0;
};

struct Images {
    Tensor<std::uint8_t> pixels;  // [n, h, w, c]
    std::vector<Index> labels;    // n numbers into class_names, or none
    std::vector<std::string> class_names;

    Index size() const { return pixels.empty() ? 0 : pixels.dim(0); }

    // The chosen pictures as numbers in [-1, 1], [indices, h, w, c]. Throws Error(argument) for an index out of range.
    template <class T = float>
    Tensor<T> batch(const std::vector<Index>& indices, const BatchOptions& options = {}) const {
        check(!pixels.empty() && pixels.rank() == 4, "Images: no pictures");
        const Index h = pixels.dim(1), w = pixels.dim(2), c = pixels.dim(3);
        const Index height = options.pad_to == 0 ? h : options.pad_to, width = options.pad_to == 0 ? w : options.pad_to;
        check(height >= h && width >= w, "Images: cannot pad pictures of ", h, " x ", w, " to ", options.pad_to);
        const auto count = static_cast<Index>(indices.size());
        std::vector<float> coins(indices.size(), 1.0f);
        if (options.flip)
            fill_uniform({.seed = options.seed, .purpose = Purpose::data, .step = options.step}, coins.data(), count);
        const Index top = (height - h) / 2, left = (width - w) / 2;
        auto result = Tensor<T>::full({count, height, width, c}, io::from_byte<T>(options.pad_value));
        for (Index i = 0; i < count; ++i) {
            const auto place = static_cast<std::size_t>(i);
            const Index index = indices[place];
            check(index >= 0 && index < size(), "Images: index ", index, " is not in 0..", size() - 1);
            for (Index y = 0; y < h; ++y) {
                const std::uint8_t* from = pixels.data() + (index * h + y) * w * c;
                T* to = result.data() + ((i * height + top + y) * width + left) * c;
                for (Index x = 0; x < w; ++x)
                    for (Index k = 0; k < c; ++k)
                        to[x * c + k] = io::from_byte<T>(from[(coins[place] < 0.5f ? w - 1 - x : x) * c + k]);
            }
        }
        return result;
    }

    // `count` pictures drawn with replacement.
    template <class T = float>
    Tensor<T> batch(Index count, Rng& rng, const BatchOptions& options = {}) const {
        check(count >= 1 && size() >= 1, "Images: cannot draw ", count, " of ", size(), " pictures");
        std::vector<Index> indices(static_cast<std::size_t>(count));
        for (Index& index : indices) index = rng.below(size());
        return batch<T>(indices, options);
    }

    // Their labels.
    std::vector<Index> batch_labels(const std::vector<Index>& indices) const {
        std::vector<Index> result;
        for (const Index index : indices) {
            check(index >= 0 && index < static_cast<Index>(labels.size()), "Images: no label for picture ", index);
            result.push_back(labels[static_cast<std::size_t>(index)]);
        }
        return result;
    }

    // The numbers of all pictures with one of these labels.
    std::vector<Index> with_label(const std::vector<Index>& wanted) const {
        std::vector<Index> result;
        for (std::size_t i = 0; i < labels.size(); ++i)
            if (std::find(wanted.begin(), wanted.end(), labels[i]) != wanted.end())
                result.push_back(static_cast<Index>(i));
        return result;
    }
};

}  // namespace genmod::data
