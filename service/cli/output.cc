#include "service/cli/output.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "base/json_string.h"

namespace cairn {
Row& Row::AddField(absl::string_view name, std::string text, std::string json, bool column) {
  fields_.push_back({std::string(name), std::move(text), std::move(json), column});
  return *this;
}

Row& Row::Add(absl::string_view name, absl::string_view value) {
  return AddField(name, std::string(value), JsonString(value));
}

Row& Row::Add(absl::string_view name, uint64_t value) {
  return AddField(name, absl::StrCat(value), absl::StrCat(value));
}

Row& Row::Add(absl::string_view name, int value) {
  return AddField(name, absl::StrCat(value), absl::StrCat(value));
}

Row& Row::Add(absl::string_view name, double value) {
  if (!std::isfinite(value)) return AddField(name, "-", "null");
  std::string text = absl::StrFormat("%.3f", value);
  return AddField(name, text, text);
}

Row& Row::Add(absl::string_view name, bool value) {
  return AddField(name, value ? "yes" : "no", value ? "true" : "false");
}

Row& Row::Add(absl::string_view name,
              const std::vector<std::pair<std::string, std::string>>& values) {
  std::string text = absl::StrJoin(values, ",", absl::PairFormatter("="));
  std::string json = absl::StrJoin(values, ",", [](std::string* out, const auto& pair) {
    absl::StrAppend(out, JsonString(pair.first), ":", JsonString(pair.second));
  });
  return AddField(name, std::move(text), absl::StrCat("{", json, "}"));
}

Row& Row::Add(absl::string_view name, const std::vector<std::string>& values) {
  std::string json = absl::StrJoin(values, ",", [](std::string* out, const std::string& value) {
    out->append(JsonString(value));
  });
  return AddField(name, absl::StrJoin(values, ","), absl::StrCat("[", json, "]"));
}

Row& Row::Add(absl::string_view name, const Row& row, absl::string_view text) {
  return AddField(name, std::string(text), row.ToJson());
}

Row& Row::Add(absl::string_view name, const std::vector<Row>& rows, absl::string_view text) {
  std::string json =
      absl::StrJoin(rows, ",", [](std::string* out, const Row& row) { out->append(row.ToJson()); });
  return AddField(name, std::string(text), absl::StrCat("[", json, "]"));
}

Row& Row::AddObject(absl::string_view name, const Row& row) {
  return AddField(name, "", row.ToJson(), /*column=*/false);
}

Row& Row::AddObjects(absl::string_view name, const std::vector<Row>& rows) {
  Add(name, rows, "");
  fields_.back().column = false;
  return *this;
}

Row Row::ForTable() const {
  Row row;
  for (const Field& field : fields_) {
    if (field.column) row.fields_.push_back(field);
  }
  return row;
}

std::string Row::ToJson() const {
  return absl::StrCat("{",
                      absl::StrJoin(fields_, ",",
                                    [](std::string* out, const Field& field) {
                                      absl::StrAppend(out, JsonString(field.name), ":", field.json);
                                    }),
                      "}");
}

void Output::Print(const Row& row) {
  if (format_ == OutputFormat::kJson) {
    out_ << row.ToJson() << std::endl;
    return;
  }
  const Row columns = row.ForTable();
  auto names = [](const Row& of) {
    return absl::StrJoin(of.fields(), ",", [](std::string* out, const Row::Field& field) {
      out->append(field.name);
    });
  };
  if (!table_.empty() && names(table_.back()) != names(columns)) Flush();
  table_.push_back(columns);
}

void Output::Flush() {
  if (table_.empty()) return;
  size_t columns = table_.front().fields().size();
  std::vector<size_t> widths(columns);
  for (size_t i = 0; i < columns; ++i) {
    widths[i] = table_.front().fields()[i].name.size();
    for (const Row& row : table_) widths[i] = std::max(widths[i], row.fields()[i].text.size());
  }
  auto print = [&](auto text_of) {
    std::string line;
    for (size_t i = 0; i < columns; ++i) {
      std::string text = text_of(i);
      line += text;
      // No spaces behind the last column.
      if (i + 1 < columns) line.append(widths[i] - text.size() + 2, ' ');
    }
    out_ << line << "\n";
  };
  print([&](size_t i) { return absl::AsciiStrToUpper(table_.front().fields()[i].name); });
  for (const Row& row : table_) print([&](size_t i) { return row.fields()[i].text; });
  out_.flush();
  table_.clear();
}

}  // namespace cairn
