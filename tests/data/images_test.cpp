#include "genmod/data/images.hpp"

#include "tests/io/scratch.hpp"

namespace images_test {

using namespace genmod;
using scratch::error_of;

namespace {

// Two pictures of 2 x 3 pixels and 2 channels: byte = its place.
data::Images example() {
    data::Images images{Tensor<std::uint8_t>({2, 2, 3, 2}), {1, 0}, {"a", "b"}};
    for (Index i = 0; i < images.pixels.size(); ++i) images.pixels[i] = static_cast<std::uint8_t>(i);
    return images;
}

}  // namespace

TEST_CASE("a batch holds the chosen pictures in [-1, 1]") {
    const auto batch = example().batch({1, 0, 1});
    CHECK(batch.shape() == Shape{3, 2, 3, 2});
    for (Index i = 0; i < 12; ++i) {
        CHECK(io::to_byte(batch[i]) == 12 + i);
        CHECK(io::to_byte(batch[12 + i]) == i);
    }
    CHECK(example().batch<double>({0})[0] == -1.0);
    CHECK(example().batch_labels({1, 0, 1}) == std::vector<Index>{0, 1, 0});
    CHECK(example().with_label({1}) == std::vector<Index>{0});
}

TEST_CASE("padding puts the picture in the middle") {
    const auto batch = example().batch({0}, {.pad_to = 4, .pad_value = 255});
    CHECK(batch.shape() == Shape{1, 4, 4, 2});
    const auto at = [&](Index y, Index x, Index c) { return batch[(y * 4 + x) * 2 + c]; };
    CHECK(at(0, 0, 0) == 1.0f);
    CHECK(at(1, 3, 1) == 1.0f);
    CHECK(io::to_byte(at(1, 0, 1)) == 1);
    CHECK(io::to_byte(at(2, 2, 1)) == 11);
    CHECK(error_of([] { example().batch({0}, {.pad_to = 2}); }).code == ErrorCode::argument);
}

TEST_CASE("flips depend on seed and step only, and mirror about half of the pictures") {
    const std::vector<Index> indices(400, 0);
    const auto batch = example().batch(indices, {.flip = true, .seed = 5, .step = 7});
    const auto again = example().batch(indices, {.flip = true, .seed = 5, .step = 7});
    const auto other = example().batch(indices, {.flip = true, .seed = 5, .step = 8});
    CHECK(std::equal(batch.begin(), batch.end(), again.begin()));
    CHECK_FALSE(std::equal(batch.begin(), batch.end(), other.begin()));
    Index mirrored = 0;
    for (Index i = 0; i < 400; ++i) {
        const float* picture = batch.data() + i * 12;
        if (io::to_byte(picture[0]) == 0) continue;
        ++mirrored;
        for (Index y = 0; y < 2; ++y)
            for (Index x = 0; x < 3; ++x)
                for (Index c = 0; c < 2; ++c)
                    CHECK(io::to_byte(picture[(y * 3 + x) * 2 + c]) == (y * 3 + 2 - x) * 2 + c);
    }
    CHECK(mirrored > 150);
    CHECK(mirrored < 250);
}

TEST_CASE("random batches follow the generator") {
    Rng a(1), b(1);
    const auto first = example().batch(8, a), second = example().batch(8, b);
    CHECK(std::equal(first.begin(), first.end(), second.begin()));
}

TEST_CASE("what does not exist is refused") {
    CHECK(error_of([] { example().batch({2}); }).says("index 2 is not in 0..1"));
    CHECK(error_of([] { example().batch({-1}); }).code == ErrorCode::argument);
    CHECK(error_of([] { data::Images().batch({0}); }).code == ErrorCode::argument);
    CHECK(error_of([] { example().batch_labels({2}); }).code == ErrorCode::argument);
    Rng rng(1);
    CHECK(error_of([&] { example().batch(0, rng); }).code == ErrorCode::argument);
    CHECK(data::Images().size() == 0);
}

}  // namespace images_test
