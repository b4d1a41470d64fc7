/// @file
/// The all-gather of comm.h over MPI.
///
/// The program compiles this header against its own MPI, so hnorm itself is not linked with one.
///
/// @code{.cpp}
/// #include <hnorm/hnorm.hpp>
/// #include <hnorm/mpi.hpp>
///
/// MPI_Init(&argc, &argv);
/// hnorm::MpiComm mpi(MPI_COMM_WORLD);
/// hnorm::BatchNorm bn(64);
/// bn.set_comm(mpi.comm());
/// bn.forward(x, y);  // on every rank: statistics of all samples
/// @endcode
#pragma once

#include <hnorm/comm.h>
#include <hnorm/tensor.hpp>

#include <mpi.h>  // the program's own

#include <algorithm>
#include <chrono>
#include <climits>
#include <cstring>
#include <string>
#include <vector>

namespace hnorm {
inline namespace HNORM_VERSION_NAMESPACE {

/// Communication for layers over the processes of an MPI communicator.
///
/// It must live as long as a layer uses it, and must be destroyed before MPI_Finalize. One object
/// can serve many layers, which run one after the other. All processes of the communicator make and
/// destroy it together.
class MpiComm {
public:
    /// What all_gather returns, and the error message of a call quotes.
    enum Failure : int {
        late = 1,       ///< A process did not come before the deadline.
        too_long = 2,   ///< A message is longer than MPI counts (2 GiB).
        broken = 3,     ///< An earlier call has failed.
        no_memory = 4,  ///< There is no memory for the messages.
        of_mpi = 1000   ///< The error class of MPI, added to this.
    };

    /// Makes a duplicate of `parent`, so that messages of the program do not meet those of hnorm.
    ///
    /// @param parent    The processes.
    /// @param deadline  How long a call waits for the other processes.
    /// @throws Error    If MPI fails.
    explicit MpiComm(MPI_Comm parent, std::chrono::milliseconds deadline = std::chrono::minutes(10))
        : deadline_(deadline) {
        check(MPI_Comm_dup(parent, &mpi_), "MPI_Comm_dup");
        check(MPI_Comm_set_errhandler(mpi_, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
        check(MPI_Comm_rank(mpi_, &rank_), "MPI_Comm_rank");
        check(MPI_Comm_size(mpi_, &ranks_), "MPI_Comm_size");
    }
    /// Frees the duplicate, unless a call has failed: then the other processes may not come, and
    /// MPI may still write the messages.
    ~MpiComm() {
        if (!broken_) {
            MPI_Comm_free(&mpi_);
            delete messages_;
        }
    }
    MpiComm(const MpiComm &) = delete;
    MpiComm &operator=(const MpiComm &) = delete;

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
    /// The place of this process.
    int rank() const noexcept { return rank_; }
    /// The number of processes.
    int ranks() const noexcept { return ranks_; }

private:
    static void check(int code, const char *function) {
        if (code != MPI_SUCCESS) {
            throw Error(HNORM_COMM_ERROR,
                        std::string("MpiComm: ") + function + " has failed: it returned " + std::to_string(code));
        }
    }

    static int all_gather(void *argument, const void *mine, std::size_t bytes, void *all) noexcept {
        return static_cast<MpiComm *>(argument)->gather(mine, bytes, all);
    }
    int gather(const void *mine, std::size_t bytes, void *all) noexcept {
        if (broken_) {
            return broken;
        }
        if (bytes > INT_MAX) {
            return too_long;
        }
        const int count = static_cast<int>(bytes);
        const std::size_t of_all = bytes * static_cast<std::size_t>(ranks_);
        try {
            messages_->resize(std::max(messages_->size(), bytes + of_all));
        } catch (...) {
            return no_memory;
        }
        // In memory of this object: a call that gives up leaves MPI with it.
        char *const mine_here = messages_->data(), *const all_here = mine_here + bytes;
        std::memcpy(mine_here, mine, bytes);
        MPI_Request request;
        int code = MPI_Iallgather(mine_here, count, MPI_BYTE, all_here, count, MPI_BYTE, mpi_, &request);
        const auto end = std::chrono::steady_clock::now() + deadline_;
        for (int done = 0; code == MPI_SUCCESS && !done;) {
            code = MPI_Test(&request, &done, MPI_STATUS_IGNORE);
            if (code == MPI_SUCCESS && !done && std::chrono::steady_clock::now() > end) {
                broken_ = true;
                return late;
            }
        }
        broken_ = code != MPI_SUCCESS;
        if (!broken_) {
            std::memcpy(all, all_here, of_all);
        }
        return broken_ ? of_mpi + error_class(code) : 0;
    }
    static int error_class(int code) noexcept {
        int result = 0;
        return MPI_Error_class(code, &result) == MPI_SUCCESS ? result : 0;
    }

    const std::chrono::milliseconds deadline_;
    MPI_Comm mpi_ = MPI_COMM_NULL;
    int rank_ = 0, ranks_ = 1;
    std::vector<char> *const messages_ = new std::vector<char>;
    bool broken_ = false;
};

}  // namespace HNORM_VERSION_NAMESPACE
}  // namespace hnorm
