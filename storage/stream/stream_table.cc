#include "storage/stream/stream_table.h"

#include <utility>

#include "base/check.h"

namespace cairn {

const StreamRow& StreamTable::operator[](StreamId stream) const {
  CAIRN_CHECK(stream >= 1 && stream <= size_) << "no stream " << stream;
  const size_t at = stream - 1;
  return pages_[at / kPageRows]->rows[at % kPageRows];
}

StreamTable::Page& StreamTable::WritablePage(size_t page) {
  std::shared_ptr<Page>& shared = pages_[page];
  if (shared->epoch != epoch_) {
    auto copy = std::make_shared<Page>();
    copy->rows.reserve(kPageRows);
    copy->rows = shared->rows;
    copy->epoch = epoch_;
    shared = std::move(copy);
  }
  return *shared;
}

StreamId StreamTable::Add(StreamRow row) {
  CAIRN_CHECK(row.definition != nullptr);
  const size_t page = size_ / kPageRows;
  if (page == pages_.size()) {
    pages_.push_back(std::make_shared<Page>());
    pages_.back()->epoch = epoch_;
  }
  WritablePage(page).rows.push_back(std::move(row));
  return static_cast<StreamId>(++size_);
}

StreamRow& StreamTable::Change(StreamId stream) {
  CAIRN_CHECK(stream >= 1 && stream <= size_) << "no stream " << stream;
  const size_t at = stream - 1;
  return WritablePage(at / kPageRows).rows[at % kPageRows];
}

StreamTable StreamTable::Freeze() {
  StreamTable frozen = *this;
  ++epoch_;
  return frozen;
}

}  // namespace cairn
