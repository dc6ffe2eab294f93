# Flags of every target, and tm_library(): one library of one folder.
# A designated initializer that leaves fields at their defaults is the point of defaults.
add_compile_options(-Wall -Wextra -Wconversion -Wshadow -Wnon-virtual-dtor
                    -Wno-missing-field-initializers)
if(TALLYMILL_WERROR)
  add_compile_options(-Werror)
endif()
# g++ 12 reports these inside its own <string> and <regex> at -O2 (GCC bugs 105329, 105562).
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  add_compile_options(-Wno-restrict -Wno-maybe-uninitialized)
endif()
if(TALLYMILL_SANITIZE)
  add_compile_options(-fsanitize=${TALLYMILL_SANITIZE} -fno-omit-frame-pointer
                      -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${TALLYMILL_SANITIZE})
endif()
if(TALLYMILL_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
if(TALLYMILL_MUTANT)
  add_compile_definitions(TALLYMILL_MUTANT=${TALLYMILL_MUTANT})
endif()
add_compile_definitions(MSGPACK_NO_BOOST TALLYMILL_VERSION="${PROJECT_VERSION}")
include_directories(${PROJECT_SOURCE_DIR})
# Paths in what is shipped are relative to the source, wherever it was checked out. Not in the others:
# two checkouts then share a compiler cache.
add_compile_options($<$<CONFIG:RelWithDebInfo>:-ffile-prefix-map=${PROJECT_SOURCE_DIR}/=>)

# tm_library(NAME [DEPENDS ...]): every .cc of this folder (not of folders below it).
function(tm_library name)
  cmake_parse_arguments(ARG "" "" "DEPENDS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc)
  if(sources)
    add_library(${name} STATIC ${sources})
    target_link_libraries(${name} PUBLIC ${ARG_DEPENDS})
  else()
    add_library(${name} INTERFACE)
    target_link_libraries(${name} INTERFACE ${ARG_DEPENDS})
  endif()
endfunction()

# tm_program(NAME FILE ... DEPENDS ...): a program that is shipped.
function(tm_program name)
  cmake_parse_arguments(ARG "" "" "DEPENDS" ${ARGN})
  add_executable(${name} ${ARG_UNPARSED_ARGUMENTS})
  target_link_libraries(${name} PRIVATE ${ARG_DEPENDS})
  add_dependencies(programs ${name})
endfunction()

# tm_bench(NAME DEPENDS ...): NAME.cc of this folder as the program bench_NAME.
function(tm_bench name)
  cmake_parse_arguments(ARG "" "" "DEPENDS" ${ARGN})
  add_executable(bench_${name} ${name}.cc)
  target_link_libraries(bench_${name} PRIVATE ${ARG_DEPENDS})
  add_dependencies(benches bench_${name})
endfunction()
