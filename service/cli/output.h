// Output: what cairn prints on stdout, for people (a table) or for programs (JSON).

#ifndef SERVICE_CLI_OUTPUT_H_
#define SERVICE_CLI_OUTPUT_H_

#include <cstdint>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace cairn {

// Named values in order: one line of a table, one object of JSON. The names are part of the outside
// contract.
class Row {
 public:
  Row& Add(absl::string_view name, absl::string_view value);
  Row& Add(absl::string_view name, const char* value) {
    return Add(name, absl::string_view(value));
  }
  Row& Add(absl::string_view name, uint64_t value);
  Row& Add(absl::string_view name, int value);
  Row& Add(absl::string_view name, double value);
  Row& Add(absl::string_view name, bool value);
  // An object of texts.
  Row& Add(absl::string_view name, const std::vector<std::pair<std::string, std::string>>& values);
  // A list of texts.
  Row& Add(absl::string_view name, const std::vector<std::string>& values);
  // An object; `text`: as people read it.
  Row& Add(absl::string_view name, const Row& row, absl::string_view text);
  // A list of objects; `text`: as people read it.
  Row& Add(absl::string_view name, const std::vector<Row>& rows, absl::string_view text);

  // An object; in a table it has no column.
  Row& AddObject(absl::string_view name, const Row& row);
  // A list of objects; in a table it has no column.
  Row& AddObjects(absl::string_view name, const std::vector<Row>& rows);
  // The fields that have columns.
  Row ForTable() const;

  // {"name":value,…} without line breaks; numbers are numbers.
  std::string ToJson() const;

  struct Field {
    std::string name;
    std::string text;  // as people read it
    std::string json;  // the encoded value
    bool column = true;
  };
  const std::vector<Field>& fields() const { return fields_; }

 private:
  Row& AddField(absl::string_view name, std::string text, std::string json, bool column = true);

  std::vector<Field> fields_;
};

enum class OutputFormat { kTable, kJson };

// Threads: one.
class Output {
 public:
  Output(OutputFormat format, std::ostream& out) : format_(format), out_(out) {}
  ~Output() { Flush(); }
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  // JSON: printed and flushed at once. Table: kept until Flush, so that the columns fit.
  void Print(const Row& row);
  // Ends a table; a row with other names ends it too.
  void Flush();

  OutputFormat format() const { return format_; }

 private:
  const OutputFormat format_;
  std::ostream& out_;
  std::vector<Row> table_;
};

}  // namespace cairn

#endif  // SERVICE_CLI_OUTPUT_H_
