# What a builder can choose, and the flags every target gets.
option(SOLDER_TESTS "Build the tests" ON)
option(SOLDER_BENCH "Build the benchmarks" OFF)
set(SOLDER_SANITIZE "" CACHE STRING "Sanitizers, as -fsanitize takes them: address,undefined or thread")

# The host's architecture decides what runs on it: the translator's emitter writes x86-64 code, KVM runs its own.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
  set(SOLDER_HOST_ARM64 ON)
else()
  set(SOLDER_HOST_ARM64 OFF)
endif()
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
  set(SOLDER_TRANSLATOR ON)
else()
  set(SOLDER_TRANSLATOR OFF)
endif()

find_program(CCACHE ccache)
if(CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
endif()

add_compile_options(-Wall -Wextra -Werror -Wshadow -Wnon-virtual-dtor -fno-strict-aliasing)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # GCC 12 suspects std::expected and std::optional of strings at -O2, wrongly.
  add_compile_options(-Wno-maybe-uninitialized)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  # libstdc++ 12 hides <expected> from clang 16, which reports an older __cpp_concepts than it implements.
  add_compile_options(-Wno-builtin-macro-redefined -Wno-macro-redefined -D__cpp_concepts=202002L -Wthread-safety)
endif()
if(SOLDER_SANITIZE)
  add_compile_options(-fsanitize=${SOLDER_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${SOLDER_SANITIZE})
  # GCC warns that the sanitizer does not see the order that a fence makes. Ours order accesses to guest memory, which
  # are atomic on their own.
  if(SOLDER_SANITIZE STREQUAL "thread" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    add_compile_options(-Wno-tsan)
  endif()
endif()

find_program(MOLD mold)
if(MOLD AND NOT SOLDER_SANITIZE AND NOT CMAKE_CROSSCOMPILING)
  add_link_options(-fuse-ld=mold)
endif()
