/// virtio-blk (virtio 1.2, section 5.2).
#include <fmt/core.h>

#include <condition_variable>
#include <cstring>
#include <mutex>

#include "base/bytes.h"
#include "models/virtio/function.h"

namespace solder::models::virtio {

namespace {

constexpr u64 kSegMax = u64{1} << 2;
constexpr u64 kReadOnly = u64{1} << 5;
constexpr u64 kBlockSize = u64{1} << 6;
constexpr u64 kFlush = u64{1} << 9;
constexpr u64 kTopology = u64{1} << 10;
constexpr u64 kDiscard = u64{1} << 13;
constexpr u64 kWriteZeroes = u64{1} << 14;

constexpr u16 kQueueSize = 256;
constexpr u32 kSegments = 254;  // a chain also holds the header and the status
constexpr u64 kSector = 512;
constexpr u32 kMaximumRangeSectors = 1U << 22;  // 2 GiB in one discard or write-zeroes range
constexpr u32 kMaximumRanges = 32;

enum Type : u32 { kIn = 0, kOut = 1, kFlushType = 4, kGetId = 8, kDiscardType = 11, kWriteZeroesType = 13 };
enum StatusByte : u8 { kOk = 0, kIoError = 1, kUnsupported = 2 };

struct Header {
  u32 type;
  u32 reserved;
  u64 sector;
};
struct Range {
  u64 sector;
  u32 sectors;
  u32 flags;  // bit 0: unmap
};

class Block final : public Function {
 public:
  Block(device::Ports& ports, host::Disk& disk) : ports_(ports), disk_(disk) {
    store_le<u64>(&config_[0], disk.size() / kSector);
    store_le<u32>(&config_[12], kSegments);
    store_le<u32>(&config_[20], disk.block_size());
    store_le<u16>(&config_[34], 1);  // queues
    store_le<u32>(&config_[36], kMaximumRangeSectors);
    store_le<u32>(&config_[40], kMaximumRanges);
    store_le<u32>(&config_[44], 8);  // discard alignment: 4 KiB, a host file system's block
    store_le<u32>(&config_[48], kMaximumRangeSectors);
    store_le<u32>(&config_[52], kMaximumRanges);
    config_[56] = 1;  // write_zeroes may unmap
  }

  u32 device_id() const override { return 2; }
  u64 features() const override {
    u64 f = kSegMax | kBlockSize | kFlush | kTopology;
    if (disk_.read_only()) return f | kReadOnly;
    return f | kWriteZeroes | (disk_.can_discard() ? kDiscard : 0);
  }
  std::vector<u16> queue_sizes() const override { return {kQueueSize}; }
  std::span<const u8> config() const override { return config_; }

  void notify(u32 index) override {
    Queue& queue = transport_->queue(index);
    do {
      queue.enable_notifications(false);
      Chain chain;
      while (queue.pop(chain)) start(std::move(chain));
    } while (queue.enable_notifications(true));
  }

  void quiesce() override {
    disk_.drain();
    std::unique_lock lock(flight_mutex_);
    landed_.wait(lock, [this] { return in_flight_ == 0; });
  }

  std::string describe() const override { return "block, " + disk_.describe(); }

 private:
  struct Request {
    Chain chain;
    u32 parts = 1;  // disk requests still to finish (several ranges of a discard)
    int error = 0;
    u32 written = 0;  // data bytes that the disk put into guest memory
    std::mutex mutex;
  };

  void start(Chain chain) {
    auto request = std::make_shared<Request>();
    request->chain = std::move(chain);
    Header header{};
    const u64 in = request->chain.writable_bytes();
    std::array<u8, sizeof header> raw{};
    if (read_chain(ports_.dma(), request->chain.readable, 0, raw) != raw.size() || in == 0) {
      // Without a header or a place for the status there is nobody to tell: give the buffer back.
      complete(*request, kIoError, 0);
      return;
    }
    std::memcpy(&header, raw.data(), sizeof header);
    switch (header.type) {
      case kIn:
        return transfer(request, host::DiskOperation::read, header.sector, request->chain.writable, 0, in - 1);
      case kOut:
        return transfer(request, host::DiskOperation::write, header.sector, request->chain.readable, sizeof header,
                        request->chain.readable_bytes() - sizeof header);
      case kFlushType:
        return submit(request, {.operation = host::DiskOperation::flush});
      case kGetId:
        return identify(*request);
      case kDiscardType:
      case kWriteZeroesType:
        return ranges(request, header.type);
      default:
        return complete(*request, kUnsupported, 0);
    }
  }

  // Moves `length` bytes between the disk and the segments, from `skip` on.
  void transfer(const std::shared_ptr<Request>& request, host::DiskOperation operation, u64 sector,
                const std::vector<Segment>& segments, u64 skip, u64 length) {
    const bool writes = operation == host::DiskOperation::write;
    if (length % kSector != 0 || !within(sector, length) || (writes && disk_.read_only())) {
      return complete(*request, kIoError, 0);
    }
    host::DiskRequest disk{.operation = operation, .offset = sector * kSector, .length = length};
    u64 left = length;
    for (const Segment& segment : segments) {
      const u64 from = std::min<u64>(skip, segment.length);
      skip -= from;
      const u64 bytes = std::min<u64>(segment.length - from, left);
      if (bytes == 0) continue;
      if (!ports_.dma().map(segment.address + from, bytes, disk.pieces)) return complete(*request, kIoError, 0);
      left -= bytes;
    }
    if (!writes) request->written = static_cast<u32>(length);
    submit(request, std::move(disk));
  }

  void identify(Request& request) {
    std::array<u8, 20> id{};
    const std::string name = ports_.node().string("solder,serial").value_or("solder");
    std::memcpy(id.data(), name.data(), std::min(name.size(), id.size()));
    const u64 room = request.chain.writable_bytes() - 1;
    const u64 n = write_chain(ports_.dma(), request.chain.writable, 0, std::span(id).first(std::min<u64>(room, 20)));
    complete(request, kOk, static_cast<u32>(n));
  }

  void ranges(const std::shared_ptr<Request>& request, u32 type) {
    const u64 bytes = request->chain.readable_bytes() - sizeof(Header);
    const u64 count = bytes / sizeof(Range);
    if (disk_.read_only()) return complete(*request, kIoError, 0);
    if (bytes % sizeof(Range) != 0 || count == 0 || count > kMaximumRanges) return complete(*request, kUnsupported, 0);
    std::vector<host::DiskRequest> all;
    for (u64 i = 0; i < count; ++i) {
      std::array<u8, sizeof(Range)> raw{};
      read_chain(ports_.dma(), request->chain.readable, sizeof(Header) + i * sizeof(Range), raw);
      Range range{};
      std::memcpy(&range, raw.data(), sizeof range);
      const bool discard = type == kDiscardType;
      // 5.2.6.2: reserved flags and, for a discard, unmap are unsupported.
      if ((range.flags & ~1U) != 0 || (discard && range.flags != 0)) return complete(*request, kUnsupported, 0);
      if (range.sectors > kMaximumRangeSectors || !within(range.sector, u64{range.sectors} * kSector)) {
        return complete(*request, kIoError, 0);
      }
      all.push_back({.operation = discard ? host::DiskOperation::discard : host::DiskOperation::write_zeroes,
                     .offset = range.sector * kSector,
                     .length = u64{range.sectors} * kSector,
                     .unmap = (range.flags & 1) != 0});
    }
    request->parts = static_cast<u32>(all.size());
    for (host::DiskRequest& disk : all) submit(request, std::move(disk));
  }

  bool within(u64 sector, u64 bytes) const {
    return sector <= disk_.size() / kSector && bytes <= disk_.size() - sector * kSector;
  }

  void submit(const std::shared_ptr<Request>& request, host::DiskRequest disk) {
    {
      const std::lock_guard guard(flight_mutex_);
      ++in_flight_;
    }
    disk.done = [this, request](int error) { finished(request, error); };
    disk_.submit(std::move(disk));
  }

  // On the disk's thread, without locks.
  void finished(const std::shared_ptr<Request>& request, int error) {
    bool last = false;
    {
      const std::lock_guard guard(request->mutex);
      if (error != 0) request->error = error;
      last = --request->parts == 0;
    }
    if (last) {
      const std::lock_guard guard(ports_.lock());
      const bool ok = request->error == 0;
      complete(*request, ok ? kOk : kIoError, ok ? request->written : 0);
    }
    const std::lock_guard guard(flight_mutex_);
    if (--in_flight_ == 0) landed_.notify_all();
  }

  // Under the model's lock: writes the status byte (the last writable one) and gives the chain back.
  void complete(Request& request, StatusByte status, u32 data_bytes) {
    u64 offset = 0;
    u32 left = data_bytes;
    for (const Segment& segment : request.chain.writable) {
      const u32 bytes = std::min(segment.length, left);
      ports_.dma().written(segment.address, bytes);
      left -= bytes;
      offset += segment.length;
    }
    u32 written = data_bytes;
    if (offset > 0) {
      const u8 byte = status;
      written += static_cast<u32>(write_chain(ports_.dma(), request.chain.writable, offset - 1, {&byte, 1}));
    }
    transport_->queue(0).push(request.chain, written);
    transport_->used(0);
  }

  device::Ports& ports_;
  host::Disk& disk_;
  std::array<u8, 60> config_{};
  std::mutex flight_mutex_;
  std::condition_variable landed_;
  u32 in_flight_ = 0;
};

Result<std::unique_ptr<Function>> make_block(device::Ports& ports) {
  host::Disk* disk = ports.disk();
  if (disk == nullptr) {
    return fail(ports.node().place("solder,virtio"), "a block device needs a disk",
                "name one with solder,disk = <&…>, or use --disk FILE");
  }
  return std::make_unique<Block>(ports, *disk);
}

const FunctionRegistration kBlock{"block", make_block};

}  // namespace

}  // namespace solder::models::virtio
