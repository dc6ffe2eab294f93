# Debian's libraries, each under one imported name.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
find_package(OpenSSL REQUIRED COMPONENTS Crypto SSL)
pkg_check_modules(ZMQ REQUIRED IMPORTED_TARGET libzmq>=4.3)
pkg_check_modules(SQLITE REQUIRED IMPORTED_TARGET sqlite3>=3.40)
pkg_check_modules(YAML REQUIRED IMPORTED_TARGET yaml-cpp)
pkg_check_modules(JPEG REQUIRED IMPORTED_TARGET libjpeg)
pkg_check_modules(PNG REQUIRED IMPORTED_TARGET libpng)
pkg_check_modules(WEBP REQUIRED IMPORTED_TARGET libwebp)
pkg_check_modules(DEFLATE REQUIRED IMPORTED_TARGET libdeflate)
# By file, not by OpenCV's own CMake package: that one comes with libopencv-dev, which installs
# every module with GDAL and 200 packages more, for two libraries.
find_path(OPENCV_INCLUDE opencv2/imgproc.hpp PATH_SUFFIXES opencv4 REQUIRED)
foreach(module opencv_core opencv_imgproc)
  find_library(${module}_FILE ${module} REQUIRED)
  add_library(${module} UNKNOWN IMPORTED)
  set_target_properties(${module} PROPERTIES IMPORTED_LOCATION ${${module}_FILE}
                        INTERFACE_INCLUDE_DIRECTORIES ${OPENCV_INCLUDE})
endforeach()
# Sanitizers bring an allocator of their own.
if(NOT TALLYMILL_SANITIZE)
  pkg_check_modules(JEMALLOC REQUIRED IMPORTED_TARGET jemalloc)
endif()
pkg_check_modules(HIREDIS REQUIRED IMPORTED_TARGET hiredis)
