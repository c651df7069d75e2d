# What `cmake --install` puts where: headers, the two libraries, the CMake package and the pkg-config file.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(genmod_package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/genmod")

target_include_directories(genmod INTERFACE "$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>")
install(DIRECTORY include/genmod DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" FILES_MATCHING PATTERN "*.hpp")
install(TARGETS genmod genmod_compiled EXPORT genmodTargets)
install(EXPORT genmodTargets NAMESPACE genmod:: DESTINATION "${genmod_package_dir}")

configure_package_config_file(cmake/genmodConfig.cmake.in genmodConfig.cmake INSTALL_DESTINATION "${genmod_package_dir}")
write_basic_package_version_file(genmodConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/genmodConfig.cmake" "${CMAKE_CURRENT_BINARY_DIR}/genmodConfigVersion.cmake"
    cmake/dependencies.cmake DESTINATION "${genmod_package_dir}")

set(GENMOD_PC_OPENMP "")
if(GENMOD_HAS_OPENMP)
    set(GENMOD_PC_OPENMP " -fopenmp")
endif()
file(RELATIVE_PATH GENMOD_PC_PREFIX "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")   # wherever it is moved to
configure_file(cmake/genmod.pc.in genmod.pc @ONLY)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/genmod.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
install(FILES LICENSE DESTINATION "${CMAKE_INSTALL_DOCDIR}")
