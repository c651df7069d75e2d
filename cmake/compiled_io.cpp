// The part of genmod::compiled that reads files and knows stb.
#include "genmod/io/impl/json.hpp"
#include "genmod/io/impl/png.hpp"
#include "genmod/io/impl/safetensors_header.hpp"

namespace genmod::io::detail {

template Json parse_json(std::string_view, std::string_view, const JsonLimits&);
template std::string json_text(const Json&, int);
template SafetensorsHeader parse_safetensors_header(std::string_view, std::string_view, std::uint64_t,
                                                    const SafetensorsOptions&);
template Bytes encode_pixels(const Image&);

}  // namespace genmod::io::detail
