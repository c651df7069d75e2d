// The umbrella gives the version, as a text and as numbers.
#include <string>

#include "genmod/genmod.hpp"
#include "tests/support/catch.hpp"

TEST_CASE("the version's text is made of its numbers") {
    CHECK(genmod::version == std::to_string(GENMOD_VERSION_MAJOR) + "." + std::to_string(GENMOD_VERSION_MINOR) + "." +
                                 std::to_string(GENMOD_VERSION_PATCH));
}
