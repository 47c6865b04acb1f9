/// <linux/kvm.h> as C++ must read it. Include this one, never that.
///
/// In the kernel's headers before Linux 6.7 the macro for arrays at the end of a structure contains an empty structure,
/// whose size is 0 in C and 1 in C++. The structures' sizes, with them the numbers of the ioctls that take them, and
/// the offset of their arrays would be wrong, and the kernel would answer EINVAL or ENOTTY.
#pragma once

#include <linux/stddef.h>
#undef __DECLARE_FLEX_ARRAY
#define __DECLARE_FLEX_ARRAY(type, name) type name[0]  // NOLINT(bugprone-reserved-identifier): the kernel's
#include <linux/kvm.h>

static_assert(sizeof(kvm_irq_routing) == 8 && sizeof(kvm_signal_mask) == 4, "<linux/kvm.h> was included before this");
