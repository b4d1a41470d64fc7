// Zip archives in libzip's hands.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

struct zip;

namespace hnorm::state {

struct Member {
    std::string name, contents;
};

// The bytes of an archive of these members, uncompressed and dated 1980-01-01, as numpy.savez
// writes it.
std::string make_archive(const std::vector<Member> &members);

// Every failure throws FileError.
class ArchiveReader {
public:
    explicit ArchiveReader(const std::string &path);
    ~ArchiveReader();
    ArchiveReader(const ArchiveReader &) = delete;
    ArchiveReader &operator=(const ArchiveReader &) = delete;

    uint64_t size() const;
    std::string name(uint64_t index) const;
    // The member's bytes, which verifies its checksum; or of one that has more than `limit`,
    // whatever it claims, the first so many.
    std::string contents(uint64_t index, uint64_t limit) const;

private:
    zip *zip_;
};

}  // namespace hnorm::state
