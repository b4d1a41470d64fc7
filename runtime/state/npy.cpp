#include "npy.h"

#include <algorithm>
#include <cstring>

#include "elements.h"
#include "file.h"
#include "npy_header.h"

namespace hnorm::state {

namespace {

constexpr bool kLittleEndian = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__;

// Values of another byte order, or this machine's, as To in this machine's.
template <typename From, typename To>
void convert(const char *from, bool swap, int64_t count, char *to) {
    for (int64_t i = 0; i < count; ++i, from += sizeof(From), to += sizeof(To)) {
        char bytes[sizeof(From)];
        std::memcpy(bytes, from, sizeof bytes);
        if (swap) std::reverse(bytes, bytes + sizeof bytes);
        From value;
        std::memcpy(&value, bytes, sizeof value);
        const auto converted = static_cast<To>(value);
        std::memcpy(to, &converted, sizeof converted);
    }
}

// IEEE's binary16.
struct Half {
    uint16_t bits;

    operator double() const { return static_cast<double>(detail::f16_to_float(bits)); }
};

// How a file may hold the values of a type.
struct Form {
    const char *name;  // without the byte order
    size_t size;
    void (*read)(const char *from, bool swap, int64_t count, char *to);
};

// The first one is written.
std::vector<Form> forms(Type type) {
    switch (type) {
    case Type::kFloat32:
        return {{"f4", 4, convert<float, float>}, {"f8", 8, convert<double, float>}, {"f2", 2, convert<Half, float>}};
    case Type::kFloat64:
        return {
            {"f8", 8, convert<double, double>}, {"f4", 4, convert<float, double>}, {"f2", 2, convert<Half, double>}};
    case Type::kInt64: return {{"i8", 8, convert<int64_t, int64_t>}, {"i4", 4, convert<int32_t, int64_t>}};
    }
    return {};
}

const char *allowed_types(Type type) {
    switch (type) {
    case Type::kFloat32:
    case Type::kFloat64: return "float16, float32 or float64 ('<f2', '<f4' or '<f8', or '>' for '<')";
    case Type::kInt64: return "int64 or int32 ('<i8', '>i8', '<i4' or '>i4')";
    }
    return "";
}

}  // namespace

size_t size_of(Type type) { return forms(type).front().size; }

std::string write_npy(Type type, bool scalar, int64_t count, const void *values) {
    const Form form = forms(type).front();
    std::string file = npy_header(std::string("<") + form.name, scalar ? std::vector<int64_t>() : std::vector{count});
    const size_t begin = file.size();
    file.resize(begin + static_cast<size_t>(count) * form.size);
    form.read(static_cast<const char *>(values), !kLittleEndian, count, file.data() + begin);
    return file;
}

std::vector<char> read_npy(const std::string &name, const std::string &file, Type type, bool scalar, int64_t count) {
    const NpyHeader header = read_npy_header(name, file);
    const char order = header.type.empty() ? '\0' : header.type[0];
    const std::vector<Form> all = forms(type);
    const auto form = std::find_if(all.begin(), all.end(), [&](const Form &f) {
        return (order == '<' || order == '>') && header.type.compare(1, std::string::npos, f.name) == 0;
    });
    if (form == all.end()) {
        throw FileError(name + " is of type '" + shown(header.type) + "': it must be " + allowed_types(type));
    }
    const std::vector<int64_t> wanted{count};
    if (header.shape != wanted && !(scalar && header.shape.empty())) {
        throw FileError(name + " has the shape " + header.shape_text() + ": it must be " +
                        (scalar ? "() or (1,)" : "(" + std::to_string(count) + ",), the layer's num_features"));
    }
    const uint64_t bytes = file.size() - header.end, expected = static_cast<uint64_t>(count) * form->size;
    if (bytes != expected) {
        throw FileError(name + ".npy holds " +
                        (bytes > expected ? "more than " : std::to_string(bytes) + " instead of ") +
                        std::to_string(expected) + " bytes of values");
    }
    std::vector<char> values(static_cast<size_t>(count) * all.front().size);
    form->read(file.data() + header.end, (order == '<') != kLittleEndian, count, values.data());
    return values;
}

}  // namespace hnorm::state
