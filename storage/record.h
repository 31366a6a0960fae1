// Record: the one encoding of an entry. The same bytes stand on the leader's disk, on the wire, on
// the followers' disks and before the state machine; every hop verifies them, nobody re-encodes.
// Byte layout: storage/block/FORMAT.md, "Record".

#ifndef STORAGE_RECORD_H_
#define STORAGE_RECORD_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/bytes.h"
#include "base/time.h"
#include "base/types.h"

namespace cairn {

enum class EntryType : uint8_t {
  kNoop = 1,
  kCommand = 2,        // for the state machine
  kConfiguration = 3,  // payload: EncodeConfiguration
  kOpenSession = 4,    // makes the session whose id is this entry's index; payload: client's name
  kCloseSession = 5,
  kClock = 6,  // only moves the applied time on
};

// The call a command belongs to, so that it is applied once however often it is proposed.
struct SessionCall {
  uint64_t session = 0;  // index of the kOpenSession entry; 0: no session
  uint64_t number = 0;   // of the call within its session, from 1
  // Apply only directly behind the session's call `number - 1`: a pipelined stream of calls keeps
  // its order even when one of them is lost at a change of leaders and the next one is not.
  bool in_order = false;
  friend auto operator<=>(const SessionCall&, const SessionCall&) = default;
};

// No record holds this many zero bytes in a row, so that an all-zero sector inside a batch means
// "never reached the disk". Payloads that would are masked (PreparedEntry::Make).
inline constexpr size_t kMaxZeroRun = 511;

inline constexpr uint8_t kRecordVersion = 1;
inline constexpr size_t kMaxPayloadBytes = size_t{16} << 20;

// An entry before it has a position: made where the command comes in, on any thread, so that the
// consensus thread neither scans nor hashes payloads.
class PreparedEntry {
 public:
  // CHECKs payload.size() <= kMaxPayloadBytes. Picks the mask and computes the payload checksum.
  // `version` is the version of the apply semantics this command needs.
  static PreparedEntry Make(EntryType type, std::string payload, SessionCall call = {},
                            uint16_t apply_version = 1);

  // How an entry travels to the leader before it has a position. Decode verifies lengths, type,
  // checksum and zero runs: INVALID_ARGUMENT otherwise.
  std::string Encode() const;
  static absl::StatusOr<PreparedEntry> Decode(absl::string_view bytes);

  EntryType type() const { return type_; }
  size_t record_bytes() const;  // of the finished record
  uint64_t payload_checksum() const { return payload_checksum_; }
  SessionCall call() const { return call_; }

 private:
  friend class RecordRunBuilder;
  EntryType type_ = EntryType::kNoop;
  uint16_t apply_version_ = 1;
  SessionCall call_;
  uint64_t mask_ = 0;
  uint64_t payload_checksum_ = 0;  // of the masked bytes
  std::string masked_payload_;
};

// One record inside a run; valid while the run's bytes live.
class RecordView {
 public:
  EntryType type() const;
  GroupId group() const;
  LogPosition position() const;
  uint16_t apply_version() const;
  WallTime timestamp() const;
  SessionCall call() const;
  EntryHash previous_hash() const;
  EntryHash hash() const;            // of the header; computed
  uint64_t header_checksum() const;  // as it stands there: the low half of hash()
  uint64_t payload_checksum() const;
  absl::string_view bytes() const { return bytes_; }  // header and masked payload
  size_t payload_size() const;
  // The payload as the proposer gave it: a slice of `owner` (which holds this record's bytes), or
  // an unmasked copy where a mask was needed.
  Bytes Payload(const Bytes& owner) const;

 private:
  friend class RecordRun;
  friend class RecordRunBuilder;
  explicit RecordView(absl::string_view bytes) : bytes_(bytes) {}
  absl::string_view bytes_;
};

// Records of one group with consecutive indexes, back to back in one buffer. A value; shares bytes.
class RecordRun {
 public:
  RecordRun() = default;

  // Verifies all of it: magic, version, header and payload checksums, group, indexes that grow by
  // one, terms that do not fall, each previous_hash, no trailing bytes, no zero run. DATA_LOSS
  // naming offset and index otherwise. The first record's previous_hash is the caller's to check.
  static absl::StatusOr<RecordRun> Parse(GroupId group, Bytes bytes);

  bool empty() const { return offsets_.empty(); }
  size_t size() const { return offsets_.size(); }
  LogPosition first() const;  // not on an empty run
  LogPosition last() const;
  EntryHash previous_hash() const;  // of the first record
  EntryHash last_hash() const { return last_hash_; }
  const Bytes& bytes() const { return bytes_; }
  size_t byte_size() const { return bytes_.size(); }

  RecordView operator[](size_t i) const;
  RecordView At(Index index) const;  // CHECKs that it is in the run
  // The records first..last (CHECKed to be inside), sharing the buffer. last < first gives an empty
  // run.
  RecordRun Slice(Index first, Index last) const;
  std::vector<TermRun> TermRuns() const;

 private:
  friend class RecordRunBuilder;
  Bytes bytes_;
  std::vector<uint32_t> offsets_;  // of the records in bytes_
  EntryHash last_hash_;
};

// Stamps entries into one run: this is where the leader's encoding happens, once.
class RecordRunBuilder {
 public:
  // `previous` and `previous_hash`: the entry the run follows.
  RecordRunBuilder(GroupId group, LogPosition previous, EntryHash previous_hash);

  // Gives the entry the next index. The term must not fall.
  void Add(const PreparedEntry& entry, Term term, WallTime timestamp);
  RecordRun Build() &&;

 private:
  GroupId group_;
  LogPosition last_;
  EntryHash last_hash_;
  std::string bytes_;
  std::vector<uint32_t> offsets_;
};

// Length of the record that starts with `header`, from its verified header; DATA_LOSS if the header
// is no valid one. For recovery and tools that walk a log.
inline constexpr size_t kRecordHeaderBytes = 112;
absl::StatusOr<size_t> RecordLength(absl::string_view header);

}  // namespace cairn

#endif  // STORAGE_RECORD_H_
