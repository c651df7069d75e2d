// The version of genmod. CMakeLists.txt reads these three lines.
#pragma once

#define GENMOD_VERSION_MAJOR 0
#define GENMOD_VERSION_MINOR 1
#define GENMOD_VERSION_PATCH 0
