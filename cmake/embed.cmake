# The built-in boards: machines/*.dts become src of solder_machine, so that the binary needs no data files.
function(solder_embed_boards target)
  file(GLOB boards CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/machines/*.dts)
  set(output ${CMAKE_BINARY_DIR}/generated/built_in_boards.cpp)
  add_custom_command(OUTPUT ${output}
    COMMAND ${CMAKE_COMMAND} "-DBOARDS=${boards}" -DOUTPUT=${output} -P ${CMAKE_SOURCE_DIR}/cmake/embed_boards.cmake
    DEPENDS ${boards} ${CMAKE_SOURCE_DIR}/cmake/embed_boards.cmake
    COMMENT "Embedding the built-in boards" VERBATIM)
  target_sources(${target} PRIVATE ${output})
endfunction()
