// A user's own stb_image_write before genmod's headers or, with OWN_STB_LAST, behind them.
#include <cstdio>

#ifdef OWN_STB_LAST
#include <genmod/genmod.hpp>
#endif

#define STB_IMAGE_WRITE_IMPLEMENTATION
#include <stb_image_write.h>

#ifndef OWN_STB_LAST
#include <genmod/genmod.hpp>
#endif

namespace {
void take(void* sum, void*, int size) { *static_cast<int*>(sum) += size; }
}  // namespace

int main() {
    const unsigned char pixel[3] = {1, 2, 3};
    int size = 0;
    stbi_write_png_to_func(take, &size, 1, 1, 3, pixel, 3);
    std::printf("own stb wrote %d bytes; genmod %s\n", size, genmod::version);
    return size > 0 ? 0 : 1;
}
