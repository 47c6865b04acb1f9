# Debian's cross compiler for arm64 with the arm64 libraries of scripts/cross-arm64 in SOLDER_SYSROOT. The C and C++
# libraries are the cross compiler's own, so the sysroot is not the compiler's --sysroot.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)

list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES SOLDER_SYSROOT)
if(NOT SOLDER_SYSROOT)
  message(FATAL_ERROR "SOLDER_SYSROOT is not set: scripts/cross-arm64 makes it and configures")
endif()

set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH ${SOLDER_SYSROOT} /usr/aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)

set(ENV{PKG_CONFIG_DIR} "")
set(ENV{PKG_CONFIG_PATH} "")
set(ENV{PKG_CONFIG_LIBDIR} "${SOLDER_SYSROOT}/usr/lib/aarch64-linux-gnu/pkgconfig:${SOLDER_SYSROOT}/usr/share/pkgconfig")
set(ENV{PKG_CONFIG_SYSROOT_DIR} "${SOLDER_SYSROOT}")

# pkg-config leaves out directories that a native compiler searches by itself.
set(CMAKE_CXX_FLAGS_INIT
    "-isystem ${SOLDER_SYSROOT}/usr/include -isystem ${SOLDER_SYSROOT}/usr/include/aarch64-linux-gnu")
set(library_path "${SOLDER_SYSROOT}/usr/lib/aarch64-linux-gnu")
set(CMAKE_EXE_LINKER_FLAGS_INIT "-L${library_path} -Wl,-rpath-link,${library_path}")
# Nothing of the build machine's paths in the program.
set(CMAKE_SKIP_RPATH ON)
