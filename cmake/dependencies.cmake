# Debian's libraries. All are in Debian 12; scripts/dependencies lists the packages.
#
# SOLDER_STATIC: what each start of the program needs is linked into it. With shared libraries a fifth of a start's CPU
# time was the dynamic linker's, most of it for the C++ library (docs/performance.md). Sanitizers want it shared.
set(static ON)
if(SOLDER_SANITIZE)
  set(static OFF)
endif()
option(SOLDER_STATIC "Link the C++ library, fmt, zlib and liburing into the program" ${static})
set(ZLIB_USE_STATIC_LIBS ${SOLDER_STATIC})

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(fmt REQUIRED)
set(SOLDER_FMT fmt::fmt)
find_package(CLI11 REQUIRED)
find_package(nlohmann_json REQUIRED)
pkg_check_modules(URING REQUIRED IMPORTED_TARGET liburing)
set(SOLDER_URING PkgConfig::URING)
# Its header only: src/host/slirp_library.h says why the library is loaded at run time.
pkg_check_modules(SLIRP REQUIRED slirp)
find_package(ZLIB REQUIRED)
if(SOLDER_STATIC)
  include(static)
endif()
if(SOLDER_TRANSLATOR)
  find_path(XBYAK_INCLUDE xbyak/xbyak.h REQUIRED)
endif()
if(SOLDER_TESTS)
  find_package(GTest REQUIRED)
endif()
if(SOLDER_BENCH)
  find_package(benchmark REQUIRED)
endif()
