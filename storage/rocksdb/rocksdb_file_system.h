// A rocksdb::FileSystem over ours: all RocksDB does to disks goes through storage/file_system.h, so
// that tests can cut its power and damage its files, and --fsync=never means RocksDB too.

#ifndef STORAGE_ROCKSDB_ROCKSDB_FILE_SYSTEM_H_
#define STORAGE_ROCKSDB_ROCKSDB_FILE_SYSTEM_H_

#include <memory>

#include "rocksdb/env.h"
#include "rocksdb/file_system.h"
#include "storage/file_system.h"
#include "storage/rocksdb/database_room.h"

namespace cairn {

// rocksdb::ReadOptions::rate_limiter_priority: no rate is limited, and RocksDB itself reads with
// others.
inline constexpr rocksdb::Env::IOPriority kPastPageCache = rocksdb::Env::IO_MID;

// `file_system` and `room` outlive it and everything opened with it. Only what a database needs
// that reads and writes through the page cache: no links, no random writes, no removal of
// directories, no times of files (0). Threads: any, RocksDB has its own.
//
// A read of a table that fails is Corruption, as rot is: neither says anything of the disk but that
// this piece of it is lost. Reads that are asked for as kPastPageCache are File::ReadDirect.
enum class TableReads { kAsAskedFor, kAlwaysPastPageCache };
// `room` says what becomes of writes on a full disk; null: they fail.
std::shared_ptr<rocksdb::FileSystem> MakeRocksDbFileSystem(
    FileSystem& file_system, TableReads table_reads = TableReads::kAsAskedFor,
    DatabaseRoom* room = nullptr);

}  // namespace cairn

#endif  // STORAGE_ROCKSDB_ROCKSDB_FILE_SYSTEM_H_
