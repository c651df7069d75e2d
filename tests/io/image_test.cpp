#include "genmod/io/image.hpp"

#include <limits>

#include "tests/io/scratch.hpp"

namespace image_test {

using namespace genmod;
using scratch::error_of;

TEST_CASE("values become the nearest byte, and bytes the same byte again") {
    CHECK(io::to_byte(-1.0f) == 0);
    CHECK(io::to_byte(1.0f) == 255);
    CHECK(io::to_byte(0.0) == 128);
    CHECK(io::to_byte(-7.5f) == 0);
    CHECK(io::to_byte(1e30f) == 255);
    CHECK(io::to_byte(2 * 100.4 / 255 - 1) == 100);
    CHECK(io::to_byte(2 * 100.6 / 255 - 1) == 101);
    for (int byte = 0; byte < 256; ++byte) {
        CHECK(io::to_byte(io::from_byte<float>(static_cast<std::uint8_t>(byte))) == byte);
        CHECK(io::to_byte(io::from_byte<double>(static_cast<std::uint8_t>(byte))) == byte);
    }
    CHECK(io::from_byte<float>(0) == -1.0f);
    CHECK(io::from_byte<float>(255) == 1.0f);
}

TEST_CASE("a sheet holds its pictures in rows, white between") {
    Tensor<float> images({5, 2, 3, 1});
    for (Index i = 0; i < images.size(); ++i) images[i] = io::from_byte<float>(static_cast<std::uint8_t>(i));
    const io::Image sheet = io::grid(images, 2);
    CHECK(sheet.height == 3 * 2 + 2 * 2);
    CHECK(sheet.width == 2 * 3 + 2);
    CHECK(sheet.channels == 1);
    const auto at = [&](Index y, Index x) { return sheet.pixels[static_cast<std::size_t>(y * sheet.width + x)]; };
    for (Index i = 0; i < 5; ++i)
        for (Index y = 0; y < 2; ++y)
            for (Index x = 0; x < 3; ++x) CHECK(at(i / 2 * 4 + y, i % 2 * 5 + x) == (i * 2 + y) * 3 + x);
    CHECK(at(2, 0) == 255);
    CHECK(at(0, 3) == 255);
    CHECK(at(9, 7) == 255);  // where a sixth would be
}

TEST_CASE("more columns than pictures, no padding, one picture, clear background under alpha") {
    const auto images = Tensor<float>::full({2, 2, 2, 4}, 1.0f);
    CHECK(io::grid(images, 9).width == 6);
    CHECK(io::grid(images, 2, 0).width == 4);
    CHECK(io::grid(images, 2, 1).pixels[4 * 2] == 0);
    CHECK(io::grid(images.reshape({4, 2, 4})).height == 4);
    const auto back = io::to_tensor<float>(io::grid(images.slice(0, 1)));
    CHECK(back.shape() == Shape{1, 2, 2, 4});
    CHECK(back[0] == 1.0f);
}

TEST_CASE("pictures that cannot be shown are refused") {
    const auto of = [](const Shape& shape, Index columns = 1, Index padding = 2) {
        return error_of([&] { io::grid(Tensor<float>::zeros(shape), columns, padding); }).code;
    };
    for (const Shape& shape : {Shape{}, Shape{2, 2}, Shape{1, 1, 1, 1, 1}, Shape{0, 2, 2, 1}, Shape{1, 0, 2, 1},
                               Shape{1, 2, 2, 0}, Shape{1, 2, 2, 5}, Shape{1, 1, 16385, 1}})
        CHECK(of(shape) == ErrorCode::argument);
    CHECK(of({1, 2, 2, 1}, 0) == ErrorCode::argument);
    CHECK(of({1, 2, 2, 1}, -1) == ErrorCode::argument);
    CHECK(of({1, 2, 2, 1}, 1, -1) == ErrorCode::argument);
    CHECK(of({1, 2, 2, 1}, 1, std::numeric_limits<Index>::max()) == ErrorCode::argument);
    CHECK(of({9000, 1, 1, 1}, 1) == ErrorCode::argument);
    auto images = Tensor<float>::zeros({2, 2, 2, 1});
    for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
        images[5] = bad;
        const auto thrown = error_of([&] { io::grid(images); });
        CHECK(thrown.code == ErrorCode::non_finite);
        CHECK(thrown.says("picture 1"));
    }
}

}  // namespace image_test
