#include "memory/dma.h"

#include <algorithm>
#include <cstring>

#include "memory/host_access.h"

namespace solder::memory {

namespace {

/// One piece of RAM that a transfer touches.
struct Piece {
  Ram* ram;
  u64 offset;
  u64 size;
  bool read_only;
};

// Calls `use` for every piece of [address, address+size); false when a byte is not RAM within the windows.
template <class Use>
bool for_each_piece(const AddressSpace& space, const std::vector<DmaPort::Window>& windows, u64 address, u64 size,
                    Use use) {
  if (size != 0 && address + (size - 1) < address) return false;
  const FlatMap& flat = space.map();
  while (size > 0) {
    Gpa physical = address;
    u64 chunk = size;
    if (!windows.empty()) {
      const auto window = std::find_if(windows.begin(), windows.end(),
                                       [&](const DmaPort::Window& w) { return address - w.bus < w.size; });
      if (window == windows.end()) return false;
      physical = window->cpu + (address - window->bus);
      chunk = std::min(chunk, window->size - (address - window->bus));
    }
    const FlatRange* range = flat.find(physical);
    if (range == nullptr || range->ram == nullptr) return false;
    const u64 within = physical - range->start;
    chunk = std::min(chunk, range->size - within);
    use(Piece{range->ram, range->offset + within, chunk, range->read_only});
    address += chunk;
    size -= chunk;
  }
  return true;
}

}  // namespace

bool DmaPort::read(u64 address, void* data, u64 size) const {
  auto* out = static_cast<u8*>(data);
  u8* next = out;
  const bool ok = for_each_piece(space_, windows_, address, size, [&](const Piece& piece) {
    copy_from_host(next, piece.ram->host() + piece.offset, piece.size);
    next += piece.size;
  });
  if (!ok) std::memset(out, 0, size);
  return ok;
}

bool DmaPort::write(u64 address, const void* data, u64 size) const {
  // All or nothing: a transfer that runs out of RAM half-way must not have changed anything.
  bool writable = true;
  if (!for_each_piece(space_, windows_, address, size, [&](const Piece& p) { writable = writable && !p.read_only; }) ||
      !writable) {
    return false;
  }
  const auto* in = static_cast<const u8*>(data);
  return for_each_piece(space_, windows_, address, size, [&](const Piece& piece) {
    copy_to_host(piece.ram->host() + piece.offset, in, piece.size);
    piece.ram->mark_written(piece.offset, piece.size);
    in += piece.size;
  });
}

bool DmaPort::map(u64 address, u64 size, std::vector<iovec>& out) const {
  const usize before = out.size();
  bool writable = true;
  const bool ok = for_each_piece(space_, windows_, address, size, [&](const Piece& piece) {
    writable = writable && !piece.read_only;
    out.push_back({piece.ram->host() + piece.offset, piece.size});
  });
  if (!ok || !writable) out.resize(before);
  return ok && writable;
}

u8* DmaPort::pointer(u64 address, u64 size) const {
  u8* result = nullptr;
  usize pieces = 0;
  const bool ok = for_each_piece(space_, windows_, address, size, [&](const Piece& piece) {
    result = piece.read_only ? nullptr : piece.ram->host() + piece.offset;
    ++pieces;
  });
  return ok && pieces == 1 ? result : nullptr;
}

void DmaPort::written(u64 address, u64 size) const {
  for_each_piece(space_, windows_, address, size,
                 [](const Piece& piece) { piece.ram->mark_written(piece.offset, piece.size); });
}

}  // namespace solder::memory
