# SPDX-License-Identifier: Apache-2.0
#
# What every target is compiled with: link to ocid-flags.
add_library(ocid-flags INTERFACE)
target_include_directories(ocid-flags INTERFACE
  ${CMAKE_SOURCE_DIR} ${CMAKE_SOURCE_DIR}/include ${CMAKE_BINARY_DIR}/generated)
target_compile_definitions(ocid-flags INTERFACE _GNU_SOURCE _FILE_OFFSET_BITS=64)
target_compile_options(ocid-flags INTERFACE
  -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wwrite-strings
  -Wvla -Wformat=2 -fno-common -fno-strict-aliasing -UNDEBUG)
if(OCID_WERROR)
  target_compile_options(ocid-flags INTERFACE -Werror)
endif()
if(OCID_FAULTS)
  target_compile_definitions(ocid-flags INTERFACE OCID_FAULTS=1)
endif()
if(OCID_COVERAGE)
  target_compile_options(ocid-flags INTERFACE --coverage)
  target_link_options(ocid-flags INTERFACE --coverage)
endif()
if(OCID_FUZZ)
  target_compile_options(ocid-flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(OCID_SANITIZE)
  target_compile_options(ocid-flags INTERFACE -fsanitize=${OCID_SANITIZE} -fno-omit-frame-pointer
    -fno-sanitize-recover=all)
  target_link_options(ocid-flags INTERFACE -fsanitize=${OCID_SANITIZE})
else()
  target_compile_options(ocid-flags INTERFACE -fstack-protector-strong -fstack-clash-protection
    $<$<NOT:$<CONFIG:Debug>>:-U_FORTIFY_SOURCE> $<$<NOT:$<CONFIG:Debug>>:-D_FORTIFY_SOURCE=2>)
  target_link_options(ocid-flags INTERFACE -Wl,-z,relro,-z,now -Wl,--as-needed)
endif()

# ocid_room(name SOURCES... ): a static library of one room, warnings and includes as above.
function(ocid_room name)
  add_library(ocid-${name} STATIC ${ARGN})
  target_link_libraries(ocid-${name} PUBLIC ocid-flags)
endfunction()
