#include "storage/block/block_footer.h"

#include "absl/status/status.h"
#include "base/coding.h"

namespace cairn {
namespace {

constexpr uint32_t kFooterMagic = 0xf007e4b1;

}  // namespace

std::string BlockFooter::Encode() const {
  std::string bytes;
  AppendLittleEndian(&bytes, kFooterMagic);
  AppendLittleEndian(&bytes, static_cast<uint32_t>(spans.size()));
  AppendLittleEndian(&bytes, tag);
  for (const auto& [group, group_spans] : spans) {
    AppendLittleEndian(&bytes, ToInteger(group));
    AppendLittleEndian(&bytes, static_cast<uint32_t>(group_spans.size()));
    for (const Span& span : group_spans) EncodeSpan(&bytes, span);
  }
  return bytes;
}

absl::StatusOr<BlockFooter> BlockFooter::Decode(absl::string_view bytes, uint64_t tag) {
  Decoder decoder(bytes);
  if (decoder.Read<uint32_t>() != kFooterMagic) return absl::DataLossError("no footer");
  uint32_t groups = decoder.Read<uint32_t>();
  BlockFooter footer;
  footer.tag = decoder.Read<uint64_t>();
  if (footer.tag != tag) return absl::DataLossError("the footer is another block's");
  for (uint32_t i = 0; i < groups && decoder.ok(); ++i) {
    auto group = static_cast<GroupId>(decoder.Read<uint64_t>());
    uint32_t spans = decoder.Read<uint32_t>();
    for (uint32_t j = 0; j < spans; ++j) {
      if (!DecodeSpan(decoder, &footer.spans[group].emplace_back())) {
        return absl::DataLossError("footer: span");
      }
    }
  }
  if (!decoder.Done()) return absl::DataLossError("footer: length");
  return footer;
}

}  // namespace cairn
