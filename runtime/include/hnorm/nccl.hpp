/// @file
/// The all-gather of comm.h over NCCL.
///
/// The program compiles this header against its own NCCL and CUDA, so hnorm itself is not linked
/// with them. What ranks tell each other lies in memory of the process and is small: it goes
/// through buffers on the device.
///
/// @code{.cpp}
/// #include <hnorm/gpu.hpp>
/// #include <hnorm/nccl.hpp>
///
/// hnorm::use_cuda(nullptr, stream);
/// hnorm::NcclComm nccl(comm, rank, ranks, stream);
/// bn.to(hnorm::Device::cuda);
/// bn.set_comm(nccl.comm());
/// bn.forward(x.on(hnorm::Device::cuda), y.on(hnorm::Device::cuda));
/// @endcode
#pragma once

#include <hnorm/comm.h>

#include <cuda_runtime_api.h>
#include <nccl.h>

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace hnorm {
inline namespace HNORM_VERSION_NAMESPACE {

/// Communication for layers over the processes of an NCCL communicator.
///
/// It must live as long as a layer uses it. One object can serve many layers, which run one after
/// the other. The device of the communicator must be the current one.
class NcclComm {
public:
    /// What all_gather returns, and the error message of a call quotes.
    enum Failure : int {
        late = 1,        ///< A process did not come before the deadline.
        broken = 2,      ///< An earlier call has failed.
        of_cuda = 1000,  ///< The error of CUDA, added to this.
        of_nccl = 2000   ///< The result of NCCL, added to this.
    };

    /// @param nccl      The communicator of the program. Its calls must not meet those of hnorm.
    /// @param rank      The place of this process in it.
    /// @param ranks     The number of its processes.
    /// @param stream    Where messages are queued.
    /// @param deadline  How long a call waits for the other processes.
    NcclComm(ncclComm_t nccl, int rank, int ranks, cudaStream_t stream,
             std::chrono::milliseconds deadline = std::chrono::minutes(10))
        : nccl_(nccl), rank_(rank), ranks_(ranks), stream_(stream), deadline_(deadline) {}
    /// Frees its memory, unless a call has failed: then the device may still wait for the other
    /// processes. The program aborts the communicator (ncclCommAbort).
    ~NcclComm() {
        if (!broken_) {
            cudaFree(buffer_);
        }
    }
    NcclComm(const NcclComm &) = delete;
    NcclComm &operator=(const NcclComm &) = delete;

    /// For hnorm_layer_set_comm and Layer::set_comm.
    ///
    /// @param tag        A number of the layer, the same on all processes.
    /// @param gradients  How the gradients of gamma and beta are summed.
    hnorm_comm comm(std::int64_t tag = 0, hnorm_gradients gradients = HNORM_GRADIENTS_OF_ALL) {
        hnorm_comm result = hnorm_comm_of(rank_, ranks_, all_gather, this);
        result.tag = tag;
        result.gradients = gradients;
        return result;
    }

private:
    static int all_gather(void *argument, const void *mine, std::size_t bytes, void *all) noexcept {
        NcclComm &self = *static_cast<NcclComm *>(argument);
        if (self.broken_) {
            return broken;
        }
        const int result = self.gather(mine, bytes, all);
        self.broken_ = result != 0;
        return result;
    }
    int gather(const void *mine, std::size_t bytes, void *all) noexcept {
        const std::size_t of_all = bytes * static_cast<std::size_t>(ranks_);
        if (bytes + of_all > capacity_) {
            cudaFree(buffer_);
            buffer_ = nullptr;
            capacity_ = 0;
            const cudaError_t allocated = cudaMalloc(&buffer_, bytes + of_all);
            if (allocated != cudaSuccess) {
                return of_cuda + static_cast<int>(allocated);
            }
            capacity_ = bytes + of_all;
        }
        char *const to = static_cast<char *>(buffer_), *const gathered = to + bytes;
        cudaError_t error = cudaMemcpyAsync(to, mine, bytes, cudaMemcpyHostToDevice, stream_);
        if (error == cudaSuccess) {
            const ncclResult_t result = ncclAllGather(to, gathered, bytes, ncclChar, nccl_, stream_);
            if (result != ncclSuccess) {
                return of_nccl + static_cast<int>(result);
            }
            error = wait();
        }
        if (error == cudaErrorNotReady) {
            return late;
        }
        if (error == cudaSuccess) {
            error = cudaMemcpyAsync(all, gathered, of_all, cudaMemcpyDeviceToHost, stream_);
        }
        if (error == cudaSuccess) {
            error = cudaStreamSynchronize(stream_);
        }
        return error == cudaSuccess ? 0 : of_cuda + static_cast<int>(error);
    }
    // cudaErrorNotReady: the deadline has passed.
    cudaError_t wait() const noexcept {
        const auto end = std::chrono::steady_clock::now() + deadline_;
        cudaError_t state = cudaStreamQuery(stream_);
        while (state == cudaErrorNotReady && std::chrono::steady_clock::now() < end) {
            state = cudaStreamQuery(stream_);
        }
        return state;
    }

    const ncclComm_t nccl_;
    const int rank_, ranks_;
    const cudaStream_t stream_;
    const std::chrono::milliseconds deadline_;
    void *buffer_ = nullptr;
    std::size_t capacity_ = 0;
    bool broken_ = false;
};

}  // namespace HNORM_VERSION_NAMESPACE
}  // namespace hnorm
