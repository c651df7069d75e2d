#include "genmod/io/crc32.hpp"

#include <zlib.h>

#include <vector>

#include "genmod/core/rng.hpp"
#include "tests/support/catch.hpp"

namespace crc32_test {

using namespace genmod;

TEST_CASE("the checksum equals zlib's for every length and split") {
    Rng rng(1);
    std::vector<std::uint8_t> bytes(300);
    for (auto& byte : bytes) byte = static_cast<std::uint8_t>(rng.next());
    for (std::size_t size = 0; size <= bytes.size(); ++size) {
        const std::span<const std::uint8_t> part(bytes.data(), size);
        CHECK(io::crc32(part) == ::crc32(0, bytes.data(), static_cast<uInt>(size)));
        CHECK(io::crc32(part.subspan(size / 3), io::crc32(part.first(size / 3))) == io::crc32(part));
    }
}

}  // namespace crc32_test
