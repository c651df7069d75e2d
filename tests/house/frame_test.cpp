// The umbrella gives the version, whatever Catch2 is installed.
#include "genmod/genmod.hpp"
#include "support/catch.hpp"

TEST_CASE("the version is made of three numbers") {
    CHECK(GENMOD_VERSION_MAJOR >= 0);
    CHECK(GENMOD_VERSION_MINOR >= 0);
    CHECK(GENMOD_VERSION_PATCH >= 0);
}
