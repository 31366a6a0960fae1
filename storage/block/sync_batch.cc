#include "storage/block/sync_batch.h"

#include "base/check.h"
#include "storage/checksum.h"

namespace cairn {

GroupSection& SyncBatch::AddSection(GroupId group) {
  GroupSection& section = id_.sections.emplace_back();
  section.group = group;
  return section;
}

EntryIds SyncBatch::AddRuns(const std::vector<RecordRun>& runs) {
  CAIRN_CHECK(!runs.empty());
  EntryIds ids;
  ids.first = runs.front().first().index;
  ids.previous_hash = runs.front().previous_hash();
  ids.last_hash = runs.back().last_hash();
  ids.offset = record_bytes_;
  size_t count = 0;
  for (const RecordRun& run : runs) count += run.size();
  ids.entries.reserve(count);
  for (const RecordRun& run : runs) {
    for (size_t i = 0; i < run.size(); ++i) {
      const RecordView record = run[i];
      const LogPosition at = record.position();
      if (ids.term_runs.empty() || ids.term_runs.back().term != at.term) {
        ids.term_runs.push_back({at.term, 0});
      }
      ids.term_runs.back().last_index = at.index;
      if (record.type() == EntryType::kConfiguration) ids.configurations.push_back(at.index);
      ids.entries.push_back({static_cast<uint32_t>(record.bytes().size()),
                             static_cast<uint32_t>(record.header_checksum())});
    }
    records_.push_back(run.bytes());
    record_bytes_ += run.byte_size();
  }
  return ids;
}

SyncBatch::Encoded SyncBatch::Encode(const BlockGeometry& geometry) const {
  Encoded encoded;
  encoded.id = EncodeIdRecord(id_);
  encoded.hash = Hash128(encoded.id);
  encoded.data.reserve(geometry.RoundUp(data_bytes()));
  encoded.data = encoded.id;
  for (const Bytes& bytes : records_) encoded.data.append(bytes.data(), bytes.size());
  encoded.data.resize(geometry.RoundUp(encoded.data.size()), kFiller);
  encoded.id.resize(geometry.RoundUp(encoded.id.size()), kFiller);
  return encoded;
}

}  // namespace cairn
