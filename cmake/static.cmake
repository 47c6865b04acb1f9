# fmt and liburing as static libraries, where they can be had so; SOLDER_FMT and SOLDER_URING name them.

find_library(URING_STATIC NAMES liburing.a HINTS ${URING_LIBRARY_DIRS})
if(URING_STATIC)
  add_library(solder_uring STATIC IMPORTED)
  set_target_properties(solder_uring PROPERTIES IMPORTED_LOCATION ${URING_STATIC}
                        INTERFACE_INCLUDE_DIRECTORIES "${URING_INCLUDE_DIRS}")
  set(SOLDER_URING solder_uring)
endif()

# Debian has fmt as a shared library only, but with the headers that its library is made of.
get_target_property(fmt_include fmt::fmt INTERFACE_INCLUDE_DIRECTORIES)
try_compile(FMT_MAKES_STATIC ${CMAKE_BINARY_DIR}/static
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/static/fmt.cpp ${CMAKE_CURRENT_LIST_DIR}/static/fmt_check.cpp
  CMAKE_FLAGS "-DINCLUDE_DIRECTORIES=${fmt_include}"
  CXX_STANDARD 23 CXX_STANDARD_REQUIRED ON)
if(FMT_MAKES_STATIC)
  add_library(solder_fmt STATIC ${CMAKE_CURRENT_LIST_DIR}/static/fmt.cpp)
  target_include_directories(solder_fmt SYSTEM PUBLIC ${fmt_include})
  set(SOLDER_FMT solder_fmt)
endif()
