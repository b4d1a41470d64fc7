#include "array.h"

#include <cstring>
#include <unordered_map>

namespace hnorm_python {

void refuse(const std::string &sentence, hnorm_status status) { throw hnorm::Error(status, sentence); }

namespace {

// The table of functions that DLPack 1.2 lets a type have as __dlpack_c_exchange_api__ (dlpack.h:
// DLPackExchangeAPI). PyTorch has it, and answers 50 times as fast as by __dlpack__.
struct ExchangeApi {
    std::uint32_t major, minor;
    void *previous;
    void (*functions_not_used_here[3])();
    int (*tensor_of)(void *object, nb::dlpack::dltensor *out);
    int (*current_stream)(int device_type, std::int32_t device_id, void **stream);
};

// What is asked of each type once. Types are few, and are kept.
struct TypeInfo {
    const ExchangeApi *api = nullptr;
    PyObject *empty_like = nullptr;  // of the library of the type, if it has arrays that can be written
    bool is_numpy = false;
};

const ExchangeApi *exchange_api(nb::handle type) {
    const nb::object capsule = nb::getattr(type, "__dlpack_c_exchange_api__", nb::none());
    if (!PyCapsule_IsValid(capsule.ptr(), "dlpack_exchange_api")) {
        return nullptr;
    }
    const auto *api = static_cast<const ExchangeApi *>(PyCapsule_GetPointer(capsule.ptr(), "dlpack_exchange_api"));
    return api->major == nb::dlpack::major_version && api->tensor_of ? api : nullptr;
}

const TypeInfo &info_of(nb::handle object) {
    static auto &known = *new std::unordered_map<PyObject *, TypeInfo>;
    PyObject *const type = reinterpret_cast<PyObject *>(Py_TYPE(object.ptr()));
    const auto found = known.find(type);
    if (found != known.end()) {
        return found->second;
    }
    TypeInfo info;
    info.api = exchange_api(type);
    for (nb::handle base : nb::getattr(type, "__mro__")) {
        const std::string module = nb::cast<std::string>(nb::str(nb::getattr(base, "__module__")));
        const std::string library = module.substr(0, module.find('.'));
        if (library == "numpy" || library == "torch" || library == "cupy") {
            info.empty_like = nb::getattr(nb::module_::import_(library.c_str()), "empty_like").release().ptr();
            info.is_numpy = library == "numpy";
            break;
        }
    }
    Py_INCREF(type);
    return known.emplace(type, info).first->second;
}

std::string place_name(const Place &place) {
    if (place == Place()) {
        return "the CPU";
    }
    return (place.type == 2 ? "CUDA device "
                            : "a device of DLPack's type " + std::to_string(place.type) + ", number ") +
           std::to_string(place.index);
}

// NumPy has no DLPack for bfloat16, which the package ml_dtypes brings: the same memory as
// integers. The name of a dtype takes long to ask for. So one that fails is asked for its name, and
// that of bfloat16 is known from then on.
nb::object as_integers(nb::handle object, bool has_failed) {
    static PyObject *bfloat16 = nullptr;
    if (!info_of(object).is_numpy || (!bfloat16 && !has_failed)) {
        return nb::object();
    }
    const nb::object dtype = nb::getattr(object, "dtype", nb::none());
    if (has_failed && nb::cast<std::string>(nb::str(dtype)) == "bfloat16") {
        bfloat16 = nb::borrow(dtype).release().ptr();
    }
    return dtype.ptr() == bfloat16 ? nb::getattr(object, "view")("uint16") : nb::object();
}

constexpr nb::dlpack::dtype kBfloat16 = {static_cast<std::uint8_t>(nb::dlpack::dtype_code::Bfloat), 16, 1};

}  // namespace

std::string type_of(nb::handle object) {
    return nb::cast<std::string>(nb::str(nb::getattr(object.type(), "__name__")));
}

bool is_array(nb::handle object) { return info_of(object).api || nb::ndarray_check(object); }

nb::object empty_like(nb::handle array) {
    PyObject *const function = info_of(array).empty_like;
    return function ? nb::handle(function)(array) : nb::object();
}

Array::Array(nb::handle object, const char *name, Access access) : object_(object), name_(name) {
    const TypeInfo &info = info_of(object);
    if (info.api) {
        nb::dlpack::dltensor tensor;
        if (info.api->tensor_of(object.ptr(), &tensor) == 0) {
            read(tensor);
            return;
        }
        PyErr_Clear();  // __dlpack__ may still know a way
    }
    nb::object integers = as_integers(object, false);
    const auto import = [&](auto &array) {
        if (nb::try_cast(integers ? nb::handle(integers) : object, array, false)) {
            return true;
        }
        return !integers && (integers = as_integers(object, true)) && nb::try_cast(integers, array, false);
    };
    nb::ndarray<> writable;
    if (access == Access::write ? !import(writable) : !import(owner_)) {
        if (access == Access::write && import(owner_)) {
            refuse(std::string(name) + " is read-only: its memory must be writable");
        }
        throw nb::type_error((std::string(name) + " is of the type " + type_of(object) +
                              ", which gives no array: it must have __dlpack__, as arrays of NumPy and PyTorch")
                                 .c_str());
    }
    if (access == Access::write) {
        owner_ = nb::ndarray<nb::ro>(writable);
    }
    nb::dlpack::dltensor tensor;
    tensor.data = owner_.data_handle();
    tensor.byte_offset = owner_.byte_offset();
    tensor.device = {owner_.device_type(), owner_.device_id()};
    tensor.ndim = static_cast<int>(owner_.ndim());
    tensor.dtype = integers ? kBfloat16 : owner_.dtype();
    tensor.shape = const_cast<std::int64_t *>(owner_.shape_ptr());
    tensor.strides = const_cast<std::int64_t *>(owner_.stride_ptr());
    read(tensor);
}

void Array::read(const nb::dlpack::dltensor &tensor) {
    data_ = static_cast<char *>(tensor.data) + tensor.byte_offset;
    dtype_ = tensor.dtype;
    const int type = tensor.device.device_type;
    // Pinned memory is the CPU's, and managed memory is on the device.
    place_ = type == nb::device::cpu::value || type == nb::device::cuda_host::value ? Place()
             : type == nb::device::cuda_managed::value ? Place{nb::device::cuda::value, tensor.device.device_id}
                                                       : Place{type, tensor.device.device_id};
    rank_ = tensor.ndim;
    std::int64_t dense = 1;
    for (int i = rank_ - 1; i >= 0; --i) {
        if (i < HNORM_MAX_RANK) {
            shape_[i] = tensor.shape[i];
            strides_[i] = tensor.strides ? tensor.strides[i] : dense;
        }
        dense *= tensor.shape[i];
    }
    size_ = static_cast<std::size_t>(dense);
}

bool Array::is_contiguous() const {
    std::int64_t dense = 1;
    for (int i = rank_ - 1; i >= 0 && rank_ <= HNORM_MAX_RANK; --i) {
        if (shape_[i] != 1 && strides_[i] != dense) {
            return size_ == 0;
        }
        dense *= shape_[i];
    }
    return rank_ <= HNORM_MAX_RANK;
}

bool Array::is_channels_last() const {
    if (rank_ < 3 || rank_ > HNORM_MAX_RANK) {
        return false;
    }
    std::int64_t dense = 1;
    for (int k = 0; k < rank_; ++k) {  // the channels, the positions from the last to the first, the samples
        const int i = k == 0 ? 1 : k == rank_ - 1 ? 0 : rank_ - k;
        if (shape_[i] != 1 && strides_[i] != dense) {
            return false;
        }
        dense *= shape_[i];
    }
    return true;
}

bool Array::has_strides_of(const Array &x) const { return std::memcmp(strides_, x.strides_, sizeof(strides_)) == 0; }

std::string Array::type_name() const {
    static const char *const codes[] = {"int", "uint", "float", "handle", "bfloat", "complex", "bool"};
    return dtype_.code == 6  ? "bool"
           : dtype_.code < 6 ? codes[dtype_.code] + std::to_string(dtype_.bits)
                             : "of the DLPack code " + std::to_string(dtype_.code);
}

hnorm::Tensor Array::tensor() const {
    const bool is_float = dtype_.code == static_cast<std::uint8_t>(nb::dlpack::dtype_code::Float);
    hnorm::Type type = hnorm::Type::f32;
    if (dtype_ == kBfloat16) {
        type = hnorm::Type::bf16;
    } else if (is_float && dtype_.bits == 16 && dtype_.lanes == 1) {
        type = hnorm::Type::f16;
    } else if (!is_float || dtype_.bits != 32 || dtype_.lanes != 1) {
        refuse(std::string(name_) + " has the type " + type_name() + ": it must be float32, float16 or bfloat16",
               HNORM_UNSUPPORTED);
    }
    if (!is_on_cpu() && place_.type != nb::device::cuda::value) {
        refuse(std::string(name_) + " lies on " + place_name(place_) + ": it must lie on the CPU or on CUDA",
               HNORM_UNSUPPORTED);
    }
    const std::size_t extents = rank_ <= HNORM_MAX_RANK ? static_cast<std::size_t>(rank_) : 0;
    hnorm_tensor c = *hnorm::Tensor(data_, type, hnorm::Layout::channels_first, {shape_, extents}).c();
    c.rank = rank_;
    std::memcpy(c.strides, strides_, sizeof(strides_));
    c.device = is_on_cpu() ? HNORM_CPU : HNORM_CUDA;
    return hnorm::Tensor(c);
}

void Array::require_place_of(const Array &x) const {
    if (!(place_ == x.place_)) {
        refuse(std::string(name_) + " lies on " + place_name(place_) + ", and " + x.name_ + " on " +
               place_name(x.place_) + ": all arrays of a call must lie in one place");
    }
}

void Array::use_device() const {
    if (is_on_cpu()) {
        return;
    }
    void *stream = nullptr;  // the default stream, for which __dlpack__ makes the data ready
    const ExchangeApi *const api = info_of(object_).api;
    if (api && api->current_stream && api->current_stream(place_.type, place_.index, &stream) != 0) {
        throw nb::python_error();
    }
    hnorm::use_cuda(nullptr, stream);
}

}  // namespace hnorm_python
