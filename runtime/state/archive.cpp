#include "archive.h"

#include <zip.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <new>
#include <utility>

#include "file.h"

namespace hnorm::state {

namespace {

// An archive without members is its end record alone, which libzip reads but does not write.
const std::string kEmptyArchive("PK\5\6\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 22);
// 1980-01-01 00:00, the first that a zip archive can say, in its own terms: no time zone comes in.
constexpr zip_uint16_t kDosTime = 0, kDosDate = 1 << 5 | 1;
// 0600, a regular file
constexpr zip_uint32_t kAttributes = 0100600U << 16;

[[noreturn]] void fail_with(const std::string &what, zip_error_t *error) {
    // libzip says nothing at all where it copies text.
    const int code = zip_error_code_zip(error);
    if (code == ZIP_ER_MEMORY || code == ZIP_ER_OK || zip_error_code_system(error) == ENOMEM) throw std::bad_alloc();
    throw FileError(what + ": " + zip_error_strerror(error));
}

class Error {
public:
    explicit Error(int code = ZIP_ER_OK) { zip_error_init_with_code(&error_, code); }
    ~Error() { zip_error_fini(&error_); }
    Error(const Error &) = delete;
    Error &operator=(const Error &) = delete;
    operator zip_error_t *() { return &error_; }

private:
    zip_error_t error_;
};

using Source = std::unique_ptr<zip_source_t, decltype(&zip_source_free)>;
// Dropped without a trace unless closed.
using Archive = std::unique_ptr<zip_t, decltype(&zip_discard)>;
using File = std::unique_ptr<zip_file_t, decltype(&zip_fclose)>;

// Until the archive is closed it reads the member's bytes where they are.
void add(zip_t *zip, const Member &member) {
    const std::string what = "no archive can be made";
    Source source(zip_source_buffer(zip, member.contents.data(), member.contents.size(), 0), zip_source_free);
    if (source == nullptr) fail_with(what, zip_get_error(zip));
    const zip_int64_t added = zip_file_add(zip, member.name.c_str(), source.get(), 0);
    if (added < 0) fail_with(what, zip_get_error(zip));
    (void)source.release();  // the archive's now
    const auto index = static_cast<zip_uint64_t>(added);
    if (zip_set_file_compression(zip, index, ZIP_CM_STORE, 0) != 0 ||
        zip_file_set_dostime(zip, index, kDosTime, kDosDate, 0) != 0 ||
        zip_file_set_external_attributes(zip, index, 0, ZIP_OPSYS_UNIX, kAttributes) != 0) {
        fail_with(what, zip_get_error(zip));
    }
}

std::string read_all(zip_source_t *source) {
    const std::string what = "no archive can be made";
    zip_stat_t status;
    if (zip_source_stat(source, &status) != 0 || zip_source_open(source) != 0) {
        fail_with(what, zip_source_error(source));
    }
    std::string result(status.size, '\0');
    const zip_int64_t count = zip_source_read(source, result.data(), result.size());
    zip_source_close(source);
    if (count < 0 || static_cast<zip_uint64_t>(count) != status.size) fail_with(what, zip_source_error(source));
    return result;
}

}  // namespace

std::string make_archive(const std::vector<Member> &members) {
    if (members.empty()) {
        return kEmptyArchive;
    }
    Error error;
    const Source source(zip_source_buffer_create(nullptr, 0, 0, error), zip_source_free);
    if (source == nullptr) fail_with("no archive can be made", error);
    zip_source_keep(source.get());  // one reference is the archive's, and goes with it
    Archive archive(zip_open_from_source(source.get(), ZIP_TRUNCATE, error), zip_discard);
    if (archive == nullptr) {
        zip_source_free(source.get());
        fail_with("no archive can be made", error);
    }
    for (const Member &member : members) {
        add(archive.get(), member);
    }
    if (zip_close(archive.get()) != 0) fail_with("no archive can be made", zip_get_error(archive.get()));
    (void)archive.release();  // closed
    return read_all(source.get());
}

ArchiveReader::ArchiveReader(const std::string &path) {
    check_readable(path);
    int code = ZIP_ER_OK;
    zip_ = zip_open(path.c_str(), ZIP_RDONLY, &code);
    if (zip_ == nullptr) fail_with("cannot be read as a zip archive", Error(code));
}

ArchiveReader::~ArchiveReader() { zip_discard(zip_); }

uint64_t ArchiveReader::size() const { return static_cast<uint64_t>(zip_get_num_entries(zip_, 0)); }

std::string ArchiveReader::name(uint64_t index) const {
    const char *const name = zip_get_name(zip_, index, ZIP_FL_ENC_RAW);
    if (name == nullptr) fail_with("has a member without a name", zip_get_error(zip_));
    return name;
}

std::string ArchiveReader::contents(uint64_t index, uint64_t limit) const {
    const std::string what = name(index) + " cannot be read";
    const File file(zip_fopen_index(zip_, index, 0), zip_fclose);
    if (file == nullptr) fail_with(what, zip_get_error(zip_));
    std::string result;
    char block[16384];
    zip_int64_t count;
    while ((count = zip_fread(file.get(), block, sizeof block)) > 0) {
        result.append(block, std::min(static_cast<uint64_t>(count), limit - result.size()));
        if (result.size() == limit) {
            return result;
        }
    }
    if (count < 0) fail_with(what, zip_file_get_error(file.get()));
    return result;
}

}  // namespace hnorm::state
